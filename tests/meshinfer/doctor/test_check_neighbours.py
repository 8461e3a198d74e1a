import pytest

from meshinfer.doctor.check_neighbours import check_neighbours
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed, PeerSeen
from meshinfer.transports.base import Address
from meshinfer.transports.sighting import Announcement, Sighting

from .seen import only


def seen(
    name: str, mesh: str = "meshinfer", release: str = "0.1.0", wire: int = 3, key: str = "open"
) -> Sighting:
    return Sighting(Announcement(name, name, mesh, release, wire, key), (Address("tcp://10.0.0.2:1"),))


def listening(*sightings: Sighting) -> Observed:
    return Observed(release="0.1.0", wire_version=3, sightings=sightings)


def test_those_of_our_mesh_are_named() -> None:
    finding = only(check_neighbours(listening(seen("mac-2"), seen("mac-3"))), Mark.GOOD)
    assert finding.text == "seen in mesh meshinfer: mac-2, mac-3"


def test_another_protocol_is_an_error_and_both_releases_are_named() -> None:
    finding = only(check_neighbours(listening(seen("mac-2", release="0.2.0", wire=4))), Mark.BAD)
    assert "mac-2 runs release 0.2.0, which speaks protocol 4; this is 0.1.0 with 3" in finding.text
    assert finding.remedies == ("on every machine: pip install meshinfer-mlx==0.1.0",)


def test_another_release_of_the_same_protocol_is_a_warning() -> None:
    good, warning = check_neighbours(listening(seen("mac-2", release="0.1.1")))
    assert (good.mark, warning.mark) == (Mark.GOOD, Mark.WARNING)
    assert warning.text == "mac-2 runs release 0.1.1, this is 0.1.0"


def test_another_mesh_is_named_with_how_to_be_in_it() -> None:
    finding = only(check_neighbours(listening(seen("mac-2", mesh="lab", key="1a2b3c4d"))), Mark.WARNING)
    assert finding.text == "in another mesh, lab: mac-2; this machine is in meshinfer"
    assert "`meshinfer key show --mesh`" in finding.remedies[0]
    assert "meshinfer join --invite" in finding.remedies[0]


@pytest.mark.parametrize("key", ["open", "1a2b3c4d"])
def test_what_a_stranger_announces_is_in_nothing_to_type(key: str) -> None:
    (finding,) = check_neighbours(listening(seen("mac-2", mesh="evil", key=key)))
    assert "evil: mac-2" in finding.text
    assert "evil" not in finding.remedies[0]
    assert "mac-2" not in finding.remedies[0]
    assert ("--open" in finding.remedies[0]) == (key == "open")


def test_another_key_is_an_error_and_both_are_named() -> None:
    here = PeerSeen("http://127.0.0.1:1", "mac-1", "meshinfer", True, "", (), key="1a2b3c4d")
    sightings = (seen("mac-2", key="0badc0de"), seen("mac-3", key="1a2b3c4d"), seen("mac-4"))
    findings = check_neighbours(Observed(release="0.1.0", wire_version=3, sightings=sightings, peer=here))
    assert [(each.mark, each.text) for each in findings] == [
        (Mark.GOOD, "seen in mesh meshinfer: mac-3"),
        (Mark.BAD, "mac-2 has another key of this mesh's name: 0badc0de; here it is 1a2b3c4d"),
        (Mark.BAD, "mac-4 runs without a key, this peer has 1a2b3c4d"),
    ]


def test_the_peer_that_runs_here_is_no_neighbour() -> None:
    here = PeerSeen("http://127.0.0.1:1", "mac-1", "meshinfer", True, "", ())
    alone = Observed(wire_version=3, sightings=(seen("mac-1"),), peer=here)
    assert "no other peer" in only(check_neighbours(alone), Mark.NOTE).text


def test_very_many_are_counted() -> None:
    finding = only(check_neighbours(listening(*(seen(f"mac-{number}") for number in range(20)))), Mark.GOOD)
    assert finding.text.endswith(" and 12 more")


def test_where_nobody_could_listen_the_reason_is_told() -> None:
    finding = only(check_neighbours(Observed(no_sightings="no network")), Mark.NOTE)
    assert finding.text == "it was not listened to: no network"
