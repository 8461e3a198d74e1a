"""Prints what `GET /mesh/why` says: its sentences, below what they are about."""

from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from .client import ClientError
from .mesh_table import Spelled, print_drawing
from .terminal import Terminal, visible

_TITLES = {
    "ring": "the ring",
    "order": "why this order",
    "ranges": "why these layers",
    "left out": "who is left out",
    "what if": "what would change it",
    "staying": "why it stays",
}


def show_why(told: dict[str, Any], terminal: Terminal) -> None:
    """Print the sentences.

    Raises:
        ClientError: they cannot be read.
    """
    try:
        model = str(told["model"])
        said = [(str(each["about"]), str(each["text"])) for each in told["sentences"]]
    except (KeyError, TypeError) as error:
        raise ClientError(
            f"the peer explains its ring in a way that this release cannot read ({error!r}): "
            "use the same release of meshinfer as the peer"
        ) from error
    parts: list[RenderableType] = [Text(visible(model), "bold")]
    for about, title in _TITLES.items():
        texts = [text for each, text in said if each == about]
        if texts:
            parts += [Text(""), Text(title, "cyan")]
            parts += [Padding(Text(visible(text)), (0, 0, 0, 2), expand=False) for text in texts]
    print_drawing(terminal.console(), Spelled(Group(*parts)))
