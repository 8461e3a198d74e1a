"""A model's fingerprint: two peers may only share a ring when theirs are equal."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .smallfiles import INDEX

# What Hugging Face's tools note about themselves: it changes when a model is merely saved anew.
_VOLATILE = frozenset({"_name_or_path", "transformers_version", "name_or_path", "_commit_hash"})

# Read below, or (the index) checked against what the weight files really hold.
_NOT_WHOLE = frozenset({"config.json", "generation_config.json", INDEX})


@dataclass(frozen=True, slots=True)
class WeightContent:
    """What a weight file holds. sha256: 64 hex digits, of the whole file."""

    name: str
    size_bytes: int
    sha256: str


def fingerprint(small_files: Mapping[str, bytes], weights: Iterable[WeightContent]) -> str:
    """32 hex digits (BLAKE2b) over all that decides a model's answers.

    It covers the config but for what tools note about themselves, tokenizer and chat template, the tokens
    that end an answer, and of each weight file its name, its size and the SHA-256 of all its bytes. So two
    machines have the same one only if every weight is the same, wherever the files lie and however
    they came there; one changed bit makes another model. A model whose tensors are merely
    spread over other files is another one too.

    Raises:
        ValueError: config.json or generation_config.json is no JSON object.
    """
    digest = hashlib.blake2b(digest_size=16, person=b"meshinfer model")
    for part in _parts(small_files, weights):
        # The length in front keeps parts apart.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(small_files: Mapping[str, bytes], weights: Iterable[WeightContent]) -> Iterator[bytes]:
    config = _object(small_files.get("config.json", b"{}"))
    lasting = {key: value for key, value in config.items() if key not in _VOLATILE}
    yield json.dumps(lasting, sort_keys=True).encode()
    yield json.dumps(_stops(config, _object(small_files.get("generation_config.json", b"{}")))).encode()
    for name in sorted(small_files.keys() - _NOT_WHOLE):
        yield name.encode()
        yield small_files[name]
    for weight in sorted(weights, key=lambda weight: weight.name):
        yield f"{weight.name} {weight.size_bytes} {weight.sha256}".encode()


def _stops(config: Mapping[str, Any], generation: Mapping[str, Any]) -> list[str]:
    """What the settings say of the tokens that end an answer; the tokenizer's own is in its files."""
    named = generation.get("eos_token_id") or config.get("eos_token_id")
    return sorted(str(token) for token in (named if isinstance(named, list) else [named]))


def _object(text: bytes) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("a JSON object is expected")
    return value
