from random import Random

from hypothesis import given
from hypothesis import strategies as st

from meshinfer.cli.bench.prompts import Prompts


@given(st.integers(1, 500), st.integers(1, 50), st.integers())
def test_a_prompt_has_so_many_tokens_of_the_vocabulary(vocab_size: int, tokens: int, seed: int) -> None:
    prompt = Prompts(vocab_size, Random(seed)).draw(tokens)
    assert len(prompt) == tokens
    assert all(0 <= token < vocab_size for token in prompt)


@given(st.integers(1, 300), st.integers())
def test_no_two_prompts_begin_alike_until_the_vocabulary_is_used_up(vocab_size: int, seed: int) -> None:
    prompts = Prompts(vocab_size, Random(seed))
    assert len({prompts.draw(3)[0] for _ in range(vocab_size)}) == vocab_size


def test_another_run_draws_others() -> None:
    assert Prompts(50_000, Random(1)).draw(8) != Prompts(50_000, Random(2)).draw(8)
