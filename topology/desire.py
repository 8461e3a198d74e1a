"""What the mesh should run: values that all peers come to share, without a log or a leader."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .ring import PeerId

SPREAD_AUTO = 0
"""The planner decides over how many peers the model is spread."""
SPREAD_ALL = -1
"""Every peer that can hold layers holds some."""

MAX_TEXT = 512
"""Characters that any one text of a desired model may have."""

MAX_DESIRES = 32
"""Models that a mesh may be asked for at once; it remembers as many that were taken back."""


@dataclass(frozen=True, slots=True)
class DesiredModel:
    """A model that the mesh runs, by whom it was asked for, and over how many peers it is spread.

    revision: raised when somebody changes it on purpose. created_ms: when it was asked for, or taken back,
    on the asker's clock. source: how any peer gets the same files; `dir:` sources are each peer's own.
    fingerprint: the content that counts. spread: SPREAD_AUTO, SPREAD_ALL, or a number of peers.
    is_wanted: false once somebody took it back; the value stays, so that nobody brings it up again.
    is_download_allowed: whether peers may fetch it from the network, or take what they have on disk alone.

    Raises:
        ValueError: a text is too long.
    """

    revision: int
    created_ms: int
    by: PeerId
    name: str
    source: str
    fingerprint: str
    spread: int
    is_wanted: bool = True
    is_download_allowed: bool = True

    def __post_init__(self) -> None:
        if max(len(text) for text in (self.by, self.name, self.source, self.fingerprint)) > MAX_TEXT:
            raise ValueError(f"a text of a desired model has at most {MAX_TEXT} characters")

    @property
    def age(self) -> tuple[int, str, str]:
        """Sorts desired models by when they were asked for, the same on every peer."""
        return (self.created_ms, self.by, self.name)

    def beats(self, other: "DesiredModel | None") -> bool:
        """Whether this is the one to keep of the two.

        A change on purpose wins; otherwise what was asked for first, so that a newcomer follows the mesh
        that it joins. Ties fall by peer id: merging is commutative, associative and idempotent.
        """
        if other is None:
            return True
        return self._rank < other._rank

    @property
    def _rank(self) -> tuple[object, ...]:
        asked = (self.created_ms, self.by, self.fingerprint, self.spread, self.source)
        return (-self.revision, *asked, self.is_wanted, self.is_download_allowed)


def merge_desires(held: tuple[DesiredModel, ...], told: Iterable[DesiredModel]) -> tuple[DesiredModel, ...]:
    """Keep the better value for each name, in canonical order.

    Of too many models those stay that were asked for first, and of those that were taken back the latest.
    """
    best = {model.name: model for model in held}
    for model in told:
        if model.beats(best.get(model.name)):
            best[model.name] = model
    everything = sorted(best.values(), key=lambda model: model.age)
    wanted = [model for model in everything if model.is_wanted][:MAX_DESIRES]
    given_back = [model for model in everything if not model.is_wanted][-MAX_DESIRES:]
    return tuple(sorted((*wanted, *given_back), key=lambda model: model.age))


def wanted_models(desires: Iterable[DesiredModel]) -> tuple[DesiredModel, ...]:
    """The models that were asked for and not taken back, in the order in which they were asked for.

    Of two names for the same content the first counts: it is in memory once.
    """
    wanted: dict[str, DesiredModel] = {}
    for model in sorted(desires, key=lambda model: model.age):
        if model.is_wanted:
            wanted.setdefault(model.fingerprint, model)
    return tuple(wanted.values())


def asked_again(
    held: DesiredModel | None, model: DesiredModel, *, is_changed: bool = False
) -> DesiredModel | None:
    """How `model` is asked for where the mesh knows `held` by its name; None: it runs already.

    is_changed: somebody wants it just so, with this content and this spread. A model that runs keeps its
    place in the order.
    """
    if held is None:
        return model
    if not held.is_wanted:
        return replace(model, revision=held.revision + 1)
    changed = replace(model, revision=held.revision + 1, created_ms=held.created_ms, by=held.by)
    is_same = replace(changed, revision=held.revision, is_download_allowed=held.is_download_allowed) == held
    return None if is_same or not is_changed else changed


def taken_back(held: DesiredModel, by: PeerId, now_ms: int) -> DesiredModel:
    """How `held` is taken back; later than it was asked for, whatever the clocks say."""
    return replace(
        held,
        revision=held.revision + 1,
        created_ms=max(now_ms, held.created_ms + 1),
        by=by,
        is_wanted=False,
    )


def spread_text(spread: int) -> str:
    """`auto`, `all` or the number, as `--stages` spells it."""
    return {SPREAD_AUTO: "auto", SPREAD_ALL: "all"}.get(spread, str(spread))
