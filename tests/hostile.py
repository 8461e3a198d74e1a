"""Texts that no tool should write, made of what one did write: cut, shuffled, doubled, garbled."""

from hypothesis import strategies as st


def hostile(text: str) -> st.SearchStrategy[str]:
    """Variants of a text, and texts that have nothing to do with it."""
    lines = text.splitlines(keepends=True)
    cut = st.integers(0, len(text)).map(lambda end: text[:end])
    beheaded = st.integers(0, len(text)).map(lambda start: text[start:])
    shuffled = st.permutations(lines).map("".join)
    doubled = st.integers(2, 40).map(lambda times: text * times)
    return st.one_of(cut, beheaded, shuffled, doubled, _garbled(text), st.text(max_size=400))


def _garbled(text: str) -> st.SearchStrategy[str]:
    """A few characters replaced by any others."""
    places = st.integers(0, max(len(text) - 1, 0))
    changes = st.lists(st.tuples(places, st.text(max_size=8)), max_size=8)

    def garble(changed: list[tuple[int, str]]) -> str:
        result = text
        for place, piece in changed:
            result = result[:place] + piece + result[place + 1 :]
        return result

    return changes.map(garble)
