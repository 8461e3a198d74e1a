"""What a shard keeps of a session beside its caches."""

from dataclasses import dataclass, field

from meshinfer.messages import Opening

from .kept import HandedOn
from .prefixes import Mark
from .refill import Refill
from .sampling import Draw


@dataclass(slots=True)
class Session:
    """One session on one shard.

    length: how many tokens were computed. history: all their ids, at the tail only.
    handed_on: what left for the next stage, from the first token on; None at the tail, or if not kept.
    refill: while it is resumed, until the first step after.
    marks: copies of caches that cannot be cut, by the number of tokens they stand behind.
    """

    opening: Opening
    length: int = 0
    history: list[int] = field(default_factory=list)
    handed_on: HandedOn | None = None
    refill: Refill | None = None
    marks: dict[int, Mark] = field(default_factory=dict)

    def next_draw(self) -> Draw:
        """What its next token is chosen by, at the tail."""
        answer_start = self.opening.prompt_tokens - self.opening.answered_tokens
        return Draw(self.opening.sampling, self.history, answer_start, len(self.history))
