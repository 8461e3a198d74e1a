"""The command itself: what is to be measured, and where the report goes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.cli.leaving import INTERRUPTED
from meshinfer.cli.local_ring import MOST_PEERS, WantedModel, ended_by_signals, form, own_names, tell_news
from meshinfer.cli.peer_url import USUAL_URL, url_option
from meshinfer.cli.terminal import Terminal, Tone
from meshinfer.config import RequestLimits, default_cache_dir
from meshinfer.errors import MeshError

from .sizes import WrongSizes, parse_sizes

if TYPE_CHECKING:
    from .figures import Report, Setting
    from .rounds_bar import RoundsBar
    from .session import Session

EXAMPLES = """\b
Examples:
  meshinfer bench
      the mesh that this machine's peer belongs to, as it is
  meshinfer bench --peers 1,2 --prompt 128,512 --tokens 64 --readers 1,4
      rings of one and two peers on this machine, one after the other
  meshinfer bench --url 192.168.1.4:52415 --json mesh.json --svg mesh.svg
      another mesh; figures and a picture of them for later
"""

_MOST_TOKENS = 1 << 20
_LIMITS = RequestLimits()
_MOST_READERS = _LIMITS.max_running + _LIMITS.max_waiting
"""A head refuses more than it runs and lets wait."""


def bench(
    peers: Annotated[
        str | None,
        typer.Option(
            metavar="N,…",
            help="Sizes of rings to start on this machine, one after the other.",
            show_default="the mesh at --url",
        ),
    ] = None,
    prompt: Annotated[str, typer.Option(metavar="N,…", help="Lengths of the prompt, in tokens.")] = "4096",
    tokens: Annotated[
        int, typer.Option(min=2, max=_MOST_TOKENS, metavar="N", help="Length of each answer, in tokens.")
    ] = 128,
    readers: Annotated[str, typer.Option(metavar="N,…", help="How many ask at the same moment.")] = "1,8",
    rounds: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="How often each; the median counts.")
    ] = 3,
    url: Annotated[
        str | None, url_option(f"The API of a peer of the mesh to measure.  [default: {USUAL_URL}]")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="With --peers: what to run, as for join.", show_default="smollm2"),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="With --peers: where built-in models are kept.", show_default="~/.cache/meshinfer"),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="With --peers: download nothing.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every sample there, as JSON.")
    ] = None,
    svg_file: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw a chart there, as SVG.")
    ] = None,
) -> None:
    """Measure how fast a mesh answers, by prompt, readers and ring size.

    Time to first token, prefill and decode tokens a second, memory, and where this machine tells them, watts
    and joules a token. Prompts are drawn anew each time, so that no cache flatters; answers go on to their
    full length. Ctrl-C stops, and what was measured until then is shown.
    """
    from .figures import Setting

    if peers is None and (model or cache_dir or offline):
        raise typer.BadParameter(
            "--model, --cache-dir and --offline are for rings that --peers starts: add it"
        )
    if peers is not None and url is not None:
        raise typer.BadParameter(
            "--url measures a mesh that runs, --peers starts rings here: give one of them"
        )
    for file in (json_file, svg_file):
        _check_can_be_written(file)
    setting = Setting(
        prompts=_sizes("--prompt", prompt, _MOST_TOKENS),
        tokens=tokens,
        readers=_sizes("--readers", readers, _MOST_READERS),
        rounds=rounds,
        peers=_sizes("--peers", peers, MOST_PEERS) if peers is not None else None,
        url=(url or USUAL_URL) if peers is None else None,
    )
    wanted = WantedModel(
        model or "smollm2", cache_dir.expanduser() if cache_dir else default_cache_dir(), not offline
    )
    raise typer.Exit(_run(setting, wanted, json_file, svg_file))


def _sizes(option: str, text: str, most: int) -> tuple[int, ...]:
    try:
        return parse_sizes(text, most)
    except WrongSizes as error:
        raise typer.BadParameter(f"{option} {error}") from error


def _check_can_be_written(file: Path | None) -> None:
    """Find out before anything is measured for hours."""
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        why = "it is a directory" if file.is_dir() else f"there is no directory {file.absolute().parent}"
        raise typer.BadParameter(f"{file} cannot be written: {why}")


def _run(setting: "Setting", wanted: WantedModel, json_file: Path | None, svg_file: Path | None) -> int:
    """Measure and show; return the exit status."""
    from meshinfer.cli.client import ClientError
    from meshinfer.cli.forming import FormingFailed

    terminal, status = Terminal(), 0
    with _session(setting, terminal) as session:
        try:
            with ended_by_signals():
                _measure(setting, wanted, session, terminal)
        except (MeshError, ClientError, FormingFailed) as error:
            terminal.say(str(error), Tone.ERROR)
            status = 1
        except KeyboardInterrupt:
            terminal.say("stopped", Tone.DIM)
            status = INTERRUPTED
    report = session.report(is_complete=not status)
    if report is not None:
        _show(report, terminal)
        status = _write(report, terminal, json_file, svg_file) or status
    return status


@contextmanager
def _session(setting: "Setting", terminal: Terminal) -> "Iterator[Session]":
    from meshinfer.machine.power import PowerUnreadable, open_meter

    from .session import Session

    try:
        meter = open_meter()
    except PowerUnreadable as reason:
        yield Session(setting, terminal, None, str(reason))
        return
    with meter:
        yield Session(setting, terminal, meter, "")


def _measure(setting: "Setting", wanted: WantedModel, session: "Session", terminal: Terminal) -> None:
    from meshinfer.cli.client import PeerClient

    from .rounds_bar import RoundsBar

    if setting.peers is None:
        assert setting.url is not None
        with RoundsBar(terminal, setting.rounds_at_a_ring) as bar, PeerClient(setting.url) as client:
            session.measure(client, bar)
        return
    wanted.fetch(terminal)
    with RoundsBar(terminal, setting.rounds_at_a_ring * len(setting.peers)) as bar:
        for count in setting.peers:
            _measure_own(count, wanted, session, bar, terminal)


def _measure_own(
    count: int, wanted: WantedModel, session: "Session", bar: "RoundsBar", terminal: Terminal
) -> None:
    """Start a ring, measure it and end it."""
    from meshinfer.cli.children import ChildPeers
    from meshinfer.cli.client import ClientError, PeerClient
    from meshinfer.cli.mesh_view import read_mesh

    from .texts import count_text

    bar.show(f"{count_text(count, 'peer')}, forming a ring")
    with ChildPeers() as children, own_names("bench", count, wanted.cache_dir) as names:
        forming = form(wanted, names, children, terminal)
        with PeerClient(forming.api_urls[names[0]]) as client:
            head = read_mesh(client.mesh()).ring[0].name
        # Its head is asked: with one peer too, so the ring alone makes the difference.
        with PeerClient(forming.api_urls[head]) as client:
            try:
                session.measure(client, bar)
            except ClientError:
                tell_news(children, terminal)
                raise


def _show(report: "Report", terminal: Terminal) -> None:
    from meshinfer.cli.mesh_table import print_drawing

    from .table import draw_table, notes

    if not report.is_complete:
        terminal.say("this was measured until then:", Tone.WARNING)
    terminal.say("")
    console = terminal.console()
    print_drawing(console, draw_table(report, console.width))
    terminal.say("")
    for line in notes(report):
        terminal.say(line, Tone.DIM)


def _write(report: "Report", terminal: Terminal, json_file: Path | None, svg_file: Path | None) -> int:
    """Write what was asked for; 1 if that fails, 0 if not."""
    from .chart import draw_chart
    from .report_json import report_json

    try:
        if json_file is not None:
            text = json.dumps(report_json(report), indent=2, ensure_ascii=False)
            json_file.write_text(f"{text}\n", encoding="utf-8")
        if svg_file is not None:
            svg_file.write_text(draw_chart(report), encoding="utf-8")
    except OSError as error:
        terminal.say(f"the report cannot be written: {error}", Tone.ERROR)
        return 1
    return 0
