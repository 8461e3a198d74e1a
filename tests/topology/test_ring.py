import pytest

from meshinfer.topology.ring import PeerId, Ring, Run, Stage

A, B, C = (PeerId(letter * 32) for letter in "abc")


def stage(peer: PeerId, first: int, end: int) -> Stage:
    return Stage(peer, Run(1), first, end)


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        ((), "ends at layer 0 of 4"),
        ((stage(A, 0, 2),), "ends at layer 2 of 4"),
        ((stage(A, 1, 4),), "begins at 0"),
        ((stage(A, 0, 2), stage(B, 3, 4)), "begins at 2"),
        ((stage(A, 0, 3), stage(B, 2, 4)), "begins at 3"),
        ((stage(A, 0, 2), stage(B, 2, 2), stage(C, 2, 4)), "begins at 2"),
        ((stage(A, 0, 2), stage(A, 2, 4)), "two stages"),
        ((stage(A, 0, 5),), "ends at layer 5 of 4"),
    ],
)
def test_a_ring_that_does_not_cover_every_layer_once_cannot_exist(
    stages: tuple[Stage, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Ring(4, stages)


def test_a_ring_knows_who_stands_before_and_behind_whom() -> None:
    ring = Ring(6, (stage(B, 0, 1), stage(A, 1, 4), stage(C, 4, 6)))
    assert ring.peers == (B, A, C)
    assert (ring.head.peer, ring.tail.peer) == (B, C)
    assert ring.before(B) is None
    assert ring.before(A) == ring.head
    assert ring.after(A) == ring.tail
    assert ring.after(C) is None
    assert ring.stage_of(A) == stage(A, 1, 4)
    assert ring.stage_of(PeerId("d" * 32)) is None


def test_in_a_ring_of_one_the_head_is_the_tail() -> None:
    ring = Ring(2, (stage(A, 0, 2),))
    assert ring.head is ring.tail
    assert ring.before(A) is ring.after(A) is None
