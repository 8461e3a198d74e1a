"""Finding a model that the mesh runs: on this disk, at another peer, or where it comes from."""

from collections.abc import Awaitable, Callable

from meshinfer.errors import ModelError, ModelMismatch, UnknownModel
from meshinfer.topology.desire import DesiredModel

from .actor import Reply, Tells
from .mail import LocalModel
from .porter import BringBlueprint
from .weights import Fetch

Receive = Callable[[bytes, DesiredModel], Awaitable[LocalModel]]
"""(blueprint, what it is of) → the model, of which no layers are here."""


class Search:
    """Finds exactly the content that the mesh runs; its layers may still have to be brought.

    is_ours: whether this peer's own user has named a source.
    """

    def __init__(
        self, fetch: Fetch, receive: Receive, porter: Tells[BringBlueprint], is_ours: Callable[[str], bool]
    ) -> None:
        self._fetch = fetch
        self._is_ours = is_ours
        self._receive = receive
        self._porter = porter

    async def find(self, desired: DesiredModel) -> LocalModel:
        """Find a model.

        Raises:
            ModelError: it cannot be had; the text says why and what to do.
        """
        on_disk = await self._fetched(desired, is_download_allowed=False)
        if isinstance(on_disk, LocalModel) and on_disk.card.fingerprint == desired.fingerprint:
            return on_disk
        asked: Reply[bytes | None] = Reply()
        await self._porter.tell(BringBlueprint(desired.fingerprint, asked))
        blueprint = await asked.answered()
        if blueprint is not None:
            return await self._receive(blueprint, desired)
        found = on_disk
        if desired.is_download_allowed and isinstance(on_disk, UnknownModel):
            found = await self._fetched(desired, is_download_allowed=True)
        if not isinstance(found, LocalModel):
            raise _named(found, desired)
        if found.card.fingerprint != desired.fingerprint:
            raise ModelMismatch(
                f"{desired.source} is something else here than where {desired.name} was asked for, whose "
                f"fingerprint is {desired.fingerprint[:8]}, and no peer that has it is there: start one"
            )
        return found

    async def _fetched(self, desired: DesiredModel, *, is_download_allowed: bool) -> LocalModel | ModelError:
        if _is_path(desired.source) and not self._is_ours(desired.source):
            return UnknownModel(f"{desired.source} is a place on another machine")
        try:
            return await self._fetch(desired.source, is_download_allowed)
        except ModelError as error:
            return error


def _is_path(source: str) -> bool:
    """Whether a source leads somewhere on a disk: what others ask for never says where this peer reads."""
    return source.startswith(("dir:", "/", "~", ".")) or "adapter=" in source.rpartition("?")[2]


def _named(error: ModelError, desired: DesiredModel) -> ModelError:
    if not desired.source.startswith("dir:"):
        return error
    return UnknownModel(
        f"the mesh runs {desired.name} from a directory of another machine ({desired.source}), and no peer "
        "that has it is there: start one, or start this peer with --model DIRECTORY, a copy of it"
    )
