"""A disk on which every model is whole."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from meshinfer.actors.bringing import Intake
from meshinfer.model.base import ModelFiles

_ALL = ((0, 1 << 15),)


class WholeStock:
    """Implements `Stock`; nothing is ever missing, so nothing is given or brought."""

    async def put(self, fingerprint: str, files: ModelFiles) -> tuple[tuple[int, int], ...]:
        return _ALL

    async def stored(self, fingerprint: str) -> tuple[tuple[int, int], ...]:
        return _ALL

    async def blueprint(self, fingerprint: str) -> bytes | None:
        return None

    async def held(self, fingerprint: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        return ()

    async def read(self, fingerprint: str, name: str, begin: int, size_bytes: int) -> memoryview | None:
        return None

    async def missing(self, fingerprint: str, layers: range) -> Mapping[str, int]:
        return {}

    def intake(self, fingerprint: str, layers: range) -> AbstractAsyncContextManager[Intake]:
        raise AssertionError("nothing is missing")

    async def complete(self, fingerprint: str, layers: range) -> None:
        raise AssertionError("nothing is missing")
