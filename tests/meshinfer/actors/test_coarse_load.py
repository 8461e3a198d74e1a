from meshinfer.actors.coarse_load import CoarseLoad
from meshinfer.topology.record import PeerLoad


def test_a_load_moves_at_once_and_then_every_two_seconds() -> None:
    load = CoarseLoad()
    assert load.noted(PeerLoad(1, 0), 0.0) == PeerLoad(1, 0)
    assert load.noted(PeerLoad(2, 16), 1.9) == PeerLoad(1, 0)
    assert load.noted(PeerLoad(2, 16), 2.0) == PeerLoad(2, 16)


def test_tokens_a_second_are_told_in_quarters_of_an_octave() -> None:
    load = CoarseLoad()
    told = [load.noted(PeerLoad(1, tokens), 10.0 * tokens) for tokens in range(16, 33)]
    assert sorted({each.tokens_per_s for each in told}) == [16, 20, 23, 27, 32]
