"""Texts in pieces, for whatever must not mind where they are cut."""

from itertools import pairwise

from hypothesis import strategies as st


@st.composite
def pieces(draw: st.DrawFn, parts: tuple[str, ...]) -> tuple[str, list[str]]:
    """A text made of some `parts`, and the same cut anywhere."""
    text = "".join(draw(st.lists(st.sampled_from(parts), max_size=8)))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)) | {0, len(text)})
    return text, [text[a:b] for a, b in pairwise(cuts)] or [text]
