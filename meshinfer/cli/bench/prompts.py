"""Prompts of exactly so many tokens that nobody has computed before."""

from random import Random


class Prompts:
    """Draws prompts as token ids, over the whole vocabulary.

    No two of them begin with the same token until the vocabulary is used up: a cache of prefixes, wherever
    it is, has nothing of them. chance: a fresh one each time, so that earlier runs left nothing either.
    """

    def __init__(self, vocab_size: int, chance: Random) -> None:
        self._vocab_size = vocab_size
        self._chance = chance
        self._next_first = chance.randrange(vocab_size)

    def draw(self, tokens: int) -> tuple[int, ...]:
        """A prompt of that many tokens, at least one."""
        first = self._next_first
        self._next_first = (first + 1) % self._vocab_size
        return (first, *(self._chance.randrange(self._vocab_size) for _ in range(tokens - 1)))
