"""Models that come and go in a mesh that the test describes: what fits, who is busy, what was asked for."""

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest

from meshinfer.actors.actor import Reply
from meshinfer.actors.door import Door, Seen
from meshinfer.actors.mail import Desire, Load, LocalModel, Unload
from meshinfer.errors import NoRing, NoRoom, WrongModel
from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO, DesiredModel, merge_desires, wanted_models
from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import ModelUse
from tests.meshinfer.actors.mailbag import A
from tests.meshinfer.actors.test_placement import CARD, MODEL
from tests.topology.voices import record

OLD = DesiredModel(0, 1000, A, "old", "hf:old@1", "a" * 32, SPREAD_AUTO)
YOUNG = DesiredModel(0, 2000, A, "young", "hf:young@1", "b" * 32, SPREAD_AUTO)


class Bench:
    """A door; what is asked of the mesh shows at once. most: models that there is room for."""

    def __init__(self, *desires: DesiredModel, most: int = 9) -> None:
        self.desires = desires
        self.most = most
        self.record = record(1)
        self.door = Door(A, self.why_not, self.seen, lambda: 9000, self)

    async def why_not(self, model: LocalModel, asked: DesiredModel, gone: Collection[str]) -> str:
        others = {each.fingerprint for each in wanted_models(self.desires)} - {*gone, asked.fingerprint}
        return "" if len(others) < self.most else f"{asked.name} needs 5 GB"

    def seen(self) -> Seen:
        return Seen((Member(self.record, Status.ALIVE),), self.desires)

    async def tell(self, message: Desire) -> None:
        self.desires = merge_desires(self.desires, (message.model,))

    def offer(self, message: Desire) -> bool:
        raise AssertionError("what the mesh is asked for is never dropped")

    async def load(self, spread: int | None = None, patience_s: float = 60.0) -> str:
        load = Load(MODEL, spread, True, patience_s, Reply())
        await self.door.load(load)
        return await load.done.wait(1)

    @property
    def names(self) -> list[str]:
        return [model.name for model in wanted_models(self.desires)]


async def test_where_there_is_room_nobody_goes() -> None:
    bench = Bench(OLD, YOUNG)
    assert await bench.load() == "tiny"
    assert bench.names == ["old", "young", "tiny"]


async def test_just_as_many_go_as_must_the_least_recently_used_first() -> None:
    bench = Bench(OLD, YOUNG, most=2)
    bench.record = replace(bench.record, uses=(ModelUse(OLD.fingerprint, 5000),))
    await bench.load()
    assert bench.names == ["old", "tiny"]


async def test_nobody_goes_where_that_would_not_help() -> None:
    bench = Bench(OLD, YOUNG, most=1)
    bench.record = replace(bench.record, started_with=OLD.fingerprint)
    with pytest.raises(NoRoom) as refused:
        await bench.load()
    words = "tiny needs 5 GB; old stays, because peers were started with it; unloading young would not help"
    assert str(refused.value) == words
    assert bench.names == ["old", "young"]


async def test_a_model_that_answers_is_waited_for() -> None:
    bench = Bench(OLD, most=1)
    bench.record = replace(bench.record, uses=(ModelUse(OLD.fingerprint, 5000, is_busy=True),))
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(bench.load())
        await asyncio.sleep(0)
        bench.door.look_again()
        await asyncio.sleep(0)
        assert bench.names == ["old"]
        bench.record = replace(bench.record, uses=(ModelUse(OLD.fingerprint, 5000),))
        bench.door.look_again()
    assert await loading == "tiny"
    assert bench.names == ["tiny"]


async def test_a_model_that_answers_on_and_on_is_named() -> None:
    bench = Bench(OLD, most=1)
    bench.record = replace(bench.record, uses=(ModelUse(OLD.fingerprint, 5000, is_busy=True),))
    with pytest.raises(NoRoom, match="tiny has no room beside old, which answered all the time for 0 s"):
        await bench.load(patience_s=0.01)
    assert bench.names == ["old"]


async def test_what_runs_already_is_only_spread_otherwise() -> None:
    running = replace(OLD, name="alias", fingerprint=CARD.fingerprint)
    bench = Bench(running, YOUNG, most=1)
    assert await bench.load() == "alias"
    assert bench.desires == (running, YOUNG)
    assert await bench.load(SPREAD_ALL) == "alias"
    assert bench.desires == (replace(running, revision=1, spread=SPREAD_ALL), YOUNG)


async def test_what_is_unloaded_was_asked_for() -> None:
    bench = Bench(OLD)
    gone, unknown = Unload("old", Reply()), Unload("young", Reply())
    await bench.door.unload(gone)
    await gone.done.wait(1)
    assert bench.names == []
    await bench.door.unload(unknown)
    with pytest.raises(WrongModel, match="the mesh does not run young: it runs no model"):
        await unknown.done.wait(1)


async def test_who_asks_a_peer_that_stops_does_not_wait_for_ever() -> None:
    bench = Bench(OLD, most=1)
    bench.record = replace(bench.record, uses=(ModelUse(OLD.fingerprint, 5000, is_busy=True),))
    loads = [Load(MODEL, None, True, 60.0, Reply()) for _ in range(2)]
    # Awaited below.
    tasks = [asyncio.create_task(bench.door.load(load)) for load in loads]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for load in loads:
        with pytest.raises(NoRing, match="ask again"):
            await load.done.wait(1)
