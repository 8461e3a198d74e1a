"""Bars made of characters; what they say shows without colours too, and in ASCII where there is no more."""

from rich.text import Text

from .terminal import visible

FULL, OTHER, REST = "━", "╍", "┄"

_ASCII = str.maketrans("━╍┄╭╰│─▸–…→×·", "=-./\\|->-~>x-")


def layer_bar(layers: tuple[int, int], layer_count: int, width: int, style: str) -> Text:
    """Where a range of layers lies among all of them, in `width` cells, one of them at least."""
    count = max(1, layer_count)
    first = min(layers[0] * width // count, width - 1)
    end = max(first + 1, layers[1] * width // count)
    return Text.assemble((REST * first, "dim"), (FULL * (end - first), style), (REST * (width - end), "dim"))


def memory_bar(own_bytes: int, taken_bytes: int, memory_bytes: int, width: int) -> Text:
    """How much of a memory one model takes, how much the others do, and what is left.

    What is not nothing shows.
    """
    room = max(1, memory_bytes, taken_bytes)
    own = -(-own_bytes * width // room)
    other = max(0, -(-max(own_bytes, taken_bytes) * width // room) - own)
    is_full = taken_bytes > memory_bytes > 0
    return Text.assemble(
        (FULL * own, "red" if is_full else "cyan"),
        (OTHER * other, "cyan dim"),
        (REST * (width - own - other), "dim"),
    )


def ascii_of(text: str) -> str:
    """The text with ASCII in the place of each character that our drawings are made of."""
    return visible(text).translate(_ASCII)
