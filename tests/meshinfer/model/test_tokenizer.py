import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.errors import BrokenModel, RequestError, UnsupportedModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.language import Tokenizer
from meshinfer.model.tokenizer import load_tokenizer
from tests.tiny import END, START, make_tiny_model


def tiny_files(path: Path) -> ModelFiles:
    return ModelFiles("tiny", f"dir:{path}", make_tiny_model(path, layers=1, hidden=16))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return tiny_files(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny(files: ModelFiles) -> Tokenizer:
    return load_tokenizer(files)


def change_config(path: Path, **changes: Any) -> None:
    file = path / "tokenizer_config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def with_bos(path: Path) -> None:
    """Let the tokenizer put <|start|> before every text."""
    file = path / "tokenizer.json"
    content = json.loads(file.read_text())
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|start|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|start|>": {"id": "<|start|>", "ids": [START], "tokens": ["<|start|>"]}},
    }
    file.write_text(json.dumps(content))


def test_text_comes_back_from_its_tokens(tiny: Tokenizer) -> None:
    text = " The end, 12 times: héllo 😀\n"
    assert tiny.decode(tiny.encode(text)) == text


def test_the_beginning_of_text_comes_once(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    with_bos(tmp_path)
    tokenizer = load_tokenizer(files)
    assert tokenizer.encode("the")[0] == START
    assert tokenizer.encode("<|start|>the") == tokenizer.encode("the")


def test_a_bare_text_is_encoded_as_mlx_lm_does(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    with_bos(tmp_path)
    tokenizer = load_tokenizer(files)
    from mlx_lm import load, stream_generate

    model, wrapper, *_ = load(str(tmp_path))
    for text in ("the end", "<|start|>the end"):
        response = next(iter(stream_generate(model, wrapper, text, max_tokens=1)))
        assert response.prompt_tokens == len(tokenizer.encode(text))


def test_a_chat_is_ready_for_the_assistants_turn(tiny: Tokenizer) -> None:
    tokens = tiny.encode_chat([{"role": "user", "content": "the end"}])
    assert tokens == tiny.encode("<|start|>user\nthe end<|end|>\n<|start|>assistant\n")
    assert tokens.count(START) == 2
    assert tokens.count(END) == 1


@pytest.mark.parametrize(
    "message",
    [{"role": "wizard", "content": "hi"}, {"role": "user", "content": [{"type": "image"}]}, {"role": "user"}],
)
def test_messages_that_the_template_refuses_are_the_requests_fault(
    tiny: Tokenizer, message: dict[str, object]
) -> None:
    with pytest.raises(RequestError, match="template refuses") as caught:
        tiny.encode_chat([message])
    assert caught.value.param == "messages"


def test_without_a_template_the_error_says_what_to_call(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    change_config(tmp_path, chat_template=None)
    with pytest.raises(RequestError, match="/v1/completions"):
        load_tokenizer(files).encode_chat([{"role": "user", "content": "hi"}])


def test_a_template_cannot_reach_out_of_its_sandbox(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    change_config(tmp_path, chat_template="{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(RequestError, match="unsafe"):
        load_tokenizer(files).encode_chat([{"role": "user", "content": "hi"}])


def test_code_from_a_repository_is_not_run(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    change_config(tmp_path, tokenizer_class="Own", auto_map={"AutoTokenizer": [None, "own.Own"]})
    (tmp_path / "own.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(UnsupportedModel, match=r"needs its tokenizer's code .*never run: use a model that"):
        load_tokenizer(files)


def test_code_that_a_repository_brings_is_no_hindrance_where_mlx_lm_needs_none(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    file = tmp_path / "config.json"
    maps = {"auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.Own"}}
    file.write_text(json.dumps(json.loads(file.read_text()) | maps))
    (tmp_path / "own.py").write_text("raise SystemExit('this ran')")
    assert load_tokenizer(files).encode("the")


def change_vocabulary(path: Path, difference: int) -> None:
    """Let config.json promise more or fewer embeddings than there are tokens."""
    file = path / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + difference}))


def test_tokens_without_embeddings_are_told_when_the_model_is_loaded(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    change_vocabulary(tmp_path, -1)
    with pytest.raises(BrokenModel, match=r"token ids up to (\d+), the model has embeddings for \1 tokens"):
        load_tokenizer(files)


def test_embeddings_that_are_filled_up_are_fine(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    change_vocabulary(tmp_path, 64)
    assert load_tokenizer(files).encode("the")


def test_a_torn_tokenizer_is_a_broken_model(tmp_path: Path) -> None:
    files = tiny_files(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "BPE"')
    with pytest.raises(BrokenModel, match="tokenizer cannot be loaded"):
        load_tokenizer(files)


@given(st.lists(st.integers(0, 305), max_size=24))
def test_an_answer_in_pieces_is_the_whole_answer(tiny: Tokenizer, tokens: list[int]) -> None:
    detokenizer = tiny.detokenizer()
    pieces = [*map(detokenizer.add, tokens), detokenizer.finish()]
    assert "".join(pieces) == tiny.decode(tuple(tokens))


def test_two_answers_at_once_do_not_mix(tiny: Tokenizer) -> None:
    first, second = tiny.detokenizer(), tiny.detokenizer()
    c3, a9 = tiny.encode("é")
    assert first.add(c3) == ""
    assert second.add(a9) == "\ufffd"
    assert first.add(a9) == "é"


def test_many_threads_may_load_at_once(files: ModelFiles) -> None:
    loaded: list[Tokenizer] = []
    threads = [threading.Thread(target=lambda: loaded.append(load_tokenizer(files))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tokenizer.encode("the end") for tokenizer in loaded] == [loaded[0].encode("the end")] * 4
