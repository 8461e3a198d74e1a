"""`meshinfer models`: what the mesh runs and what lies on its disks; without a peer, on this machine's."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.config import default_cache_dir

from .amounts import size_text
from .peer_url import USUAL_URL, UrlOption
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from .client import PeerClient

EXAMPLES = """\b
Examples:
  meshinfer models
  meshinfer models --cache-dir /data/meshinfer
"""


def models(
    url: UrlOption = USUAL_URL,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            help="List this machine's own models, the built-in ones out of this directory, whatever the mesh "
            "has.",
            show_default="~/.cache/meshinfer where no peer answers",
        ),
    ] = None,
) -> None:
    """List the models of the mesh, and who has loaded them.

    Where no peer answers, and with --cache-dir, those on this machine: of the cache directory, of the Hugging
    Face cache, and of other programs.
    """
    from meshinfer.errors import ModelError

    from .client import ClientError, PeerClient, Unreachable

    terminal, is_refused = Terminal(), False
    if cache_dir is None:
        try:
            with PeerClient(url) as client:
                _list_mesh(terminal, client)
        except Unreachable:
            # Told below: this machine's own list needs no peer.
            pass
        except ClientError as error:
            terminal.say(f"{error}; these are this machine's own models:", Tone.WARNING)
            is_refused = True
        else:
            _tell_served(terminal, url)
            return
    try:
        _list_installed(terminal, cache_dir.expanduser() if cache_dir else default_cache_dir())
    except ModelError as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(1) from error
    if not is_refused:
        terminal.say("")
        _tell_served(terminal, url)


def _list_mesh(terminal: Terminal, client: "PeerClient") -> None:
    from .mesh_table import print_drawing
    from .mesh_view import read_mesh
    from .model_table import model_table

    view = read_mesh(client.mesh())
    print_drawing(terminal.console(), model_table(view, time.time()))
    terminal.say("")


def _list_installed(terminal: Terminal, cache_dir: Path) -> None:
    from rich.table import Table

    from meshinfer.model.builtin import BUILTINS
    from meshinfer.model.source import installed

    from .mesh_table import print_drawing

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("model", "size", "where"):
        table.add_column(title, no_wrap=title == "size", overflow="fold")
    found = installed(cache_dir)
    for model in found:
        table.add_row(model.files.name, size_text(model.size_bytes), _short(model.files.path))
    here = {model.files.name for model in found}
    for name, builtin in BUILTINS.items():
        if name == builtin.name and builtin.precision and name not in here:
            table.add_row(name, "–", f"not here yet: {size_text(builtin.wheel.wheel_bytes)} from PyPI")
    print_drawing(terminal.console(), table)
    fastest = BUILTINS["smollm2"].fixed_precision
    terminal.say(f"smollm2 is smollm2-{fastest} on this machine", Tone.DIM)


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _tell_served(terminal: Terminal, url: str) -> None:
    from .client import ClientError, PeerClient, Unreachable

    with PeerClient(url) as client:
        try:
            health = client.health()
        except Unreachable:
            terminal.say(f"no peer answers at {url}", Tone.DIM)
        except ClientError as error:
            terminal.say(str(error), Tone.WARNING)
        else:
            state = "serves" if health.is_ok else "does not serve yet:"
            what = ", ".join(health.models) if health.is_ok else health.reason
            terminal.say(
                f"{health.peer_name} at {url} {state} {what}", Tone.GOOD if health.is_ok else Tone.PLAIN
            )
