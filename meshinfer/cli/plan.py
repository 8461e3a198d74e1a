"""`meshinfer plan`: what a model would ask of machines, before anybody buys or downloads anything."""

from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.config import RequestLimits, parse_stages
from meshinfer.errors import ConfigError, MeshError

from .peer_url import USUAL_URL, url_option
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from meshinfer.model.base import Sketch
    from meshinfer.model.configs import FoundConfig
    from meshinfer.model.precision import Precision
    from meshinfer.paper.peers import PaperPeer
    from meshinfer.paper.plan import Wanted

EXAMPLES = """\b
Examples:
  meshinfer plan kimi-k2 --on "4 x M3 Ultra 512GB"
  meshinfer plan qwen3-235b --on "2 x M4 Max 128GB + 1 x DGX Spark" --quant 3
      machines of several kinds, and coarser weights
  meshinfer plan llama-3.3-70b --context 32768 --readers 4
      on the mesh that this machine's peer belongs to, as it was measured
"""

USUAL_LINK = "tb5"

_LIMITS = RequestLimits()
_MOST_CONTEXT_TOKENS = 1 << 24
_MOST_READERS = 1024
_NO_ROOM = 1


def plan(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name such as kimi-k2, a Hugging Face repository, a directory or a config.json. Only its "
            "config is read.",
        ),
    ],
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MACHINES",
            help='Machines to plan for, such as "4 x M3 Ultra 512GB"; repeatable, or joined by +.',
            show_default="the mesh at --url",
        ),
    ] = None,
    context: Annotated[
        int,
        typer.Option(
            min=1, max=_MOST_CONTEXT_TOKENS, metavar="N", help="Tokens of prompt and answer, for each reader."
        ),
    ] = _LIMITS.kv_reserve_tokens,
    readers: Annotated[
        int, typer.Option(min=1, max=_MOST_READERS, metavar="N", help="How many ask at the same moment.")
    ] = 1,
    quant: Annotated[
        str | None,
        typer.Option(
            metavar="BITS",
            help="Precision of the weights: 2 to 8, mxfp4, mxfp8, nvfp4 or bf16.",
            show_default="as the model is usually run",
        ),
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="With --on: what joins the machines: tb5, tb4, 10gbe, 2.5gbe, 1gbe, wifi, or a speed.",
            show_default=USUAL_LINK,
        ),
    ] = None,
    stages: Annotated[
        str, typer.Option(metavar="auto|all|N", help="Over how many peers the model is spread, as for join.")
    ] = "auto",
    url: Annotated[
        str | None, url_option(f"The API of a peer of the mesh to plan for.  [default: {USUAL_URL}]")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Download no config.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Plan a model on paper: who holds what, what fits, and how fast.

    The ring is the one that a mesh of these machines would form. Speeds are estimates; what they are made of
    is shown. Where the model does not fit, it says by how much, and what would; the exit status is 1 then.
    """
    if on and url:
        raise typer.BadParameter("--url asks a mesh that runs, --on lists machines: give one of them")
    if link is not None and not on:
        raise typer.BadParameter("--link joins the machines of --on: a mesh that runs has measured its own")
    precision, spread = _precision(quant), _spread(stages)
    terminal = Terminal()
    from meshinfer.paper.on_mesh import names_of, origin_of, sketched

    try:
        listed = _listed(on, link or USUAL_LINK) if on else ()
        found = _found(model, offline)
        peers = listed or _members(url or USUAL_URL, names_of(model, found))
        sketch = sketched(found, precision)
    except (MeshError, _NoMesh) as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(1) from error
    origin = origin_of(found, precision)
    wanted = _wanted(context, readers, spread)
    is_fitting = _show(terminal, found, origin, sketch, peers, wanted, as_json)
    raise typer.Exit(0 if is_fitting else _NO_ROOM)


class _NoMesh(Exception):
    """The mesh to plan for cannot be asked; the text is for a person."""


def _precision(quant: str | None) -> "Precision | None":
    from meshinfer.model.precision import WrongPrecision, parse_precision

    try:
        return parse_precision(quant) if quant is not None else None
    except WrongPrecision as error:
        raise typer.BadParameter(f"--quant {error}") from error


def _spread(stages: str) -> int:
    try:
        return parse_stages(stages)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error


def _wanted(context_tokens: int, readers: int, spread: int) -> "Wanted":
    from meshinfer.paper.plan import Wanted

    return Wanted(context_tokens, readers, spread, _LIMITS.prefill_chunk_tokens, _LIMITS.prefill_chunk_s)


def _listed(on: list[str], link: str) -> "tuple[PaperPeer, ...]":
    from meshinfer.paper.links import WrongLink, read_link
    from meshinfer.paper.listing import WrongListing, read_machines
    from meshinfer.paper.machines import UnknownMachine
    from meshinfer.paper.peers import peers_of

    try:
        return peers_of(read_machines(on), read_link(link))
    except (WrongListing, UnknownMachine) as error:
        raise typer.BadParameter(f"--on {error}") from error
    except WrongLink as error:
        raise typer.BadParameter(f"--link {error}") from error


def _members(url: str, names: set[str]) -> "tuple[PaperPeer, ...]":
    """The peers of a mesh, with the memory that other models than the one of these names leave them."""
    from meshinfer.paper.peers import peers_of_mesh

    from .client import ClientError, PeerClient

    with PeerClient(url) as client:
        try:
            return peers_of_mesh(client.mesh(), names)
        except ClientError as error:
            raise _NoMesh(f"{error}; or list machines with --on") from error
        except ValueError as error:
            raise _NoMesh(f"what answers at {url} is no meshinfer peer of this release: {error}") from error


def _found(model: str, is_offline: bool) -> "FoundConfig":
    from meshinfer.model.configs import find_config

    return find_config(model, is_download_allowed=not is_offline)


def _show(
    terminal: Terminal,
    found: "FoundConfig",
    origin: str,
    sketch: "Sketch",
    peers: "tuple[PaperPeer, ...]",
    wanted: "Wanted",
    as_json: bool,
) -> bool:
    """Print the plan, or what would fit instead; return whether there is a plan."""
    import json

    from meshinfer.paper import plan_json
    from meshinfer.paper.on_mesh import coarser
    from meshinfer.paper.plan import PaperPlan, make_plan
    from meshinfer.paper.remedies import find_remedies

    from . import plan_view

    made = make_plan(sketch, peers, wanted)
    if isinstance(made, PaperPlan):
        if as_json:
            typer.echo(json.dumps(plan_json.plan_json(made, origin), indent=2, ensure_ascii=False))
        else:
            plan_view.show_plan(terminal, made, len(peers), origin)
        return True
    remedies = find_remedies(sketch, peers, wanted, coarser(found, sketch))
    if as_json:
        shown = plan_json.remedies_json(sketch, remedies, made.reason)
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        plan_view.show_remedies(terminal, sketch, peers, wanted, remedies, made.reason)
    return False
