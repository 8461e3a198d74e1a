import pytest

from meshinfer.topology.claim import Claim
from meshinfer.topology.member import Status
from meshinfer.topology.ring import PeerId
from meshinfer.topology.sync import MAX_ITEMS, Line, Parcel, SyncDelta, SyncDigest, claim_of, line_of
from tests.topology.voices import B, claim, record


@pytest.mark.parametrize("status", Status)
def test_a_line_tells_a_claim_and_the_record_that_is_held(status: Status) -> None:
    line = line_of(claim(1, status, run=3), record(1, run=2, version=9))
    assert claim_of(line) == claim(1, status, run=3)
    assert line[4:] == (2, 9)


def test_without_a_record_a_line_tells_that() -> None:
    assert line_of(claim(1, Status.ALIVE), None)[4:] == (0, 0)


@pytest.mark.parametrize(
    "line",
    [
        ("no id", 1, 0, 0, 1, 1),
        (B.upper().replace("0", "A"), 1, 0, 0, 1, 1),
        (B, -1, 0, 0, 1, 1),
        (B, 1 << 63, 0, 0, 1, 1),
        (B, 1, -1, 0, 1, 1),
        (B, 1, 1 << 24, 0, 1, 1),
        (B, 1, 0, 4, 1, 1),
        (B, 1, 5, 2, 1, 1),
    ],
)
def test_lines_that_no_peer_would_write_are_refused(line: Line) -> None:
    with pytest.raises(ValueError, match=r"nobody can be|no peer would"):
        SyncDigest((line,), ())
    with pytest.raises(ValueError, match=r"nobody can be|no peer would"):
        SyncDelta(lines=(line,))


def test_more_than_any_mesh_has_is_refused() -> None:
    line = line_of(Claim(PeerId(B), claim(1, Status.ALIVE).run, 0, Status.ALIVE), None)
    with pytest.raises(ValueError, match="limit"):
        SyncDigest((line,) * (MAX_ITEMS + 1), ())
    with pytest.raises(ValueError, match="items"):
        SyncDelta(wanted=(B,) * (MAX_ITEMS + 1))


def test_a_parcel_carries_a_packet_and_no_more() -> None:
    Parcel(bytes(1400))
    with pytest.raises(ValueError, match="3000 bytes"):
        Parcel(bytes(3000))
