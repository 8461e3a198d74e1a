"""`meshinfer doctor`: what is wrong here, and what to type."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.config import DoctorLimits, default_cache_dir, parse_host_port
from meshinfer.errors import ConfigError

from .credentials import key_headers
from .greeting import USUAL_API_PORT, USUAL_LISTEN_PORT
from .leaving import INTERRUPTED
from .peer_url import USUAL_URL, UrlOption
from .terminal import Terminal, visible

if TYPE_CHECKING:
    from meshinfer.doctor.checks import Checked

USUAL_LISTEN = f"0.0.0.0:{USUAL_LISTEN_PORT}"

EXAMPLES = """\b
Examples:
  meshinfer doctor
      on each of two machines that do not find each other
  meshinfer doctor --peer 192.168.1.4:52414
      why that one cannot be reached
  meshinfer doctor --json | jq '.findings[] | select(.mark == "bad")'
      for a script

\b
What the signs mean:
  ✓ well   · nothing to check   ! works, could be better   ✗ broken
Commands behind an arrow are for you to read and to type: none is ever run.
It ends with 1 if anything is broken, else with 0.
"""


def doctor(
    url: UrlOption = USUAL_URL,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="A peer that should be reached from here; repeatable."),
    ] = None,
    mesh: Annotated[
        str, typer.Option(help="The mesh to be in, where no peer runs here that knows.")
    ] = "meshinfer",
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where a peer of this machine takes links.",
            show_default=f"as the peer that runs here, or {USUAL_LISTEN}",
        ),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="As given to join.", show_default="~/.cache/meshinfer"),
    ] = None,
    listen_for: Annotated[
        float, typer.Option(min=0.0, max=60.0, metavar="SECONDS", help="How long to listen for other peers.")
    ] = DoctorLimits().listen_s,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Say what is wrong here, and what to type.

    It looks at permissions, firewall, cables, addresses, memory, disk, at who is announced on the network,
    and whether peers can be reached. A running peer is asked as well, but none is needed. It changes nothing,
    and most of it needs no root.
    """
    terminal = Terminal()
    from meshinfer.doctor.checks import examine, is_well
    from meshinfer.doctor.looking import Request
    from meshinfer.doctor.observed import Observed
    from meshinfer.doctor.observing import observe
    from meshinfer.doctor.report import report_json

    try:
        request = Request(
            url=url,
            peers=tuple(parse_host_port(each, "--peer") for each in peer or ()),
            mesh=mesh,
            listen=parse_host_port(listen or USUAL_LISTEN, "--listen"),
            api_port=USUAL_API_PORT,
            folders=_folders(cache_dir),
            limits=DoctorLimits(listen_s=listen_for),
            headers=key_headers(),
            is_listen_given=listen is not None,
        )
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    seen = Observed(mesh=mesh, port=request.listen[1], environment=dict(os.environ))
    try:
        seen = asyncio.run(observe(request, seen))
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(INTERRUPTED) from interrupt
    checked = examine(seen)
    if as_json:
        typer.echo(json.dumps(report_json(checked, seen), indent=2, ensure_ascii=False))
    else:
        _show(checked, terminal)
    raise typer.Exit(0 if is_well(checked) else 1)


def _show(checked: "tuple[Checked, ...]", terminal: Terminal) -> None:
    from meshinfer.doctor.finding import Mark
    from meshinfer.doctor.report import lines, summary

    styles = {Mark.GOOD: "green", Mark.NOTE: "dim", Mark.WARNING: "yellow", Mark.BAD: "bold red"}
    console = terminal.console()
    for mark, text in lines(checked, is_plain=not _can_show("✓·✗→", sys.stdout.encoding)):
        console.print(visible(text), style=styles[mark] if mark is not None else None, soft_wrap=True)
    console.print()
    console.print(summary(checked))


def _can_show(signs: str, encoding: str | None) -> bool:
    try:
        signs.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _folders(cache_dir: Path | None) -> tuple[tuple[Path, str], ...]:
    """Where peers keep things, and where models are downloaded to."""
    hub = os.environ.get("HF_HUB_CACHE") or os.path.join(
        os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface"), "hub"
    )
    own = cache_dir.expanduser() if cache_dir is not None else default_cache_dir()
    return ((own, "peers and built-in models"), (Path(hub), "downloaded models"))
