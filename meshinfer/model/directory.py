"""A model directory in mlx-lm's format: is everything there?"""

import json
from pathlib import Path
from typing import Any

from meshinfer.errors import BrokenModel

from .safetensors import weight_files

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
_MAX_JSON_BYTES = 64 * 1024 * 1024


def check_directory(path: Path) -> None:
    """Check that `path` holds config, tokenizer and every weight file that its index names.

    Raises:
        BrokenModel: something is missing; the text names it.
    """
    if "model_type" not in read_json(path / "config.json"):
        raise BrokenModel(f"{path}: config.json names no model_type")
    if not any((path / name).is_file() for name in _TOKENIZERS) and not any(path.glob("*.tiktoken")):
        raise BrokenModel(f"{path}: no tokenizer there, one of {', '.join(_TOKENIZERS)} is needed")
    weight_files(path)


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BrokenModel: the file is missing, not a JSON object, or larger than 64 MiB.
    """
    try:
        if file.stat().st_size > _MAX_JSON_BYTES:
            raise BrokenModel(f"{file}: {file.stat().st_size} bytes of JSON, limit {_MAX_JSON_BYTES}")
        value = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise BrokenModel(f"{file.parent}: {file.name} is missing") from error
    except (ValueError, RecursionError) as error:
        raise BrokenModel(f"{file}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BrokenModel(f"{file}: a JSON object is expected")
    return value


def directory_bytes(path: Path) -> int:
    """The size of the files below `path`; links count as what they point at, vanished files not at all."""
    return sum(_file_bytes(file) for file in path.rglob("*"))


def _file_bytes(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:
        return 0
