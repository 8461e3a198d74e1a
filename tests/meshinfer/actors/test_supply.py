"""Bringing layers: from other peers first, and from where the model comes what they lack."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from meshinfer.actors.bringing import Bring, Intake
from meshinfer.actors.supply import Supply
from meshinfer.model.base import ModelFiles
from tests.meshinfer.actors.test_placement import CARD, FINGERPRINT
from tests.simulation.stock import WholeStock


class Disk(WholeStock):
    """A stock that lacks some tensors, and a porter that is told of it; `done` is what they did, in order."""

    def __init__(self, missing: Mapping[str, int], orphans: tuple[str, ...] = ()) -> None:
        self.lacks = dict(missing)
        self.orphans = orphans
        self.done: list[str] = []

    async def put(self, fingerprint: str, files: ModelFiles) -> tuple[tuple[int, int], ...]:
        raise AssertionError("it is there already")

    async def stored(self, fingerprint: str) -> tuple[tuple[int, int], ...]:
        return ((1, 3),)

    async def missing(self, fingerprint: str, layers: range) -> Mapping[str, int]:
        assert (fingerprint, layers) == (FINGERPRINT, range(1, 3))
        return self.lacks

    @asynccontextmanager
    async def intake(self, fingerprint: str, layers: range) -> AsyncIterator[Intake]:
        self.done.append("opened")
        yield cast(Any, self)
        self.done.append("closed")

    async def complete(self, fingerprint: str, layers: range) -> None:
        self.done.append("completed")

    async def tell(self, bring: Bring) -> None:
        assert (bring.name, bring.sizes) == ("tiny", self.lacks)
        self.done.append("brought")
        bring.done.answer(self.orphans)

    def offer(self, bring: Bring) -> bool:
        raise AssertionError("it has to be told")


async def test_nothing_is_asked_for_where_nothing_is_missing() -> None:
    disk = Disk({})
    assert await Supply(disk, disk).bring(CARD, range(1, 3)) == ((1, 3),)
    assert disk.done == []


async def test_other_peers_are_asked_and_then_nobody_else() -> None:
    disk = Disk({"w": 10})
    assert await Supply(disk, disk).bring(CARD, range(1, 3)) == ((1, 3),)
    assert disk.done == ["opened", "brought", "closed"]


async def test_what_no_peer_has_comes_from_where_the_model_comes_from() -> None:
    disk = Disk({"w": 10, "v": 10}, orphans=("v",))
    await Supply(disk, disk).bring(CARD, range(1, 3))
    assert disk.done == ["opened", "brought", "closed", "completed"]
