"""Bringing tensors from peers: tables, and a property over whatever givers do."""

from hypothesis import given
from hypothesis import strategies as st

from meshinfer.scheduling.haul import Haul, HaulTiming, Piece
from meshinfer.topology.ring import PeerId
from tests.meshinfer.actors.mailbag import A, B, C

TIMING = HaulTiming(piece_bytes=10, calm_s=0.1, most_pieces=4, patience_s=5.0)


def haul(**sizes: int) -> Haul:
    return Haul(sizes, TIMING)


def take(moved: Haul, peer: PeerId, piece: Piece, now_s: float = 0.0) -> bool:
    """A piece comes and is stored; whether its tensor is whole then."""
    return moved.arrived(peer, piece, now_s) and moved.stored(peer, piece)


def test_a_tensor_comes_in_pieces_from_one_giver() -> None:
    moved = haul(w=25)
    moved.offer(A, ["w", "not wanted"])
    moved.offer(B, ["w"])
    first, second = moved.asks(0.0)
    assert (first, second) == ((A, Piece("w", 0, 10)), (A, Piece("w", 10, 10)))
    assert not take(moved, *first)
    ((peer, third),) = moved.asks(0.0)
    assert (peer, third) == (A, Piece("w", 20, 5))
    assert not take(moved, *second)
    assert take(moved, A, third)
    moved.complete("w")
    assert (moved.left, moved.asks(1.0)) == ((), [])


def test_a_tensor_of_no_bytes_comes_too() -> None:
    moved = haul(empty=0)
    moved.offer(A, ["empty"])
    ((_, piece),) = moved.asks(0.0)
    assert piece == Piece("empty", 0, 0)
    assert take(moved, A, piece)


def test_what_few_have_is_asked_for_first() -> None:
    moved = haul(a=5, b=5, c=5)
    moved.offer(A, ["a", "b", "c"])
    moved.offer(B, ["a", "b"])
    asked = moved.asks(0.0)
    assert [piece.name for peer, piece in asked if peer == A] == ["c", "a"]
    assert [piece.name for peer, piece in asked if peer == B] == ["b"]


def test_quick_pieces_widen_the_window_slow_ones_narrow_it() -> None:
    moved = haul(w=1000)
    moved.offer(A, ["w"])
    under_way = [piece for _, piece in moved.asks(0.0)]
    for now_s in (0.05, 0.1, 0.15, 0.2):
        take(moved, A, under_way.pop(0), now_s)
        under_way += [piece for _, piece in moved.asks(now_s)]
    assert len(under_way) == 4
    for now_s in (1.0, 2.0, 3.0, 4.0, 5.0):
        take(moved, A, under_way.pop(0), now_s)
        under_way += [piece for _, piece in moved.asks(now_s)]
    assert len(under_way) == 1


def test_pieces_that_are_not_stored_yet_count_as_under_way() -> None:
    moved = haul(w=1000)
    moved.offer(A, ["w"])
    first, _ = (piece for _, piece in moved.asks(0.0))
    assert moved.arrived(A, first, 9.0)
    assert moved.asks(9.0) == []
    moved.stored(A, first)
    # Slow: one at a time from here on, and one is under way.
    assert moved.asks(9.0) == []


def test_what_was_not_asked_for_is_not_taken() -> None:
    moved = haul(w=20)
    moved.offer(A, ["w"])
    moved.asks(0.0)
    assert not moved.arrived(B, Piece("w", 0, 10), 0.0)
    assert not moved.arrived(A, Piece("w", 0, 11), 0.0)
    assert moved.arrived(A, Piece("w", 0, 10), 0.0)
    assert not moved.arrived(A, Piece("w", 0, 10), 0.0)


def test_a_giver_that_goes_leaves_its_tensors_to_others() -> None:
    moved = haul(w=20)
    moved.offer(A, ["w"])
    (_, first), _ = moved.asks(0.0)
    moved.arrived(A, first, 0.0)
    moved.withdraw(A)
    assert not moved.stored(A, first)
    assert moved.orphans == ("w",)
    moved.offer(B, ["w"])
    assert moved.asks(1.0) == [(B, Piece("w", 0, 10)), (B, Piece("w", 10, 10))]


def test_what_came_wrong_comes_from_somebody_else() -> None:
    moved = haul(w=10)
    moved.offer(A, ["w"])
    moved.offer(B, ["w"])
    assert [peer for peer, _ in moved.asks(0.0)] == [A]
    moved.lost(A, "w")
    assert [peer for peer, _ in moved.asks(0.0)] == [B]
    moved.lost(B, "w")
    assert (moved.asks(0.0), moved.orphans) == ([], ("w",))


def test_what_is_complete_after_all_is_asked_of_nobody_any_more() -> None:
    moved = haul(w=30)
    moved.offer(A, ["w"])
    moved.asks(0.0)
    moved.withdraw(A)
    moved.offer(B, ["w"])
    (_, first), _ = moved.asks(0.0)
    assert moved.arrived(B, first, 0.0)
    # What the first giver gave was being checked when it went, and was right.
    moved.complete("w")
    assert not moved.stored(B, first)
    assert (moved.asks(0.0), moved.left) == ([], ())


def test_a_silent_giver_is_overdue() -> None:
    moved = haul(w=10)
    moved.offer(A, ["w"])
    moved.asks(1.0)
    assert (moved.overdue(6.0), moved.overdue(6.1)) == ([], [A])


@given(st.data())
def test_all_comes_if_one_giver_is_true(data: st.DataObject) -> None:
    sizes = data.draw(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 55), min_size=1))
    moved = Haul(sizes, TIMING)
    moved.offer(C, sizes)
    for peer in (A, B):
        moved.offer(peer, data.draw(st.lists(st.sampled_from(sorted(sizes)))))
    under_way: list[tuple[PeerId, Piece]] = []
    here: set[str] = set()
    while moved.left:
        under_way += moved.asks(0.0)
        assert under_way, "somebody is asked for what is left"
        peer, piece = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
        event = "comes" if peer == C else data.draw(st.sampled_from(["comes", "goes", "is bad"]))
        if event == "goes":
            moved.withdraw(peer)
        elif event == "is bad":
            moved.lost(peer, piece.name)
        elif take(moved, peer, piece):
            assert piece.name not in here
            here.add(piece.name)
            moved.complete(piece.name)
    assert here == set(sizes)
