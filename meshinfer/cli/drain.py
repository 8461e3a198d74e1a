"""`meshinfer drain`: have a peer of this machine hand its layers to others, and stay."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from .leaving import INTERRUPTED
from .peer_url import USUAL_URL, url_option
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from .client import PeerClient

EXAMPLES = """\b
Examples:
  meshinfer drain
  meshinfer drain --url http://127.0.0.1:52416
  meshinfer drain --undo
"""

_LOOK_EVERY_S = 0.3

_NEEDED_LOOKS = 10
"""So often in a row a peer must be needed before that is believed: plans take a moment to change."""


def drain(
    undo: Annotated[bool, typer.Option("--undo", help="Let the peer hold layers again.")] = False,
    url: Annotated[str, url_option("The API of the peer, on this machine.")] = USUAL_URL,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait until it holds no layers.")
    ] = 600.0,
) -> None:
    """Have a peer of this machine hand its layers to others, and stay.

    It goes on answering requests, out of the others' memory: for an update, a game, or before it leaves.
    Where a model does not fit without it, it keeps its layers, and this says so; the exit status is 1 then.
    It lasts until --undo, or until the peer ends. Ctrl-C here stops the waiting only.
    """
    from .client import ClientError, PeerClient

    terminal = Terminal()
    with PeerClient(url) as client:
        try:
            name = client.drain(is_drained=not undo)
            if undo:
                terminal.say(f"{name} may hold layers again", Tone.GOOD)
                return
            is_drained = _until_drained(client, name, terminal, time.monotonic() + timeout)
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt
    if not is_drained:
        raise typer.Exit(1)


def _until_drained(client: "PeerClient", name: str, terminal: Terminal, until_s: float) -> bool:
    """Tell what the peer waits for until it holds no layers; False if it keeps them, or takes too long."""
    told, needed = "", 0
    while True:
        state = client.drain_state(name)
        if state == "drained":
            terminal.say(f"{name} is drained: it holds no layers, and answers requests", Tone.GOOD)
            return True
        needed = needed + 1 if state.endswith("needs its memory") else 0
        if needed >= _NEEDED_LOOKS:
            terminal.say(
                f"{name} keeps its layers: {state.removeprefix('draining: ')}. It hands them over as soon as "
                "others have room: add a peer, unload a model, or run `meshinfer drain --undo`",
                Tone.WARNING,
            )
            return False
        if time.monotonic() >= until_s:
            terminal.say(f"{name} still holds layers, and goes on handing them over", Tone.ERROR)
            return False
        if state != told and not needed:
            told = state
            terminal.say(f"{name}: {state or 'asked'}", Tone.DIM)
        time.sleep(_LOOK_EVERY_S)
