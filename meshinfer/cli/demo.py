"""`meshinfer demo`: a real model, computed by several peers of this machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.config import default_cache_dir
from meshinfer.errors import MeshError

from .json_lines import JsonTerminal
from .leaving import INTERRUPTED
from .local_ring import MOST_PEERS, WantedModel, ended_by_signals, form, own_names, tell_news
from .logs import LOG_FORMAT, LogFormat, terminal_for
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from .answering import TalkSettings
    from .children import ChildPeers
    from .client import PeerClient

EXAMPLES = """\b
Examples:
  meshinfer demo
  meshinfer demo --prompt "What is the capital of France?"
  meshinfer demo --peers 4 --prompt "Count to ten." --max-tokens 40
"""


@dataclass(frozen=True, slots=True)
class _Show:
    """What the demo is to show. prompt: None opens a chat."""

    wanted: WantedModel
    peers: int
    prompt: str | None


def demo(
    peers: Annotated[
        int, typer.Option(min=1, max=MOST_PEERS, metavar="N", help="How many peers share the model.")
    ] = 2,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Answer this once and leave.", show_default="a chat opens"),
    ] = None,
    model: Annotated[str, typer.Option(help="What to run, as for join.")] = "smollm2",
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="What the model is told first.")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=2,
            metavar="T",
            help="0 always takes the likeliest word.",
            show_default="0 with --prompt, 0.4 in the chat",
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Longest answer, in tokens.")] = 256,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Makes answers repeatable.", show_default="another each time"),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="Where built-in models are kept.", show_default="~/.cache/meshinfer"),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing.")] = False,
    log_format: Annotated[LogFormat, LOG_FORMAT] = LogFormat.TEXT,
) -> None:
    """See a real model answer over a ring of peers on this machine.

    The peers are processes of their own, and each holds a part of the layers. The model comes inside a
    package from PyPI (93 MB, once): no account and no hub is needed.
    """
    from .answering import TalkSettings

    terminal = terminal_for(log_format)
    warmth = temperature if temperature is not None else (0.0 if prompt is not None else 0.4)
    settings = TalkSettings(system, warmth, max_tokens, seed)
    folder = cache_dir.expanduser() if cache_dir else default_cache_dir()
    try:
        with ended_by_signals():
            _run(_Show(WantedModel(model, folder, not offline), peers, prompt), settings, terminal)
    except KeyboardInterrupt as interrupt:
        terminal.say("stopped", Tone.DIM)
        raise typer.Exit(INTERRUPTED) from interrupt


def _run(show: _Show, settings: "TalkSettings", terminal: Terminal) -> None:
    from .children import ChildPeers
    from .client import ClientError, PeerClient
    from .forming import FormingFailed

    try:
        show.wanted.fetch(terminal)
        with ChildPeers() as children, own_names("demo", show.peers, show.wanted.cache_dir) as names:
            forming = form(show.wanted, names, children, terminal)
            # The second one: whoever is asked answers, not only the head.
            asked = names[1 % len(names)]
            with PeerClient(forming.api_urls[asked]) as client:
                if not isinstance(terminal, JsonTerminal):
                    _show_ring(client, children, terminal)
                _converse(show, settings, client, asked, children, terminal)
    except (MeshError, ClientError, FormingFailed) as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(1) from error


def _show_ring(client: "PeerClient", children: "ChildPeers", terminal: Terminal) -> None:
    """A table of who holds what, with the memory that each process really takes."""
    from rich.table import Table

    from meshinfer.topology.draw.figure import layers_text

    from .mesh_table import print_drawing
    from .mesh_view import read_mesh

    pids = children.pids
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("peer", "pid", "layers", "memory", "API"):
        table.add_column(title, no_wrap=True)
    for member in sorted(read_mesh(client.mesh()).members, key=lambda member: member.layers or (0, 0)):
        layers = layers_text(*member.layers) if member.layers else "–"
        pid = pids.get(member.name, 0)
        table.add_row(member.name, str(pid), layers, _resident_text(pid), f"{member.api}/v1")
    print_drawing(terminal.console(), table)


def _resident_text(pid: int) -> str:
    import psutil

    from .amounts import size_text

    try:
        return size_text(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return "–"


def _converse(
    show: _Show,
    settings: "TalkSettings",
    client: "PeerClient",
    asked: str,
    children: "ChildPeers",
    terminal: Terminal,
) -> None:
    from .answering import ask
    from .conversation import Conversation
    from .talk import HELP, talk
    from .typed import confirm

    if show.prompt is None:
        terminal.say(f"\nAsk {asked}. {HELP}.")
        talk(client, terminal, settings, _typed_between_news(children, terminal), confirm)
        return
    terminal.say(f"\n{asked} is asked: {show.prompt}\n")
    answer = ask(client, Conversation(settings.system).asked(show.prompt), settings)
    terminal.say(f"\n{answer.pace}", Tone.DIM)
    if answer.finish is None:
        raise KeyboardInterrupt


def _typed_between_news(children: "ChildPeers", terminal: Terminal) -> Iterator[str]:
    """What a person types; between an answer and the next prompt, what peers said meanwhile."""
    from .talk import COMMANDS, HELP
    from .typed import typed_lines

    for typed in typed_lines(terminal, HELP, words=tuple(COMMANDS)):
        yield typed
        tell_news(children, terminal)
