"""What the mesh should run: values that all peers come to share, without a log or a leader."""

from collections.abc import Iterable
from dataclasses import dataclass

from .ring import PeerId

SPREAD_AUTO = 0
"""The planner decides over how many peers the model is spread."""
SPREAD_ALL = -1
"""Every peer that can hold layers holds some."""

MAX_TEXT = 512
"""Characters that any one text of a desired model may have."""

MAX_DESIRES = 32
"""Models that a mesh remembers to have been asked for."""


@dataclass(frozen=True, slots=True)
class DesiredModel:
    """The model that the mesh runs, by whom it was asked for, and over how many peers it is spread.

    revision: raised when somebody changes it on purpose. created_ms: when it was asked for, on the
    asker's clock. source: how any peer gets the same files; `dir:` sources are each peer's own.
    fingerprint: the content that counts. spread: SPREAD_AUTO, SPREAD_ALL, or a number of peers.
    is_wanted: false once somebody took it back; the value stays, so that nobody brings it up again.

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
        return (-self.revision, *asked, self.is_wanted)


def merge_desires(held: tuple[DesiredModel, ...], told: Iterable[DesiredModel]) -> tuple[DesiredModel, ...]:
    """Keep the better value for each name, in canonical order; of too many models the oldest stay."""
    best = {model.name: model for model in held}
    for model in told:
        if model.beats(best.get(model.name)):
            best[model.name] = model
    return tuple(sorted(best.values(), key=lambda model: model.age)[:MAX_DESIRES])


def first_wanted(desires: Iterable[DesiredModel]) -> DesiredModel | None:
    """The model that was asked for first and not taken back."""
    return min((model for model in desires if model.is_wanted), key=lambda model: model.age, default=None)


def spread_text(spread: int) -> str:
    """`auto`, `all` or the number, as `--stages` spells it."""
    return {SPREAD_AUTO: "auto", SPREAD_ALL: "all"}.get(spread, str(spread))
