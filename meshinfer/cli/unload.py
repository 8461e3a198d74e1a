"""`meshinfer unload`: have the mesh run a model no longer."""

from typing import Annotated

import typer

from .leaving import INTERRUPTED
from .peer_url import USUAL_URL, url_option
from .terminal import Terminal, Tone

EXAMPLES = """\b
Examples:
  meshinfer unload mlx-community/Qwen3-4B-4bit
  meshinfer unload smollm2 --url http://127.0.0.1:52416
"""


def unload(
    model: Annotated[str, typer.Argument(help="The model's name, as `meshinfer models` shows it.")],
    url: Annotated[str, url_option("The API of a peer of the mesh, on this machine.")] = USUAL_URL,
) -> None:
    """Have the mesh run a model no longer, whoever asked for it.

    Answers that are being written come to their end, if they do so soon. Its files stay on their disks.
    """
    from .client import ClientError, PeerClient

    terminal = Terminal()
    with PeerClient(url) as client:
        try:
            client.unload(model)
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt
    terminal.say(f"{model} is unloaded", Tone.GOOD)
