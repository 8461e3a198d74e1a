"""How plans that lie in one memory share what the weights leave of it."""

from meshinfer.actors.installed import Installed, OpenSession
from meshinfer.messages import Opening, Sampling, SessionId
from meshinfer.model.base import StageCompute
from meshinfer.topology.plan import Plan
from meshinfer.topology.ring import Ring, Run, Stage
from meshinfer.topology.target import Epoch
from tests.meshinfer.actors.mailbag import A
from tests.simulation.model import fake_model
from tests.simulation.shard import load_fake_shard

RESERVE_TOKENS = 100
WEIGHT_BYTES = 4 * 1000 + 2 * 500


def installed(name: str, kv_bytes_per_token: int = 10, epoch: int = 1) -> Installed:
    """All four layers of a model on one peer."""
    files, card, _ = fake_model(
        4, 1000, name=name, embedding_bytes=500, tail_bytes=500, kv_bytes_per_token=kv_bytes_per_token
    )
    stage = Stage(A, Run(1), 0, 4)
    plan = Plan(Epoch(epoch), name, card.fingerprint, Ring(4, (stage,)))
    pieces = load_fake_shard(files, card, range(4), None, lambda *_: None)
    shard: StageCompute = next(piece for piece in pieces if piece is not None)
    return Installed(plan, stage, card, shard)


def open_session(held: Installed, tokens: int) -> None:
    opening = Opening(Sampling(), tokens - 1, 1, ())
    held.sessions[SessionId("s")] = OpenSession(A, opening)


def test_a_model_alone_has_all_that_its_weights_leave() -> None:
    one = installed("one")
    assert one.room([one], WEIGHT_BYTES + 4000, RESERVE_TOKENS) == 100


def test_models_share_what_is_free_by_what_their_plans_reserve() -> None:
    small, large = installed("small", 10), installed("large", 30)
    both = [small, large]
    memory_bytes = 2 * WEIGHT_BYTES + 16_000
    # Each gets what it reserved, and as many tokens more as the other.
    assert [held.room(both, memory_bytes, RESERVE_TOKENS) for held in both] == [100, 100]
    assert [held.room(both, memory_bytes * 2, RESERVE_TOKENS) for held in both] == [262, 262]


def test_what_one_models_sessions_take_is_taken_of_its_own_share() -> None:
    small, large = installed("small", 10), installed("large", 30)
    both = [small, large]
    memory_bytes = 2 * WEIGHT_BYTES + 16_000
    open_session(large, 50)
    assert [held.room(both, memory_bytes, RESERVE_TOKENS) for held in both] == [100, 100]


def test_a_next_plan_has_what_the_sessions_of_the_one_before_leave() -> None:
    before, after = installed("one"), installed("one", epoch=2)
    open_session(before, 30)
    # The weights lie in memory once.
    assert after.room([before, after], WEIGHT_BYTES + 4000, RESERVE_TOKENS) == 70
    assert before.room([before, after], WEIGHT_BYTES + 4000, RESERVE_TOKENS) == 100
