"""A GGUF writer and an independent dequantiser for tests, straight from the format's description."""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import SPECIAL_TOKENS, byte_alphabet

Array = np.ndarray[Any, np.dtype[Any]]

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8}
BLOCK_BYTES = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}


def random_tensor(generator: np.random.Generator, kind: str, shape: tuple[int, ...]) -> bytes:
    """Bytes of a tensor: random levels with sane scales."""
    if kind in ("F32", "F16"):
        numbers = generator.standard_normal(shape) * 0.2 + (1.0 if len(shape) == 1 else 0.0)
        return numbers.astype("<f4" if kind == "F32" else "<f2").tobytes()
    blocks = int(np.prod(shape)) // 32
    raw = generator.integers(0, 256, (blocks, BLOCK_BYTES[kind]), np.uint8)
    halves = 2 if kind == "Q4_1" else 1
    scales = (generator.standard_normal((blocks, halves)) * 0.02).astype("<f2")
    raw[:, : 2 * halves] = scales.view(np.uint8)
    return raw.tobytes()


def dequantized(kind: str, content: bytes, shape: tuple[int, ...]) -> Array:
    """The numbers as ggml defines them, in float64, block by block and number by number."""
    if kind in ("F32", "F16"):
        return np.frombuffer(content, "<f4" if kind == "F32" else "<f2").astype(np.float64).reshape(shape)
    numbers: list[float] = []
    for begin in range(0, len(content), BLOCK_BYTES[kind]):
        block = content[begin : begin + BLOCK_BYTES[kind]]
        scale = struct.unpack("<e", block[:2])[0]
        if kind == "Q8_0":
            numbers += [scale * level for level in struct.unpack("<32b", block[2:])]
            continue
        low, quants = (struct.unpack("<e", block[2:4])[0], block[4:]) if kind == "Q4_1" else (None, block[2:])
        for level in [byte & 15 for byte in quants] + [byte >> 4 for byte in quants]:
            numbers.append(scale * (level - 8) if low is None else scale * level + low)
    return np.array(numbers).reshape(shape)


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
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(packed_text, value))
        case _:
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)


def packed_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def write_gguf(
    file: Path,
    metadata: dict[str, Any],
    tensors: dict[str, tuple[str, tuple[int, ...], bytes]],
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


def llama_metadata(layers: int = 2, hidden: int = 64, heads: int = 4) -> dict[str, Any]:
    """Metadata of a small llama with two query heads a KV head and the tiny model's tokens."""
    tokens = [*SPECIAL_TOKENS, *byte_alphabet(), "th", "the"]
    return {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.embedding_length": hidden,
        "llama.feed_forward_length": 2 * hidden,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": heads // 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.context_length": 256,
        "llama.rope.freq_base": 10000.0,
        "llama.rope.dimension_count": hidden // heads,
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


def llama_tensors(
    metadata: dict[str, Any], kind: str = "Q4_1", embedding: str = "Q8_0", seed: int = 0
) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Random tensors that fit `metadata`: matrices of type `kind`, tied embeddings, float32 norms."""
    generator = np.random.default_rng(seed)
    hidden, wide = metadata["llama.embedding_length"], metadata["llama.feed_forward_length"]
    heads, kv_heads = metadata["llama.attention.head_count"], metadata["llama.attention.head_count_kv"]
    keys = hidden // heads * kv_heads
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "token_embd.weight": (embedding, (len(metadata["tokenizer.ggml.tokens"]), hidden)),
        "output_norm.weight": ("F32", (hidden,)),
    }
    for layer in range(metadata["llama.block_count"]):
        shapes |= {
            f"blk.{layer}.attn_norm.weight": ("F32", (hidden,)),
            f"blk.{layer}.attn_q.weight": (kind, (hidden, hidden)),
            f"blk.{layer}.attn_k.weight": (kind, (keys, hidden)),
            f"blk.{layer}.attn_v.weight": (kind, (keys, hidden)),
            f"blk.{layer}.attn_output.weight": (kind, (hidden, hidden)),
            f"blk.{layer}.ffn_norm.weight": ("F32", (hidden,)),
            f"blk.{layer}.ffn_gate.weight": (kind, (wide, hidden)),
            f"blk.{layer}.ffn_up.weight": (kind, (wide, hidden)),
            f"blk.{layer}.ffn_down.weight": (kind, (hidden, wide)),
        }
    return {
        name: (kind, shape, random_tensor(generator, kind, shape)) for name, (kind, shape) in shapes.items()
    }
