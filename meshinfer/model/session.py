"""What a shard keeps of a session beside its caches."""

from concurrent.futures import Future
from dataclasses import dataclass, field

from meshinfer.errors import RequestError, StageFailed
from meshinfer.messages import Opening

from .kept import HandedOn
from .language import Matcher
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
    matcher: at the tail, on its way or there, where the answer is constrained. It follows the history: so an
    answer that was begun elsewhere goes on as it would have there.
    """

    opening: Opening
    length: int = 0
    history: list[int] = field(default_factory=list)
    handed_on: HandedOn | None = None
    refill: Refill | None = None
    marks: dict[int, Mark] = field(default_factory=dict)
    matcher: Future[Matcher] | None = None

    def next_draw(self) -> Draw:
        """What its next token is chosen by, at the tail.

        Raises:
            StageFailed: its constraint cannot be done, or the answer has left it.
        """
        opening = self.opening
        mask = None
        if (matcher := self._following()) is not None:
            mask = matcher.mask(opening.stop_tokens)
        return Draw(
            opening.sampling,
            self.history,
            self._answer_start,
            len(self.history),
            mask,
            opening.top_logprobs,
        )

    def is_whole_with(self, token: int) -> bool:
        """Whether its constraint allows nothing behind `token`, which was just drawn.

        Raises:
            StageFailed: the constraint does not allow the token.
        """
        if token in self.opening.stop_tokens or (matcher := self._following()) is None:
            return False
        matcher.take((token,))
        return matcher.is_over()

    def _following(self) -> Matcher | None:
        """Its matcher, behind all of the answer that is in the history."""
        if self.matcher is None:
            return None
        try:
            # Mostly it is made while the prompt is computed.
            matcher = self.matcher.result()
        except RequestError as error:
            raise StageFailed(str(error)) from error
        behind = self.history[self._answer_start + matcher.length :]
        if behind:
            matcher.take(behind)
        return matcher

    @property
    def _answer_start(self) -> int:
        return self.opening.prompt_tokens - self.opening.answered_tokens
