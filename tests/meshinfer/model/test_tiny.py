import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from meshinfer.model.runtime import prepare_mlx
from tests.tiny import END, Family, Precision, make_tiny_model

PROMPTS = ("What is the capital of France?", "Tell me a story", "1 + 1 =", "a", "the end", "no end")


def greedy(model: Any, tokenizer: Any, prompt: str, count: int) -> tuple[int, ...]:
    import mlx.core as mx
    from mlx_lm.generate import generate_step

    tokens = mx.array(tokenizer.encode(prompt))
    return tuple(int(token) for token, _ in generate_step(tokens, model, max_tokens=count))


def load(path: Path) -> tuple[Any, Any]:
    prepare_mlx()
    from mlx_lm import load as load_whole

    model, tokenizer, *_ = load_whole(str(path))
    return model, tokenizer


def digest(path: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.iterdir()}


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    first, again = make_tiny_model(tmp_path / "a"), make_tiny_model(tmp_path / "b")
    assert digest(first) == digest(again)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first, other = make_tiny_model(tmp_path / "a"), make_tiny_model(tmp_path / "b", seed=1)
    assert digest(first)["model.safetensors"] != digest(other)["model.safetensors"]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_answers_differ_by_prompt_and_wander(tmp_path: Path, family: Family, precision: Precision) -> None:
    model, tokenizer = load(make_tiny_model(tmp_path, family=family, precision=precision))
    answers = [greedy(model, tokenizer, prompt, 24) for prompt in PROMPTS]
    assert len(set(answers)) == len(PROMPTS)
    for answer in answers:
        assert len(set(answer)) >= 12, answer
        assert sum(a == b for a, b in pairwise(answer)) <= 4, answer
        text = tokenizer.decode(answer)
        assert text.isascii()
        assert text.isprintable()


def test_one_that_ends_says_the_end_token_before_long(tmp_path: Path) -> None:
    model, tokenizer = load(make_tiny_model(tmp_path, ends=True))
    assert all(END in greedy(model, tokenizer, prompt, 32) for prompt in PROMPTS)


@pytest.mark.parametrize("file_count", [1, 3])
def test_split_over_files_it_is_the_same_model(tmp_path: Path, file_count: int) -> None:
    whole = load(make_tiny_model(tmp_path / "whole", layers=2))
    split = load(make_tiny_model(tmp_path / "split", layers=2, file_count=file_count))
    assert greedy(*whole, "the", 8) == greedy(*split, "the", 8)
