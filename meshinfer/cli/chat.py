"""`meshinfer chat`: talk to any peer."""

from typing import Annotated

import typer

from .leaving import INTERRUPTED
from .peer_url import USUAL_URL, UrlOption
from .terminal import Terminal, Tone

EXAMPLES = """\b
Examples:
  meshinfer chat
  meshinfer chat --url 192.168.1.4:52415 --system "Answer in one sentence."
  echo "Why is the sky blue?" | meshinfer chat --temperature 0
"""


def chat(
    url: UrlOption = USUAL_URL,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="What the model is told first.")] = None,
    temperature: Annotated[
        float,
        typer.Option(min=0, max=2, metavar="T", help="0 always takes the likeliest word; up to 2."),
    ] = 0.7,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Longest answer, in tokens.", show_default="the peer's, 512"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Makes answers repeatable.", show_default="another each time"),
    ] = None,
) -> None:
    """Talk to a mesh through any of its peers.

    Ctrl-C stops an answer, Ctrl-D or /quit leaves, /new begins a new chat. Lines may come from a pipe.
    """
    from .client import ClientError, PeerClient
    from .talk import HELP, TalkSettings, is_person_typing, talk, typed_lines

    terminal = Terminal()
    settings = TalkSettings(system, temperature, max_tokens, seed)
    with PeerClient(url) as client:
        try:
            health = client.health()
            if not health.is_ok:
                terminal.say(f"{health.peer_name or url} cannot answer yet: {health.reason}", Tone.WARNING)
            elif is_person_typing():
                terminal.say(f"{health.model} through {health.peer_name}. {HELP}", Tone.DIM)
            talk(client, terminal, settings, typed_lines(terminal))
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt
