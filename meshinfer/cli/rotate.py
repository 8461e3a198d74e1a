"""`meshinfer key rotate`: have a running mesh change its key, and put members out."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.key_state import KeyState

from .leaving import INTERRUPTED
from .peer_url import USUAL_URL, url_option
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from .client import PeerClient

_LOOK_EVERY_S = 0.2
_HOUR_S = 3600


def rotate(
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="Put a member out: it does not get the new key."),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Forget the former key now: who is away needs an invitation.")
    ] = False,
    url: Annotated[str, url_option("The API of a peer of the mesh, on this machine.")] = USUAL_URL,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait until all have the new key.")
    ] = 60.0,
) -> None:
    """Have a running mesh change its key, without an interruption.

    The peer that is asked makes a new key and hands it to all members that are there; once they have it, it
    is used. The former one is accepted for a day more, so that machines that are away get the new one as they
    come back. With --without (once for each) those that are named are put out, and who is away needs an
    invitation. Ctrl-C here stops the waiting only.
    """
    from .client import ClientError, PeerClient, Unreachable

    terminal = Terminal()
    if finish and without:
        raise typer.BadParameter("--without begins a change, --finish ends one: give one of them")
    with PeerClient(url) as client:
        try:
            begun = client.change_key("finish" if finish else "rotate", without or [])
            if finish:
                text = f"key {begun.label} alone is accepted from now on, here and at all members"
                terminal.say(text, Tone.GOOD)
                return
            is_done = _until_used(client, begun, terminal, time.monotonic() + timeout)
        except Unreachable as error:
            terminal.say(
                f"no peer answers at {url}: a running peer changes a key, and hands it to the others. "
                "Start one with `meshinfer join`, or name another with --url; where none of the mesh runs, "
                "`meshinfer key new --force` makes a key, and all machines need an invitation again",
                Tone.ERROR,
            )
            raise typer.Exit(1) from error
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt
    if not is_done:
        raise typer.Exit(1)


def _until_used(client: "PeerClient", begun: KeyState, terminal: Terminal, until_s: float) -> bool:
    """Tell what is waited for until the new key is used, and what that means.

    False if that takes too long, or if somebody who was to be put out may have the key that is used.
    """
    out = ", ".join(begun.put_out)
    terminal.say(f"the mesh has a new key (label {begun.label}), and hands it round", Tone.DIM)
    state, told = begun, ""
    while not state.is_used or (out and state.former):
        waiting = f"waiting for {', '.join(state.lacking) or 'the others'}"
        if waiting != told and state.lacking:
            told = waiting
            terminal.say(waiting, Tone.DIM)
        if time.monotonic() >= until_s:
            terminal.say(
                f"{', '.join(state.lacking) or 'not everybody'} has not got the new key yet; the mesh goes "
                "on handing it round, and accepts both. `meshinfer key show` tells how far it is",
                Tone.ERROR,
            )
            return False
        time.sleep(_LOOK_EVERY_S)
        state = client.key()
    if state.label != begun.label:
        text = f"somebody else changed the key at the same time, and theirs is used (label {state.label})"
        again = f": run this again, {out} may have it" if out else ""
        terminal.say(text + again, Tone.ERROR if out else Tone.WARNING)
        return not out
    terminal.say(f"all members that are there use the new key (label {state.label})", Tone.GOOD)
    for line in consequences(state, out):
        terminal.say(line)
    return True


def consequences(state: KeyState, out: str) -> list[str]:
    """What somebody who has changed the key should know. out: who was put out."""
    if not state.former:
        gone = [f"{out} is out"] if out else []
        return [*gone, "who was away needs an invitation: `meshinfer key show`"]
    return [
        f"the former key ({state.former}) is accepted for {time_left(state.left_s)} more, for machines that "
        "are away: `meshinfer key rotate --finish` forgets it now",
        "invitations that were printed before end with it: `meshinfer key show` prints a new one",
    ]


def time_left(left_s: int) -> str:
    """A time in words, coarsely."""
    if left_s >= _HOUR_S:
        return f"{round(left_s / _HOUR_S)} h"
    return f"{max(1, round(left_s / 60))} min"


def change_line(state: KeyState) -> str:
    """What an invitation's reader should know of a change that goes on; empty if none does."""
    if not state.former:
        return ""
    if state.is_used:
        return (
            f"the mesh has changed its key: this line holds the new one (label {state.label}), and the "
            f"former one ({state.former}) is accepted for {time_left(state.left_s)} more"
        )
    missing = f"; {', '.join(state.lacking)} has not got it yet" if state.lacking else ""
    return f"the mesh is changing its key: this line holds the new one (label {state.label}){missing}"
