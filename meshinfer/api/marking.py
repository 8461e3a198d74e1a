"""Marks in a text that comes in pieces of any size: where one stands, and what may yet become one."""

from collections.abc import Iterable


def first_mark(text: str, marks: Iterable[str], begin: int = 0) -> tuple[int, str] | None:
    """The mark that stands first, from `begin` on, and where; of two at one place the longer. Empty ones are
    none.
    """
    found = [(text.find(mark, begin), -len(mark), mark) for mark in marks if mark]
    place, _, mark = min((each for each in found if each[0] >= 0), default=(-1, 0, ""))
    return (place, mark) if mark else None


def certain_length(text: str, marks: Iterable[str]) -> int:
    """How much of `text` cannot belong to a mark that the next piece completes; `text` holds none."""
    held = max((_beginning(text, mark) for mark in marks), default=0)
    return len(text) - held


def _beginning(text: str, mark: str) -> int:
    """The length of the longest end of `text` with which `mark` begins, short of all of it."""
    lengths = range(min(len(mark) - 1, len(text)), 0, -1)
    return next((length for length in lengths if text.endswith(mark[:length])), 0)
