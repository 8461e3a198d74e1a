"""What mlx-lm answers in one process: the truth that rings are held against."""

from functools import cache
from pathlib import Path
from typing import Any

from meshinfer.model.runtime import prepare_mlx

prepare_mlx()

import mlx.core as mx  # noqa: E402
import mlx_lm  # noqa: E402
from mlx_lm.generate import generate_step  # noqa: E402


@cache
def _loaded(path: Path) -> tuple[Any, Any]:
    model, tokenizer = mlx_lm.load(str(path))[:2]
    return model, tokenizer


def greedy_tokens(path: Path, prompt: str, count: int, *, is_chat: bool = False) -> list[int]:
    """Token ids that `mlx_lm` samples greedily for a prompt, up to `count`, its end marks left out."""
    model, tokenizer = _loaded(path)
    if is_chat:
        ids = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
    else:
        ids = tokenizer.encode(prompt)
    found = []
    for token, _ in generate_step(mx.array(ids), model, max_tokens=count):
        if token in tokenizer.eos_token_ids:
            break
        found.append(token)
    return found


def greedy_text(path: Path, prompt: str, count: int, *, is_chat: bool = False) -> str:
    """Those tokens as text. (`mlx_lm.generate` itself drops a leading space, which a reader wants.)"""
    _, tokenizer = _loaded(path)
    return str(tokenizer.decode(greedy_tokens(path, prompt, count, is_chat=is_chat)))


def adapted_text(path: Path, adapter: Path, prompt: str, count: int) -> str:
    """The text with an adapter, all floats cast to bfloat16, end marks ignored."""
    model, tokenizer = mlx_lm.load(str(path), adapter_path=str(adapter))[:2]
    model.set_dtype(mx.bfloat16)
    steps = generate_step(mx.array(tokenizer.encode(prompt)), model, max_tokens=count)
    return str(tokenizer.decode([token for token, _ in steps]))
