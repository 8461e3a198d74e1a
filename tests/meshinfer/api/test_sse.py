import json

from meshinfer.api.sse import event


def test_an_event_is_one_line_whatever_the_text_holds() -> None:
    text = "one\ntwo\r\n\u2028three\x85\x00é\U0001f600"
    sent = event({"text": text})
    assert sent.startswith(b"data: ")
    assert sent.endswith(b"\n\n")
    assert sent[:-2].decode().splitlines() == [sent[:-2].decode()]
    assert json.loads(sent[6:]) == {"text": text}
