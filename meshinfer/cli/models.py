"""`meshinfer models`: what can be run without a download, and what runs now."""

from pathlib import Path
from typing import Annotated

import typer

from meshinfer.config import default_cache_dir

from .amounts import size_text
from .peer_url import USUAL_URL, UrlOption
from .terminal import Terminal, Tone

EXAMPLES = """\b
Examples:
  meshinfer models
  meshinfer models --cache-dir /data/meshinfer
"""


def models(
    url: UrlOption = USUAL_URL,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="Where built-in models are kept.", show_default="~/.cache/meshinfer"),
    ] = None,
) -> None:
    """List the models on this machine, and what runs now.

    Those of the cache directory and of the Hugging Face cache need no download.
    """
    from meshinfer.errors import ModelError

    terminal = Terminal()
    try:
        _list_installed(terminal, cache_dir.expanduser() if cache_dir else default_cache_dir())
    except ModelError as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(1) from error
    terminal.say("")
    _tell_served(terminal, url)


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
            what = health.model if health.is_ok else health.reason
            terminal.say(
                f"{health.peer_name} at {url} {state} {what}", Tone.GOOD if health.is_ok else Tone.PLAIN
            )
