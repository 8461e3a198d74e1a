"""`meshinfer load`: have the mesh run one more model."""

from pathlib import Path
from typing import Annotated

import typer

from meshinfer.errors import UnsupportedModel
from meshinfer.model.variant import Variant

from .join import WRONG_USE
from .leaving import INTERRUPTED
from .peer_url import USUAL_URL, url_option
from .terminal import Terminal, Tone
from .variants import ADAPTER, DTYPE, KV_BITS, adapter_path

EXAMPLES = """\b
Examples:
  meshinfer load mlx-community/Qwen3-4B-4bit
  meshinfer load smollm2 --stages all
  meshinfer load ./my-model --url http://127.0.0.1:52416
  meshinfer load mlx-community/Qwen3-4B-4bit --kv-bits 8
      beside the one with an exact KV cache: it is a model of its own
"""


def load(
    model: Annotated[
        str,
        typer.Argument(
            help="smollm2 (built in), a Hugging Face repository, a directory in mlx-lm's format, a GGUF "
            "file, or the name of a model on any disk of the mesh."
        ),
    ],
    url: Annotated[str, url_option("The API of a peer of the mesh, on this machine.")] = USUAL_URL,
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="auto|all|N",
            help="Over how many peers the model is spread: as few as are needed, all, or a number.",
            show_default="auto",
        ),
    ] = None,
    dtype: Annotated[str | None, DTYPE] = None,
    kv_bits: Annotated[int | None, KV_BITS] = None,
    adapter: Annotated[Path | None, ADAPTER] = None,
) -> None:
    """Have the mesh run one more model, and wait until it answers.

    Where memory is short, models that were used the longest ago make way, but none that answers right now,
    and none that a peer was started with. Ctrl-C stops the waiting only, once files are there.
    """
    from .client import ClientError, PeerClient

    terminal, told = Terminal(), ""
    try:
        variant = Variant(dtype or "", kv_bits or 0, adapter_path(adapter) or "")
    except UnsupportedModel as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(WRONG_USE) from error
    wanted = _absolute(model) if variant.is_plain else f"{_absolute(model)}?{variant}"
    with PeerClient(url) as client:
        try:
            for step in client.load(wanted, stages):
                if step.is_live:
                    terminal.say(f"{step.model} is live", Tone.GOOD)
                elif step.doing and step.doing != told:
                    told = step.doing
                    terminal.say(f"{step.model}: {told}", Tone.DIM)
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt


def _absolute(model: str) -> str:
    """Directories and files as the peer finds them, which was started elsewhere."""
    from meshinfer.model.source import path_of

    path = path_of(model)
    return model if path is None else str(path.absolute())
