"""What a GGUF file's metadata call the model, and what to use instead of a file that is not read."""

import re
from collections.abc import Mapping

from .gguf_cursor import Value

READ_TYPES = "Q4_0, Q4_1, Q8_0, F16, BF16 or F32"

_MAX_TITLE = 64


def title(metadata: Mapping[str, Value]) -> str | None:
    """The model's name as people write it: `Llama-3.2-1B-Instruct`; None where the metadata tell none."""
    # GGUF's own order of a file's name: base, size, fine-tune, version.
    keys = ("basename", "size_label", "finetune", "version")
    parts = [metadata.get(f"general.{key}") for key in keys]
    named = "-".join(part for part in parts if isinstance(part, str)) if isinstance(parts[0], str) else ""
    for candidate in (named, metadata.get("general.name"), _repository(metadata)):
        if isinstance(candidate, str) and (name := plain(candidate)):
            return name
    return None


def instead(metadata: Mapping[str, Value]) -> str:
    """What to use instead of the file, as the end of a sentence."""
    name = title(metadata)
    where = f"look for mlx-community/{name}-4bit" if name else "look in mlx-community"
    return f"a model in mlx-lm's format ({where} on Hugging Face)"


def _repository(metadata: Mapping[str, Value]) -> str | None:
    url = metadata.get("general.base_model.0.repo_url")
    return url.rstrip("/").rpartition("/")[2] if isinstance(url, str) else None


def plain(text: str) -> str:
    """Make of a text what may stand in a repository's and a file's name; empty if nothing is left."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text[: 2 * _MAX_TITLE]).strip("-._")[:_MAX_TITLE]
