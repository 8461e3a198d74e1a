"""`meshinfer topology`: look at the mesh, live, as a drawing, or with its reasons."""

import asyncio
import json
from pathlib import Path
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
  meshinfer topology --why
  meshinfer topology --svg ring.svg
  meshinfer topology --url http://192.168.1.4:52415 --json | jq .ring
"""


def topology(
    url: UrlOption = USUAL_URL,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show this model's ring alone.", show_default="all of them"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it as it changes, until q or Ctrl-C.")] = False,
    why: Annotated[
        bool,
        typer.Option("--why", help="Say why the ring is as it is, and what would change it."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what GET /mesh says, or GET /mesh/why.")
    ] = False,
    as_mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Print the ring as Mermaid, for Markdown.")
    ] = False,
    as_dot: Annotated[bool, typer.Option("--dot", help="Print the ring for Graphviz.")] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the ring as a picture, - prints it.")
    ] = None,
) -> None:
    """Show the ring: each peer's layers, memory, ways and state.

    Any peer can be asked; they all tell the same once they agree.
    """
    asked = {
        "--watch": watch,
        "--why": why,
        "--json": as_json,
        "--mermaid": as_mermaid,
        "--dot": as_dot,
        "--svg": svg is not None,
    }
    _check([name for name, is_given in asked.items() if is_given], model)

    from .client import ClientError, PeerClient

    terminal = Terminal()
    try:
        if watch:
            _watch(url, model, terminal)
            return
        with PeerClient(url) as client:
            if why:
                _explain(client, model, terminal, as_json=as_json)
            elif as_json:
                typer.echo(json.dumps(client.mesh(), indent=2, ensure_ascii=False))
            elif as_mermaid or as_dot or svg is not None:
                _export(client, model, "mermaid" if as_mermaid else "dot" if as_dot else "svg", svg, terminal)
            else:
                _show(client, model, terminal)
    except ClientError as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(INTERRUPTED) from interrupt


def _check(given: list[str], model: str | None) -> None:
    """Refuse options that cannot be meant together.

    Raises:
        typer.BadParameter: some cannot.
    """
    if len(given) > 1 and given != ["--why", "--json"]:
        raise typer.BadParameter(f"{' and '.join(given)} ask for different things: give one of them")
    if given == ["--json"] and model is not None:
        raise typer.BadParameter("--json prints all models: leave --model away, or pick one with jq")


def _show(client: "PeerClient", model: str | None, terminal: Terminal) -> None:
    from .mesh_table import draw, print_drawing
    from .mesh_view import read_mesh
    from .watch import only

    console = terminal.console()
    print_drawing(console, draw(only(read_mesh(client.mesh()), model), console))


def _watch(url: str, model: str | None, terminal: Terminal) -> None:
    from .follow import Follower
    from .watch import watch

    asyncio.run(watch(Follower(url), model, terminal))


def _explain(client: "PeerClient", model: str | None, terminal: Terminal, *, as_json: bool) -> None:
    from .why_view import show_why

    told = client.why(model)
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        show_why(told, terminal)


def _export(
    client: "PeerClient", model: str | None, form: str, file: Path | None, terminal: Terminal
) -> None:
    from meshinfer.topology.draw.dot import dot
    from meshinfer.topology.draw.mermaid import mermaid
    from meshinfer.topology.draw.svg import svg

    from .client import ClientError
    from .mesh_view import read_mesh

    drawing = {"mermaid": mermaid, "dot": dot, "svg": svg}[form](read_mesh(client.mesh()).figure(model))
    if file is None or str(file) == "-":
        typer.echo(drawing, nl=False)
        return
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise ClientError(f"{file} cannot be written: {error.strerror}") from error
    terminal.say(f"{file} is written")
