from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import Follow, Phase
from meshinfer.topology.sharing import left_by, taken_bytes
from meshinfer.topology.target import Digest, Epoch, Target
from tests.topology.voices import record

OLD, YOUNG = "a" * 32, "b" * 32


def follow(model: str, need_bytes: int, epoch: int = 1) -> Follow:
    return Follow(model, Target(Epoch(epoch), Digest(model)), Phase.ACTIVE, 0, need_bytes)


def member(memory_bytes: int, *follows: Follow) -> Member:
    return Member(replace(record(1), memory_bytes=memory_bytes, follows=follows), Status.ALIVE)


def test_an_older_models_plan_leaves_the_rest_to_the_younger() -> None:
    (left,) = left_by([member(100, follow(OLD, 60), follow(YOUNG, 30))], [OLD])
    assert left.record.memory_bytes == 40


def test_of_two_plans_of_one_model_the_larger_counts() -> None:
    changing = member(100, follow(OLD, 60, 1), follow(OLD, 70, 2))
    assert taken_bytes(changing.record, {OLD}) == 70


def test_plans_that_take_more_than_there_is_leave_nothing() -> None:
    (left,) = left_by([member(50, follow(OLD, 60))], [OLD])
    assert left.record.memory_bytes == 0


def test_a_peer_without_such_plans_is_the_very_same() -> None:
    one = member(100, follow(YOUNG, 60))
    assert left_by([one], [OLD])[0] is one


@given(st.lists(st.integers(0, 100), max_size=4), st.integers(0, 300))
def test_what_is_taken_and_what_is_left_make_the_whole(needs: list[int], memory_bytes: int) -> None:
    models = [f"{number}" * 32 for number in range(len(needs))]
    one = member(memory_bytes, *(follow(model, need) for model, need in zip(models, needs, strict=True)))
    (left,) = left_by([one], models)
    assert left.record.memory_bytes == max(0, memory_bytes - sum(needs))
