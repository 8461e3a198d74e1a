import pytest

from meshinfer.api.errors import ApiError
from meshinfer.api.openai_request import ChatBody, CompletionBody
from meshinfer.api.refusals import CHAT, COMPLETION, HARMLESS, Refusals, kept_fields

UNSUPPORTED = [
    *[(name, CHAT) for name in CHAT],
    *[(name, COMPLETION) for name in COMPLETION],
]


@pytest.mark.parametrize(("name", "refusals"), UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(name: str, refusals: Refusals) -> None:
    with pytest.raises(ApiError, match=f"^{name} is not supported by this release: leave it out") as refused:
        kept_fields({name: {"asked": "for"}}, {"model"}, refusals)
    assert (refused.value.status, refused.value.param) == (400, name)


@pytest.mark.parametrize(("name", "refusals"), UNSUPPORTED)
def test_what_changes_nothing_is_dropped(name: str, refusals: Refusals) -> None:
    for value in (None, *refusals[name]):
        assert kept_fields({name: value, "model": "m"}, {"model"}, refusals) == {"model": "m"}


def test_true_is_no_number() -> None:
    with pytest.raises(ApiError, match="n is not supported by this release: leave it out or send 1"):
        kept_fields({"n": True}, (), {"n": (1,)})


def test_what_took_the_place_of_a_field_is_told() -> None:
    with pytest.raises(ApiError, match="leave it out or send \\[\\] or use tools"):
        kept_fields({"functions": [{"name": "f"}]}, (), CHAT)


def test_notes_to_the_provider_are_dropped() -> None:
    assert kept_fields(dict.fromkeys(HARMLESS, "x"), (), CHAT) == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("temprature", "temprature is not a known field: did you mean temperature?"),
        ("max_token", "max_token is not a known field: did you mean max_tokens?"),
        ("tool_choices", "tool_choices is not a known field: did you mean tool_choice?"),
        ("zzz", "zzz is not a known field"),
        ("y" * 100, "y" * 64 + "… is not a known field"),
    ],
)
def test_an_unknown_field_is_answered_with_the_likeliest_spelling(name: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        kept_fields({name: 1}, ChatBody.model_fields, CHAT)
    assert refused.value.message == message
    assert refused.value.code == "unknown_parameter"


def test_no_field_is_honoured_and_refused_at_once() -> None:
    assert not set(ChatBody.model_fields) & {*CHAT, *HARMLESS}
    assert not set(CompletionBody.model_fields) & {*COMPLETION, *HARMLESS}
