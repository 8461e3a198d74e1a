"""`meshinfer topology`: look at the mesh."""

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from .leaving import INTERRUPTED
from .peer_url import USUAL_URL, UrlOption
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from .client import PeerClient

EXAMPLES = """\b
Examples:
  meshinfer topology
  meshinfer topology --watch
  meshinfer topology --url http://192.168.1.4:52415 --json | jq .ring
"""

_LOOK_EVERY_S = 1.0


def topology(
    url: UrlOption = USUAL_URL,
    as_json: Annotated[bool, typer.Option("--json", help="Print what GET /mesh says, as it is.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")] = False,
) -> None:
    """Show the ring: each peer's layers, memory and state.

    Any peer can be asked; they all tell the same once they agree.
    """
    if as_json and watch:
        raise typer.BadParameter("--json prints once: leave --watch away")

    from .client import ClientError, PeerClient

    terminal = Terminal()
    with PeerClient(url) as client:
        try:
            if as_json:
                typer.echo(json.dumps(client.mesh(), indent=2, ensure_ascii=False))
            elif watch:
                _watch(client, terminal)
            else:
                _show(client, terminal)
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(0 if watch else INTERRUPTED) from interrupt


def _show(client: "PeerClient", terminal: Terminal) -> None:
    from .mesh_table import draw, print_drawing
    from .mesh_view import read_mesh

    console = terminal.console()
    print_drawing(console, draw(read_mesh(client.mesh()), console))


def _watch(client: "PeerClient", terminal: Terminal) -> None:
    """Redraw on a terminal; elsewhere draw again when something changed."""
    from rich.live import Live

    from .mesh_table import draw, print_drawing
    from .mesh_view import read_mesh

    console, shown = terminal.console(), read_mesh(client.mesh())
    if terminal.is_interactive:
        with Live(draw(shown, console), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(_LOOK_EVERY_S)
                live.update(draw(read_mesh(client.mesh()), console), refresh=True)
    print_drawing(console, draw(shown, console))
    while True:
        time.sleep(_LOOK_EVERY_S)
        if (seen := read_mesh(client.mesh())) != shown:
            shown = seen
            print_drawing(console, draw(shown, console))
