"""`meshinfer chat`: talk to any peer."""

from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.config import default_cache_dir

from .leaving import INTERRUPTED
from .peer_url import USUAL_URL, UrlOption
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from .answering import TalkSettings
    from .client import PeerClient

EXAMPLES = """\b
Examples:
  meshinfer chat
  meshinfer chat "Why is the sky blue?"
  meshinfer chat --url 192.168.1.4:52415 --system "Answer in one sentence."
  echo "Why is the sky blue?" | meshinfer chat --temperature 0
"""


def chat(
    question: Annotated[
        str | None,
        typer.Argument(metavar="[QUESTION]", help="Answer this once and leave.", show_default="a chat opens"),
    ] = None,
    url: UrlOption = USUAL_URL,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who answers.", show_default="the mesh's first model"),
    ] = None,
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

    Ctrl-C stops an answer, Ctrl-D or /quit leaves, /help tells all commands. Lines may come from a pipe.
    """
    from .answering import TalkSettings
    from .client import ClientError, PeerClient

    terminal = Terminal()
    settings = TalkSettings(system, temperature, max_tokens, seed, model)
    with PeerClient(url) as client:
        try:
            if question is not None:
                _answer_once(client, question, settings, terminal)
            else:
                _converse(client, url, settings, terminal)
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt


def _answer_once(client: "PeerClient", question: str, settings: "TalkSettings", terminal: Terminal) -> None:
    """Write the answer; how fast it came is for a person alone."""
    from .answering import ask
    from .conversation import Conversation

    answer = ask(client, Conversation(settings.system).asked(question), settings)
    if terminal.is_interactive:
        terminal.say(answer.pace, Tone.DIM)
    if answer.finish is None:
        raise KeyboardInterrupt


def _converse(client: "PeerClient", url: str, settings: "TalkSettings", terminal: Terminal) -> None:
    from .talk import COMMANDS, HELP, talk
    from .typed import confirm, is_person_typing, typed_lines

    health = client.health()
    if not health.is_ok:
        terminal.say(f"{health.peer_name or url} cannot answer yet: {health.reason}", Tone.WARNING)
    elif is_person_typing():
        terminal.say(f"{settings.model or health.model} through {health.peer_name}. {HELP}", Tone.DIM)
    lines = typed_lines(terminal, HELP, default_cache_dir() / "chat_history", tuple(COMMANDS))
    talk(client, terminal, settings, lines, confirm)
