"""Everything about a model that a peer gets in one go: files, card and tokenizer; and its shard."""

from collections.abc import Generator
from pathlib import Path

from .base import ModelCard, ModelFiles, Progress, StageCompute, Tokenizer


def fetch_model(
    wanted: str, cache_dir: Path, is_download_allowed: bool, progress: Progress
) -> tuple[ModelFiles, ModelCard, Tokenizer]:
    """Resolve a model by name or source, downloading it if need be. Blocking; on the compute thread.

    Raises:
        ModelError: it cannot be had or used; the text says why and what to do.
    """
    # Here, not at the top: they take long to import, and only this thread needs them.
    from .card import read_card
    from .source import resolve
    from .tokenizer import load_tokenizer

    files = resolve(wanted, cache_dir, is_download_allowed=is_download_allowed, progress=progress)
    return files, read_card(files), load_tokenizer(files)


def warm_up() -> None:
    """Import what loading layers needs, which takes a second: while nothing is to be loaded yet."""
    from . import shard  # noqa: F401


def load_shard(
    files: ModelFiles, card: ModelCard, layers: range, previous: StageCompute | None, progress: Progress
) -> Generator[StageCompute | None, None, None]:
    """Load some layers, taking over from `previous` what is in memory already. On the compute thread.

    Yields None after each piece, so that other work may go between, and the shard at last.

    Raises:
        ModelError: the weights are not what the card says.
    """
    from .shard import Shard

    reuse = previous if isinstance(previous, Shard) else None
    loading = Shard.loading(files, card, layers, reuse=reuse, progress=progress)
    del previous, reuse
    shard: Shard = yield from loading
    yield shard
