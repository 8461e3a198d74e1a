"""A model on the Hugging Face hub of which no weights are here: its blueprint, and its tensors in ranges."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from threading import Event, Lock
from typing import Any

from meshinfer.errors import BrokenModel, NoLongerWanted

from .base import IsWanted, Progress
from .blueprint import Blueprint, SmallFile, WeightFile
from .filling import Filling
from .hub import Repository, hub_errors_named, silent_progress_bar
from .partial import Partial
from .pieces import Piece
from .ranges import HubFiles
from .runtime import quieten_hugging_face
from .safetensors import header_size_bytes
from .smallfiles import check_count, check_size, is_small_file
from .variant import ADAPTER_WEIGHTS

_WHOLE_FROM = 0.96
"""A file of which this part is needed is fetched whole: then its SHA-256 can be checked. No peer fetches more
than 1.05 times what it needs because of that."""

_SPAN_BYTES = 64 << 20
"""What one request asks for: a redirect and a handshake cost little against it, a retry repeats little."""

_CONNECTIONS = 4
_HEADER_GUESS_BYTES = 256 << 10


def remote_blueprint(hub: HubFiles, hub_cache: Path | None = None) -> tuple[Blueprint, Repository]:
    """Get a repository's blueprint, and the commit that it is of; small files go into Hugging Face's cache.

    Blocks for some requests. Never touches the network where HF_HUB_OFFLINE is set: that is an error.
    hub_cache: None for what HF_HUB_CACHE says.

    Raises:
        UnknownModel: there is no such repository or revision. ModelError: the hub refuses, or cannot be read.
        BrokenModel: it holds no model in mlx-lm's format.
    """
    quieten_hugging_face()
    from huggingface_hub import HfApi

    repository = hub.repository
    with hub_errors_named(repository):
        found = HfApi(endpoint=hub.endpoint).model_info(
            repository.name, revision=repository.revision, files_metadata=True
        )
        commit = Repository(repository.name, found.sha)
        listed = {sibling.rfilename: sibling for sibling in found.siblings or ()}
        small = sorted(name for name in listed if is_small_file(name))
        weights = sorted(name for name in listed if _is_weight_file(name))
        check_count(repository.named, len(small))
        for name in small:
            check_size(f"{repository.named}: {name}", listed[name].size or 0)
        if not weights:
            raise BrokenModel(
                f"{repository.named}: no model*.safetensors there; a repository in mlx-lm's format is "
                "needed, such as those of mlx-community"
            )
        source = _Source(replace(hub, repository=commit), hub_cache)
        with ThreadPoolExecutor(_CONNECTIONS) as connections:
            small_files = tuple(connections.map(source.small_file, small))
            weight_files = tuple(connections.map(source.weight_file, [listed[name] for name in weights]))
    return Blueprint(small_files, weight_files), commit


def fetch_from_hub(
    partial: Partial,
    tensors: Iterable[str],
    hub: HubFiles,
    progress: Progress,
    is_wanted: IsWanted,
) -> None:
    """Fetch tensors that are not there yet, over several connections. Blocks; what came stays if it fails.

    Neighbours in a file are asked for together. Of a file that is needed nearly whole everything is fetched,
    and its SHA-256 checked.
    hub: the commit that the blueprint was read from.

    Raises:
        DiskFull: no room for them. CorruptTensor: a whole file is not what the hub's own hash says.
        ModelError: the hub refuses or fails. NoLongerWanted: `is_wanted` said so.
    """
    wanted = _with_nearly_whole_files(partial, tensors)
    partial.require_room(wanted)
    with partial.filling(is_wanted) as filling:
        missing = partial.missing(wanted)
        fetching = _Fetching(partial, filling, hub, progress, is_wanted, missing)
        fetching.run(_spans(missing))
        filling.check_files(f"the hub ({hub.repository.named})", progress)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the parts of a blueprint come from."""

    hub: HubFiles
    hub_cache: Path | None

    def small_file(self, name: str) -> SmallFile:
        return SmallFile(name, self._whole(name).read_bytes())

    def weight_file(self, listed: Any) -> WeightFile:
        name, size_bytes = listed.rfilename, listed.size
        if listed.lfs is None:
            # Small enough for git itself, which keeps no SHA-256.
            content = self._whole(name).read_bytes()
            header = content[: header_size_bytes(Path(name), content, len(content))]
            return WeightFile(name, len(content), hashlib.sha256(content).hexdigest(), header)
        beginning = self.hub.read(name, 0, min(size_bytes, _HEADER_GUESS_BYTES))
        end = header_size_bytes(Path(name), beginning, size_bytes)
        if end > len(beginning):
            beginning += self.hub.read(name, len(beginning), end)
        return WeightFile(name, size_bytes, listed.lfs.sha256, beginning[:end])

    def _whole(self, name: str) -> Path:
        from huggingface_hub import hf_hub_download

        repository = self.hub.repository
        return Path(
            hf_hub_download(
                repository.name,
                name,
                revision=repository.revision,
                cache_dir=self.hub_cache,
                endpoint=self.hub.endpoint,
                tqdm_class=silent_progress_bar(),
            )
        )


@dataclass(slots=True)
class _Fetching:
    """One fetch from the hub, on several threads."""

    partial: Partial
    filling: Filling
    hub: HubFiles
    progress: Progress
    is_wanted: IsWanted
    missing: Sequence[Piece]
    is_over: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)
    done_bytes: int = 0
    total_bytes: int = 0
    awaited: dict[str, int] = field(default_factory=dict)
    """How many pieces of each tensor are still to come."""

    def run(self, spans: list[list[Piece]]) -> None:
        for piece in self.missing:
            self.awaited[piece.tensor] = self.awaited.get(piece.tensor, 0) + 1
        self.total_bytes = sum(piece.size_bytes for piece in self.missing)
        self._count(0)
        with ThreadPoolExecutor(_CONNECTIONS) as connections:
            tasks = [connections.submit(self._fetch, span) for span in spans]
            try:
                for task in as_completed(tasks):
                    task.result()
            except BaseException:
                self.is_over.set()
                connections.shutdown(cancel_futures=True)
                raise

    def _fetch(self, span: list[Piece]) -> None:
        waiting = iter(span)
        piece, parts = next(waiting), bytearray()

        def take(chunk: memoryview) -> None:
            nonlocal piece, parts
            if self.is_over.is_set() or not self.is_wanted():
                raise NoLongerWanted(f"{self.partial.files.name} is no longer wanted")
            while chunk:
                room = piece.size_bytes - len(parts)
                parts += chunk[:room]
                chunk = chunk[room:]
                if len(parts) == piece.size_bytes:
                    self._came(piece, parts)
                    piece, parts = next(waiting, piece), bytearray()

        self.hub.stream(piece.file, piece.offset, span[-1].end, take)

    def _came(self, piece: Piece, content: bytearray) -> None:
        self.filling.write(piece, memoryview(content))
        with self.lock:
            self.awaited[piece.tensor] -= 1
            is_last = not self.awaited[piece.tensor]
        if is_last:
            self.filling.finish(piece.tensor, None, f"the hub ({self.hub.repository.named})")
        self._count(piece.size_bytes)

    def _count(self, more_bytes: int) -> None:
        with self.lock:
            self.done_bytes += more_bytes
            self.progress(f"downloading {self.partial.files.name}", self.done_bytes, self.total_bytes)


def _is_weight_file(name: str) -> bool:
    return name.startswith("model") and name.endswith(".safetensors") and os.sep not in name


def _with_nearly_whole_files(partial: Partial, tensors: Iterable[str]) -> frozenset[str]:
    """Some tensors, and all others of the files of which they are nearly everything."""
    wanted = set(tensors)
    in_files: dict[Path, list[str]] = {}
    for name, tensor in partial.tensors.items():
        if tensor.file.name == ADAPTER_WEIGHTS:
            # No repository has it.
            continue
        in_files.setdefault(tensor.file, []).append(name)
    for names in in_files.values():
        total_bytes = sum(partial.tensors[name].size_bytes for name in names)
        wanted_bytes = sum(partial.tensors[name].size_bytes for name in names if name in wanted)
        if wanted_bytes >= _WHOLE_FROM * total_bytes:
            wanted.update(names)
    return frozenset(wanted)


def _spans(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces that lie side by side, in groups of some `_SPAN_BYTES`."""
    spans: list[list[Piece]] = []
    for _, inside in groupby(pieces, key=lambda piece: piece.file):
        for piece in inside:
            last = spans[-1] if spans else None
            if (
                last is not None
                and (last[-1].file, last[-1].end) == (piece.file, piece.offset)
                and piece.end - last[0].offset <= _SPAN_BYTES
            ):
                last.append(piece)
            else:
                spans.append([piece])
    return spans
