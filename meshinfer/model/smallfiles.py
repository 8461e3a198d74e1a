"""The files of a model beside its weights: which of them count, and reading them."""

import re
from pathlib import Path

from meshinfer.errors import BrokenModel

from .variant import ADAPTER_CONFIG

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tiktoken.model", "tekken.json", "vocab.json", "vocab.txt",
    "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json",
    "chat_template.jinja", "chat_template.json",
)  # fmt: skip

INDEX = "model.safetensors.index.json"
_SETTINGS = ("config.json", "generation_config.json", "hf_quant_config.json", ADAPTER_CONFIG, INDEX)
_TIKTOKEN = re.compile(r"[\w-][\w.-]{0,127}\.tiktoken", re.ASCII)

MAX_FILES = 64
MAX_FILE_BYTES = 64 << 20


def is_small_file(name: str) -> bool:
    """Whether a file of this name is part of a model: settings, tokenizer, chat template or index."""
    return name in _SETTINGS or name in TOKENIZER_FILES or _TIKTOKEN.fullmatch(name) is not None


def read_small_files(directory: Path) -> dict[str, bytes]:
    """Read all of a model's small files, by name in canonical order.

    Raises:
        BrokenModel: one is larger than 64 MiB, or there are more than 64.
    """
    names = sorted(file.name for file in directory.iterdir() if is_small_file(file.name) and file.is_file())
    check_count(str(directory), len(names))
    return {name: _read(directory / name) for name in names}


def check_count(where: str, count: int) -> None:
    """Check that a model has no absurd number of small files.

    Raises:
        BrokenModel: it has.
    """
    if count > MAX_FILES:
        raise BrokenModel(f"{where}: {count} files beside the weights, limit {MAX_FILES}")


def check_size(where: str, size_bytes: int) -> None:
    """Check that a small file is small.

    Raises:
        BrokenModel: it is not.
    """
    if size_bytes > MAX_FILE_BYTES:
        raise BrokenModel(
            f"{where}: {size_bytes} bytes, limit {MAX_FILE_BYTES} for a file beside the weights"
        )


def _read(file: Path) -> bytes:
    check_size(str(file), file.stat().st_size)
    return file.read_bytes()
