import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.cli.conversation import Conversation, UnreadableChat, load, save

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["<!-- user -->", "\\<!-- assistant -->", "**You**\n\nx", "\n\n", "a\n<!-- system -->\nb\n", "x\r\ny"]
)


def said(*texts: str, system: str | None = None) -> Conversation:
    conversation = Conversation(system)
    for question, answer in zip(texts[::2], texts[1::2], strict=True):
        conversation.answered(question, answer)
    return conversation


@pytest.mark.parametrize("name", ["chat.md", "chat.json"])
@given(st.lists(TEXTS, min_size=2, max_size=6).filter(lambda texts: len(texts) % 2 == 0), TEXTS)
def test_what_was_kept_is_what_was_said(
    tmp_path_factory: pytest.TempPathFactory, name: str, texts: list[str], system: str
) -> None:
    file = tmp_path_factory.mktemp("chat") / name
    conversation = said(*texts, system=system or None)
    save(conversation, file)
    assert load(file) == conversation


def test_markdown_is_for_people(tmp_path: Path) -> None:
    file = tmp_path / "chat.md"
    save(said("Hi", "Hello\nthere"), file)
    assert (
        file.read_text() == "<!-- user -->\n**You**\n\nHi\n\n<!-- assistant -->\n**Answer**\n\nHello\nthere\n"
    )


def test_messages_of_openais_api_are_read(tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text(
        json.dumps([{"role": "system", "content": "be brief"}, {"role": "user", "content": "Hi"}])
    )
    assert load(file) == Conversation("be brief", [{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("chat.json", b"{", "is no JSON"),
        ("chat.json", b"{}", "holds no chat"),
        ("chat.json", b'[{"role": "tool", "content": "x"}]', "other than texts"),
        ("chat.json", b'[{"role": "user", "content": []}]', "other than texts"),
        ("chat.md", b"# A page\n", "holds no chat"),
        ("chat.md", b"\xff\xfe", "no text in UTF-8"),
    ],
)
def test_what_is_no_chat_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UnreadableChat, match=words):
        load(file)


def test_the_last_question_is_taken_back_with_its_answer() -> None:
    conversation = said("one", "1", "two", "2")
    assert conversation.take_back() == "two"
    assert conversation == said("one", "1")
    assert conversation.take_back() == "one"
    assert conversation.take_back() is None
