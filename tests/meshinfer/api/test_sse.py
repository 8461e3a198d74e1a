import json

from meshinfer.api.sse import MAX_COMMENT_CHARACTERS, comment, event


def test_an_event_is_one_line_whatever_the_text_holds() -> None:
    text = "one\ntwo\r\n\u2028three\x85\x00é\U0001f600"
    sent = event({"text": text})
    assert sent.startswith(b"data: ")
    assert sent.endswith(b"\n\n")
    assert sent[:-2].decode().splitlines() == [sent[:-2].decode()]
    assert json.loads(sent[6:]) == {"text": text}


def test_a_comment_is_one_line_whatever_its_text_holds() -> None:
    sent = comment("one\ndata: two\r\n\u2028three\x85\x1b[2J")
    assert sent == b": one data: two   three  [2J\n\n"
    assert len(comment("é" * 1000).decode()) == MAX_COMMENT_CHARACTERS + 4
