"""A model's fingerprint: two peers may only share a ring when theirs are equal."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from meshinfer.errors import BrokenModel

from .safetensors import StoredTensor

# What Hugging Face's tools note about themselves: it changes when a model is merely saved anew.
_VOLATILE = frozenset({"_name_or_path", "transformers_version", "name_or_path", "_commit_hash"})

_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tiktoken.model", "vocab.json", "vocab.txt", "merges.txt",
    "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json", "chat_template.jinja",
    "chat_template.json",
)  # fmt: skip

_SAMPLE_BYTES = 64
_WHOLE_BELOW_BYTES = 1024
_SCATTERED = 4


def fingerprint(
    path: Path, config: Mapping[str, Any], stop_tokens: Iterable[int], tensors: Mapping[str, StoredTensor]
) -> str:
    """32 hex digits (BLAKE2b) over what decides a model's answers, independent of how files are split.

    It covers config, tokenizer, chat template, stop tokens, and of each tensor name, type, shape and
    samples: nine times 64 bytes, small ones whole. So it tells apart other models, precisions, conversions
    and fine-tunes (training moves nearly every number). It cannot see a change of a few numbers that
    misses all samples: it guards against mistakes, not against somebody who forges weights.

    Raises:
        BrokenModel: a file ended early.
    """
    digest = hashlib.blake2b(digest_size=16, person=b"meshinfer model")
    for part in _parts(path, config, stop_tokens, tensors):
        # The length in front keeps parts apart.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(
    path: Path, config: Mapping[str, Any], stop_tokens: Iterable[int], tensors: Mapping[str, StoredTensor]
) -> Iterator[bytes]:
    lasting = {key: value for key, value in config.items() if key not in _VOLATILE}
    yield json.dumps(lasting, sort_keys=True).encode()
    yield json.dumps(sorted(stop_tokens)).encode()
    names = [*_TOKENIZER_FILES, *sorted(file.name for file in path.glob("*.tiktoken"))]
    for name in names:
        if (path / name).is_file():
            yield name.encode()
            yield (path / name).read_bytes()
    samples = _samples(tensors.values())
    for name in sorted(tensors):
        tensor = tensors[name]
        yield f"{name} {tensor.dtype} {tensor.shape}".encode()
        yield samples[name]


def _samples(tensors: Iterable[StoredTensor]) -> dict[str, bytes]:
    """Samples of each tensor's bytes, each file opened once."""
    samples: dict[str, bytes] = {}
    in_files = sorted(tensors, key=lambda tensor: (tensor.file, tensor.offset))
    for file, members in groupby(in_files, key=lambda tensor: tensor.file):
        with file.open("rb", buffering=0) as stream:
            for tensor in members:
                samples[tensor.name] = b"".join(
                    _read(stream.fileno(), tensor, start, size) for start, size in _places(tensor)
                )
    return samples


def _places(tensor: StoredTensor) -> list[tuple[int, int]]:
    """Where to look, (start, size) within the tensor: its quarters, and spots that its name decides."""
    if tensor.size_bytes <= _WHOLE_BELOW_BYTES:
        return [(0, tensor.size_bytes)]
    last = tensor.size_bytes - _SAMPLE_BYTES
    scattered = hashlib.blake2b(tensor.name.encode(), digest_size=8 * _SCATTERED).digest()
    spots = [int.from_bytes(scattered[at : at + 8], "little") % last for at in range(0, 8 * _SCATTERED, 8)]
    starts = [0, last // 4, last // 2, last * 3 // 4, last, *spots]
    return [(start, _SAMPLE_BYTES) for start in starts]


def _read(descriptor: int, tensor: StoredTensor, start: int, size_bytes: int) -> bytes:
    content = os.pread(descriptor, size_bytes, tensor.offset + start)
    if len(content) != size_bytes:
        raise BrokenModel(f"{tensor.file}: the file ends within {tensor.name}")
    return content
