"""One answer's way through a compiled grammar: which tokens may come next, and whether it is whole."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshinfer.errors import StageFailed

if TYPE_CHECKING:
    from llguidance import LLMatcher


class GrammarMatcher:
    """Implements `Matcher` with llguidance. Used on one thread only."""

    def __init__(self, matcher: "LLMatcher", end_token: int) -> None:
        """Take over a matcher that has taken nothing yet. end_token: the grammar's own, behind all others."""
        self._matcher = matcher
        self._end_token = end_token
        self._length = 0

    @property
    def length(self) -> int:
        """How many tokens of the answer it has taken."""
        return self._length

    def take(self, tokens: Sequence[int]) -> None:
        """Go on by some tokens of the answer.

        Raises:
            StageFailed: the constraint does not allow them.
        """
        if not self._matcher.consume_tokens(list(tokens)):
            raise StageFailed(
                f"the answer left its constraint within {len(tokens)} tokens behind the first {self._length}"
            )
        self._length += len(tokens)

    def mask(self, stop_tokens: Sequence[int]) -> bytes:
        """Which tokens may follow: a bit for each id, the lowest first; ids beyond the end may not.

        Stop tokens may where the answer is whole, and nowhere else.

        Raises:
            StageFailed: no token may follow, or that cannot be found out within llguidance's limits.
        """
        bits = bytearray(self._matcher.compute_bitmask())
        is_whole = self._matcher.is_accepting()
        for token in stop_tokens:
            _set(bits, token, is_whole)
        _set(bits, self._end_token, False)
        if self._matcher.is_error() or not any(bits):
            raise StageFailed(
                f"behind {self._length} tokens of the answer, its constraint allows no token of the model, "
                "or is too complex"
            )
        return bytes(bits)

    def is_over(self) -> bool:
        """Whether the answer is whole, and nothing can follow it."""
        return self._matcher.is_stopped() and not self._matcher.is_error()


def _set(bits: bytearray, token: int, value: bool) -> None:
    byte, bit = divmod(token, 8)
    if 0 <= byte < len(bits):
        bits[byte] = bits[byte] & ~(1 << bit) | value << bit
