from meshinfer.actors.usage import Usage
from meshinfer.actors.work import RingWork
from meshinfer.topology.record import ModelUse
from meshinfer.topology.target import Digest, Epoch, Target

MODEL = "f" * 32


def ring(running: int = 0, begun: int = 0, turn_us: int = 0) -> RingWork:
    return RingWork(Target(Epoch(1), Digest("d" * 32)), MODEL, True, running, 0, begun, turn_us)


def test_who_never_headed_a_busy_ring_tells_nothing() -> None:
    usage = Usage(MODEL)
    assert usage.noted((), 0.0, 1000) is None
    assert usage.noted((ring(),), 1.0, 2000) is None


def test_a_use_is_told_at_once_and_its_end_a_while_after() -> None:
    usage = Usage(MODEL)
    assert usage.noted((ring(running=1, begun=1),), 0.0, 1000) == ModelUse(MODEL, 1000, is_busy=True)
    assert usage.noted((ring(begun=1),), 1.0, 2000) == ModelUse(MODEL, 1000, is_busy=True)
    assert usage.noted((ring(begun=1),), 2.5, 3500) == ModelUse(MODEL, 1000)


def test_a_short_answer_between_two_looks_counts() -> None:
    usage = Usage(MODEL)
    usage.noted((ring(running=1, begun=1),), 0.0, 1000)
    usage.noted((ring(begun=1),), 5.0, 6000)
    assert usage.noted((ring(begun=2),), 6.0, 7000) == ModelUse(MODEL, 7000, is_busy=True)


def test_a_model_that_answers_on_and_on_says_so_now_and_then() -> None:
    usage = Usage(MODEL)
    told = {usage.noted((ring(running=1, begun=1),), s, 1000 * s) for s in range(1, 31)}
    assert sorted(use.used_ms for use in told if use is not None) == [1000, 11_000, 21_000]


def test_how_long_a_token_takes_is_told_coarsely() -> None:
    usage = Usage(MODEL)
    first = usage.noted((ring(running=1, begun=1, turn_us=1000),), 0.0, 1000)
    again = usage.noted((ring(running=1, begun=1, turn_us=1050),), 1.0, 2000)
    assert first == again
    assert first is not None
    assert 900 < first.token_us <= 1000
