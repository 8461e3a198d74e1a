"""Lines of text in aligned columns, by the width that each character takes on a screen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

GAP = 2
"""Blanks between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """title: above it. is_number: its cells stand at its right edge. most: cells that it takes at most."""

    title: str
    is_number: bool = False
    most: int | None = None


def widths(columns: Sequence[Column], rows: Iterable[Sequence[Text]]) -> list[int]:
    """What each column needs for its title and for every one of its cells."""
    found = [cell_len(column.title) for column in columns]
    for row in rows:
        found = [max(width, cell.cell_len) for width, cell in zip(found, row, strict=True)]
    return [
        width if column.most is None else min(width, column.most)
        for width, column in zip(found, columns, strict=True)
    ]


def total(each: Sequence[int]) -> int:
    """How wide a line of such columns is."""
    return sum(each) + GAP * max(0, len(each) - 1)


def line(columns: Sequence[Column], each: Sequence[int], cells: Sequence[Text]) -> Text:
    """One line. What is too wide for its column ends in `…`; nothing follows the last cell."""
    told = Text()
    for column, width, cell in zip(columns, each, cells, strict=True):
        shown = cell.copy()
        shown.truncate(width, overflow="ellipsis")
        blanks = " " * (width - shown.cell_len)
        told.append_text(Text.assemble(blanks, shown) if column.is_number else Text.assemble(shown, blanks))
        told.append(" " * GAP)
    told.rstrip()
    return told


def titles(columns: Sequence[Column], each: Sequence[int], style: str) -> Text:
    """The line above all others."""
    return line(columns, each, [Text(column.title, style) for column in columns])
