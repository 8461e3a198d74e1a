"""How a model is to be run other than its files say: the options that `join` and `load` share."""

from pathlib import Path

import typer

from meshinfer.model import variant

DTYPE = typer.Option(
    metavar="TYPE",
    help=f"Cast the model's floats, scales of packed weights too: {', '.join(variant.DTYPES)}.",
    show_default="as its files have them",
)

KV_BITS = typer.Option(
    metavar="BITS",
    help=f"Keep the KV cache of full attention in so many bits: {', '.join(map(str, variant.KV_BITS))}. "
    "Longer contexts fit; answers are less exact, and several readers are computed one after the other.",
    show_default="floats",
)

ADAPTER = typer.Option(
    metavar="DIR",
    help="The directory of an adapter (LoRA, DoRA, or full) that mlx_lm.lora has written.",
    show_default="none",
)


def adapter_path(adapter: Path | None) -> str | None:
    """The whole path of --adapter: a peer may have been started elsewhere."""
    return str(adapter.expanduser().absolute()) if adapter else None
