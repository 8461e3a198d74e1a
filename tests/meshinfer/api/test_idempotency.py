from dataclasses import replace

import pytest

from meshinfer.api.errors import ApiError
from meshinfer.api.idempotency import claim, read_key
from meshinfer.api.question import Endpoint, Question
from meshinfer.messages import Sampling

CHAT = Question(
    Endpoint.CHAT,
    ({"role": "user", "content": "h\u00e9llo"},),
    sampling=Sampling(0.7, logit_bias=((5, 1.0),)),
)


@pytest.mark.parametrize(
    "key", ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", '"quoted, with spaces"', "~" * 255]
)
def test_a_key_is_printable_ascii(key: str) -> None:
    assert read_key({"Idempotency-Key": key}) == key
    assert read_key({}) is None


@pytest.mark.parametrize("key", ["", "a" * 256, "k\u00e9y", "tab\there", "\x00"])
def test_any_other_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ApiError, match="Idempotency-Key takes 1 to 255 printable ASCII") as refused:
        read_key({"Idempotency-Key": key})
    assert (refused.value.status, refused.value.param) == (400, "Idempotency-Key")
    assert not key or key not in refused.value.message


def test_every_peer_draws_the_same_seed() -> None:
    drawn = claim("key", CHAT)
    assert drawn == claim("key", replace(CHAT, is_streamed=True, has_usage=True))
    # Pinned: peers of one release agree on it, and so does a later one.
    assert (drawn.seed, drawn.token) == (2765991325928116451, "76c01b14ea765ff4a332d00d")
    assert 0 <= drawn.seed < 1 << 63


@pytest.mark.parametrize(
    "other",
    [
        replace(CHAT, endpoint=Endpoint.COMPLETION),
        replace(CHAT, prompt=({"role": "user", "content": "hello"},)),
        replace(CHAT, model="tiny"),
        replace(CHAT, max_tokens=5),
        replace(CHAT, stop=("x",)),
        replace(CHAT, sampling=replace(CHAT.sampling, temperature=0.8)),
        replace(CHAT, sampling=replace(CHAT.sampling, seed=1), is_seeded=True),
        replace(CHAT, is_seeded=True),
        replace(CHAT, ignores_stops=True),
    ],
)
def test_another_question_is_another_claim(other: Question) -> None:
    assert claim("key", other).digest != claim("key", CHAT).digest


def test_another_key_is_another_claim() -> None:
    assert claim("other", CHAT).seed != claim("key", CHAT).seed
