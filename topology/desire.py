"""What the mesh should run: one value that all peers come to share, without a log or a leader."""

from dataclasses import dataclass

from .ring import PeerId

SPREAD_AUTO = 0
"""The planner decides over how many peers the model is spread."""
SPREAD_ALL = -1
"""Every peer that can hold layers holds some."""


@dataclass(frozen=True, slots=True)
class DesiredModel:
    """The model that the mesh runs, by whom it was asked for, and over how many peers it is spread.

    revision: raised when somebody changes it on purpose. created_ms: when it was asked for, on the
    asker's clock. source: how any peer gets the same files; `dir:` sources are each peer's own.
    fingerprint: the content that counts. spread: SPREAD_AUTO, SPREAD_ALL, or a number of peers.
    """

    revision: int
    created_ms: int
    by: PeerId
    name: str
    source: str
    fingerprint: str
    spread: int

    def beats(self, other: "DesiredModel | None") -> bool:
        """Whether this is the one to keep of the two.

        A change on purpose wins; otherwise what was asked for first, so that a newcomer follows the mesh
        that it joins. Ties fall by peer id: merging is commutative, associative and idempotent.
        """
        if other is None:
            return True
        mine = (-self.revision, self.created_ms, self.by, self.fingerprint, self.spread)
        return mine < (-other.revision, other.created_ms, other.by, other.fingerprint, other.spread)


def spread_text(spread: int) -> str:
    """`auto`, `all` or the number, as `--stages` spells it."""
    return {SPREAD_AUTO: "auto", SPREAD_ALL: "all"}.get(spread, str(spread))
