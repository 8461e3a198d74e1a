import pytest

from meshinfer.labels import Label, call_also, current_label, is_label


def test_a_request_without_a_label_gets_no_other_name() -> None:
    call_also("c0ffee")
    assert current_label.get() is None


def test_a_request_is_found_by_the_ids_of_its_answers() -> None:
    label = Label("mine")
    token = current_label.set(label)
    try:
        call_also("c0ffee")
        call_also("c0ffee")
        call_also("decade")
    finally:
        current_label.reset(token)
    assert label.also == ["c0ffee", "decade"]
    assert [label.is_called(name) for name in ("mine", "chatcmpl-c0ffee", "resp_decade")] == [True] * 3
    assert not label.is_called("chatcmpl-mine")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("req-1", True),
        ("a b", True),
        ("x" * 128, True),
        ("", False),
        ("x" * 129, False),
        ("a\nb", False),
        ("ü", False),
    ],
)
def test_a_label_is_short_and_can_be_printed(name: str, is_one: bool) -> None:
    assert is_label(name) is is_one
