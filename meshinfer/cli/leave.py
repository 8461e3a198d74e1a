"""`meshinfer leave`: have a peer of this machine leave its mesh."""

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
  meshinfer leave
  meshinfer leave --url http://127.0.0.1:52416
  meshinfer leave --timeout 300
"""

_LOOK_EVERY_S = 0.2


def leave(
    url: Annotated[str, url_option("The API of the peer that is to leave, on this machine.")] = USUAL_URL,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait until it is gone.")
    ] = 120.0,
) -> None:
    """Have a peer of this machine leave its mesh.

    It goes as on Ctrl-C in its terminal: it takes no more requests, finishes those that it answers, and lets
    other peers take over its layers. This command waits until it is gone, and says what it waits for; Ctrl-C
    here stops the waiting only.
    """
    from .client import ClientError, PeerClient, Unreachable

    terminal = Terminal()
    with PeerClient(url) as client:
        try:
            name = client.leave()
            if not _until_gone(client, name, terminal, time.monotonic() + timeout):
                terminal.say(f"{name} is still here after {timeout:g} s, and goes on leaving", Tone.ERROR)
                raise typer.Exit(1)
            terminal.say(f"{name} is gone", Tone.GOOD)
        except Unreachable as error:
            terminal.say(f"no peer answers at {url}: name another with --url", Tone.ERROR)
            raise typer.Exit(1) from error
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt


def _until_gone(client: "PeerClient", name: str, terminal: Terminal, until_s: float) -> bool:
    """Tell what the peer waits for until nobody answers there any more; False if that takes too long.

    A peer's API is the last thing of it to end.
    """
    from .client import ClientError, Unreachable

    told = ""
    while True:
        try:
            health = client.health()
        except Unreachable:
            return True
        except ClientError:
            # It ended while it was asked; the next attempt tells.
            pass
        else:
            if health.peer_name != name:
                # Another one was started meanwhile.
                return True
            if health.is_leaving and health.reason != told:
                told = health.reason
                terminal.say(f"{name}: {told}", Tone.DIM)
        if time.monotonic() >= until_s:
            return False
        time.sleep(_LOOK_EVERY_S)
