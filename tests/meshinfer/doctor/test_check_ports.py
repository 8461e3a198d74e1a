from meshinfer.doctor.check_ports import check_ports
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import MemberSeen, Observed, PeerSeen, PortTried

from .seen import only

LINKS, API = PortTried(52414, "links"), PortTried(52415, "API")


def test_free_ports_are_well() -> None:
    finding = only(check_ports(Observed(ports=(LINKS, API))), Mark.GOOD)
    assert finding.text == "free: 52414 (links), 52415 (API)"


def test_a_port_that_another_program_has_is_told_with_the_option_for_another() -> None:
    taken = PortTried(52414, "links", "nginx (process 7)")
    finding = only(check_ports(Observed(ports=(taken, API))), Mark.WARNING)
    assert finding.text == "port 52414 (links) is taken by nginx (process 7)"
    assert finding.remedies[0].endswith("meshinfer join --listen 0.0.0.0:0")


def test_the_peer_that_runs_here_may_have_its_own() -> None:
    member = MemberSeen("mac-1", "alive", "0.1.0", ("tcp://10.0.0.1:52414", "tcp://[fe80::1%en5]:52414"))
    peer = PeerSeen("http://127.0.0.1:52415", "mac-1", "meshinfer", True, "", (member,))
    links, api = PortTried(52414, "links", "python"), PortTried(52415, "API", "python")
    only(check_ports(Observed(ports=(links, api), peer=peer)), Mark.GOOD)
    other = PortTried(52416, "links", "nginx")
    only(check_ports(Observed(ports=(other, api), peer=peer)), Mark.WARNING)


def test_ports_of_a_peer_that_wants_a_key_are_not_taken_for_a_stranger_s() -> None:
    taken = PortTried(52414, "links", "python (process 7)")
    finding = only(check_ports(Observed(ports=(taken, API), peer_wants_key=True)), Mark.NOTE)
    assert finding.text.startswith("taken: 52414 (links) by python (process 7); a peer may run here")
    assert finding.remedies == ()


def test_what_was_not_tried_is_not_told() -> None:
    assert check_ports(Observed()) == []
