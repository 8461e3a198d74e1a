"""A GGUF writer and an independent dequantiser for tests, straight from the format's description."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import SPECIAL_TOKENS, byte_alphabet

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]
"""Type, shape and bytes by name."""

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "Q6_K": 14, "BF16": 30}
BLOCK_BYTES = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34, "Q6_K": 210}


def random_tensor(generator: np.random.Generator, kind: str, shape: tuple[int, ...]) -> bytes:
    """Bytes of a tensor: random levels with sane scales. Vectors fit into bfloat16, as real norms do."""
    if kind in ("F32", "F16", "BF16"):
        numbers = generator.standard_normal(shape) * 0.2
        if len(shape) == 1:
            numbers = np.round(numbers * 64) / 64 + 1.0
        return _plain_bytes(kind, numbers)
    blocks = int(np.prod(shape)) // (256 if kind == "Q6_K" else 32)
    raw = generator.integers(0, 256, (blocks, BLOCK_BYTES[kind]), np.uint8)
    halves = 2 if kind == "Q4_1" else 1
    scales = (generator.standard_normal((blocks, halves)) * 0.02).astype("<f2")
    if kind == "Q6_K":
        raw[:, 208:] = (scales / 64).view(np.uint8)
    else:
        raw[:, : 2 * halves] = scales.view(np.uint8)
    return raw.tobytes()


def dequantized(kind: str, content: bytes, shape: tuple[int, ...]) -> Array:
    """The numbers as ggml defines them, in float64, block by block and number by number."""
    if kind == "BF16":
        halves = np.frombuffer(content, "<u2").astype("<u4") << 16
        return halves.view("<f4").astype(np.float64).reshape(shape)
    if kind in ("F32", "F16"):
        return np.frombuffer(content, "<f4" if kind == "F32" else "<f2").astype(np.float64).reshape(shape)
    numbers: list[float] = []
    for begin in range(0, len(content), BLOCK_BYTES[kind]):
        block = content[begin : begin + BLOCK_BYTES[kind]]
        if kind == "Q6_K":
            numbers += _six_bit_numbers(block)
            continue
        scale = struct.unpack("<e", block[:2])[0]
        if kind == "Q8_0":
            numbers += [scale * level for level in struct.unpack("<32b", block[2:])]
            continue
        low, quants = (struct.unpack("<e", block[2:4])[0], block[4:]) if kind == "Q4_1" else (None, block[2:])
        for level in [byte & 15 for byte in quants] + [byte >> 4 for byte in quants]:
            numbers.append(scale * (level - 8) if low is None else scale * level + low)
    return np.array(numbers).reshape(shape)


def _plain_bytes(kind: str, numbers: Array) -> bytes:
    if kind == "BF16":
        return (np.asarray(numbers, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return numbers.astype("<f4" if kind == "F32" else "<f2").tobytes()


def _six_bit_numbers(block: bytes) -> list[float]:
    """A Q6_K block as ggml's own loop takes it apart."""
    numbers = [0.0] * 256
    scales, scale = struct.unpack("<16b", block[192:208]), struct.unpack("<e", block[208:])[0]
    for half in range(2):
        low, high = block[64 * half : 64 * half + 64], block[128 + 32 * half : 160 + 32 * half]
        for at in range(32):
            levels = (
                low[at] & 15 | (high[at] & 3) << 4,
                low[at + 32] & 15 | (high[at] >> 2 & 3) << 4,
                low[at] >> 4 | (high[at] >> 4 & 3) << 4,
                low[at + 32] >> 4 | (high[at] >> 6 & 3) << 4,
            )
            for run, level in enumerate(levels):
                group = 8 * half + at // 16 + 2 * run
                numbers[128 * half + 32 * run + at] = scale * scales[group] * (level - 32)
    return numbers


def packed_value(value: Any) -> bytes:
    """A metadata value with its type in front."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + packed_text(value)
        case [float(), *_]:
            return struct.pack(f"<IIQ{len(value)}f", 9, 6, len(value), *value)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(packed_text, value))
        case _:
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)


def packed_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def write_gguf(
    file: Path,
    metadata: dict[str, Any],
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]],
    version: int = 3,
) -> Path:
    """Write a file; tensors are (type, shape, bytes)."""
    head = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += packed_text(key) + packed_value(value)
    data = b""
    for name, (kind, shape, content) in tensors.items():
        head += packed_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", TYPES.get(kind, 99), len(data))
        data += content + b"\0" * (-len(content) % 32)
    file.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return file


def write_split_gguf(directory: Path, metadata: dict[str, Any], tensors: Tensors, parts: int) -> Path:
    """Write a model over several files, as llama.cpp's gguf-split does; returns the first."""
    names = list(tensors)
    for number in range(parts):
        own = {"split.no": number, "split.count": parts, "split.tensors.count": len(tensors)}
        mine = {name: tensors[name] for name in names[number::parts]}
        file = directory / f"m-{number + 1:05d}-of-{parts:05d}.gguf"
        write_gguf(file, metadata | own if number == 0 else own, mine)
    return directory / f"m-00001-of-{parts:05d}.gguf"


def small_metadata(
    family: str = "llama", layers: int = 2, hidden: int = 64, heads: int = 4
) -> dict[str, Any]:
    """Metadata of a small model with two query heads a KV head and the tiny model's tokens."""
    tokens = [*SPECIAL_TOKENS, *byte_alphabet(), "th", "the"]
    return {
        "general.architecture": family,
        f"{family}.block_count": layers,
        f"{family}.embedding_length": hidden,
        f"{family}.feed_forward_length": 2 * hidden,
        f"{family}.attention.head_count": heads,
        f"{family}.attention.head_count_kv": heads // 2,
        f"{family}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{family}.context_length": 256,
        f"{family}.rope.freq_base": 10000.0,
        f"{family}.rope.dimension_count": hidden // heads,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * len(SPECIAL_TOKENS) + [1] * (len(tokens) - len(SPECIAL_TOKENS)),
        "tokenizer.ggml.merges": ["t h", "th e"],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
    }


def small_tensors(
    metadata: dict[str, Any], kind: str = "Q4_1", embedding: str = "Q8_0", *, seed: int = 0, rows: int = 0
) -> Tensors:
    """Random tensors that fit `metadata`: matrices of type `kind`, tied embeddings, float32 vectors.

    rows: of the embeddings; 0 for as many as there are tokens.
    """
    generator = np.random.default_rng(seed)
    family = metadata["general.architecture"]
    hidden, wide = metadata[f"{family}.embedding_length"], metadata[f"{family}.feed_forward_length"]
    heads, kv_heads = (
        metadata[f"{family}.attention.head_count"],
        metadata[f"{family}.attention.head_count_kv"],
    )
    width = metadata.get(f"{family}.attention.key_length", hidden // heads)
    queries, keys = width * heads, width * kv_heads
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "token_embd.weight": (embedding, (rows or len(metadata["tokenizer.ggml.tokens"]), hidden)),
        "output_norm.weight": ("F32", (hidden,)),
    }
    for layer in range(metadata[f"{family}.block_count"]):
        of_layer = {
            "attn_norm.weight": ("F32", (hidden,)),
            "attn_q.weight": (kind, (queries, hidden)),
            "attn_k.weight": (kind, (keys, hidden)),
            "attn_v.weight": (kind, (keys, hidden)),
            "attn_output.weight": (kind, (hidden, queries)),
            "ffn_norm.weight": ("F32", (hidden,)),
            "ffn_gate.weight": (kind, (wide, hidden)),
            "ffn_up.weight": (kind, (wide, hidden)),
            "ffn_down.weight": (kind, (hidden, wide)),
        }
        if family == "qwen2":
            of_layer |= {f"attn_{part}.bias": ("F32", (queries if part == "q" else keys,)) for part in "qkv"}
        if family == "qwen3":
            of_layer |= {f"attn_{part}_norm.weight": ("F32", (width,)) for part in "qk"}
        shapes |= {f"blk.{layer}.{name}": entry for name, entry in of_layer.items()}
    return {
        name: (kind, shape, random_tensor(generator, kind, shape)) for name, (kind, shape) in shapes.items()
    }
