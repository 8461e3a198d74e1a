from dataclasses import replace

from meshinfer.topology.desire import SPREAD_AUTO, DesiredModel
from meshinfer.topology.eviction import is_busy, may_go, token_us, used_ms
from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import ModelUse
from meshinfer.topology.ring import PeerId
from tests.topology.voices import record

ME = PeerId("e" * 32)


def model(name: str, created_ms: int) -> DesiredModel:
    return DesiredModel(0, created_ms, ME, name, f"hf:{name}@1", name * 32, SPREAD_AUTO)


A, B, C = model("a", 1000), model("b", 2000), model("c", 3000)


def member(*uses: ModelUse, started_with: str = "", status: Status = Status.ALIVE, index: int = 1) -> Member:
    return Member(replace(record(index), uses=uses, started_with=started_with), status)


def test_who_was_used_longest_ago_goes_first() -> None:
    seen = [member(ModelUse(A.fingerprint, 9000), ModelUse(B.fingerprint, 5000))]
    # c was never asked: what counts is when somebody wanted it.
    assert may_go((A, B, C), seen) == (C, B, A)


def test_the_last_use_that_any_head_tells_of_counts() -> None:
    seen = [
        member(ModelUse(A.fingerprint, 9000)),
        member(ModelUse(A.fingerprint, 7000), index=2, status=Status.DEAD),
    ]
    assert used_ms(A, seen) == 9000


def test_what_a_running_peer_was_started_with_stays() -> None:
    assert may_go((A, B), [member(started_with=A.fingerprint)]) == (B,)
    gone = member(started_with=A.fingerprint, status=Status.DEAD)
    assert may_go((A, B), [gone]) == (A, B)


def test_what_was_taken_back_is_gone_already() -> None:
    assert may_go((replace(A, is_wanted=False), B), []) == (B,)


def test_a_model_is_busy_as_long_as_its_head_is_there_and_says_so() -> None:
    use = ModelUse(A.fingerprint, 9000, is_busy=True, token_us=500)
    assert is_busy(A, [member(use)])
    assert not is_busy(B, [member(use)])
    assert not is_busy(A, [member(use, status=Status.DEAD)])
    assert token_us(A.fingerprint, [member(use)]) == 500
    assert token_us(A.fingerprint, [member(use, status=Status.LEFT)]) == 0
