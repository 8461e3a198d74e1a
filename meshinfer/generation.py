"""From a prompt to pieces of text: what `Peer.generate` checks and does around a session."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .actors.mail import LocalModel, Sampled
from .errors import DeadlineExceeded, MeshError, PromptTooLong, RequestError
from .messages import Finish, Opening, Sampling
from .model.stops import StopStrings

T = TypeVar("T")

Prompt = str | Sequence[int] | Sequence[Mapping[str, object]]
"""A bare text, token ids, or the messages of a chat (`{"role": …, "content": …}`)."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer. finish: set on the last piece.

    text: may be empty on the first piece and on the last.
    prompt_tokens, answer_tokens: how many went in, and came out so far.
    """

    text: str
    finish: Finish | None
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an answer must be whole. granted_s: counted from its question; at_s: on the loop's clock."""

    granted_s: float
    at_s: float

    @classmethod
    def within(cls, asked_s: float | None, most_s: float) -> "Deadline":
        """What a request may take from now on: as long as it asks for, and no longer than `most_s`.

        Raises:
            RequestError: it asks for no time at all.
        """
        # NaN is not above 0 either.
        if asked_s is not None and not asked_s > 0:
            raise RequestError(f"deadline_s is {asked_s}: an answer takes more than 0 seconds", "deadline_s")
        granted_s = most_s if asked_s is None else min(asked_s, most_s)
        return cls(granted_s, asyncio.get_running_loop().time() + granted_s)

    async def bound(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Wait, but not past the deadline; afterwards not even for what is there already.

        Raises:
            DeadlineExceeded: it has passed. Whatever the waiting raises.
        """
        late = DeadlineExceeded(
            f"the answer was not whole within {self.granted_s:g} s: allow it more time, or ask for less"
        )
        if asyncio.get_running_loop().time() >= self.at_s:
            raise late
        try:
            async with asyncio.timeout_at(self.at_s):
                return await wait()
        except TimeoutError as error:
            raise late from error


def encode(model: LocalModel, prompt: Prompt) -> tuple[int, ...]:
    """Token ids of a prompt. Blocking: a long one takes a while.

    Raises:
        RequestError: the prompt is empty, or the model's chat template refuses it.
    """
    if isinstance(prompt, str):
        tokens = model.tokenizer.encode(prompt) if prompt else ()
        field = "prompt"
    elif all(isinstance(part, int) for part in prompt):
        tokens = tuple(part for part in prompt if isinstance(part, int))
        field = "prompt"
        _check_ids(tokens, model.card.vocab_size)
    else:
        tokens = model.tokenizer.encode_chat([dict(part) for part in prompt if isinstance(part, Mapping)])
        field = "messages"
    if not tokens:
        raise RequestError(f"the {field} is empty: give at least one token", field)
    return tokens


def _check_ids(tokens: tuple[int, ...], vocab_size: int) -> None:
    wrong = next((token for token in tokens if not 0 <= token < vocab_size), None)
    if wrong is not None:
        raise RequestError(f"token id {wrong} is outside the model's vocabulary of {vocab_size}", "prompt")


def _check_biases(sampling: Sampling, vocab_size: int) -> None:
    """Refuse biases on tokens that do not exist: the sampler would skip them without a word."""
    wrong = next((token for token, _ in sampling.logit_bias if token >= vocab_size), None)
    if wrong is not None:
        raise RequestError(
            f"logit_bias names token {wrong}, outside the model's vocabulary of {vocab_size}", "logit_bias"
        )


def opening_for(
    model: LocalModel,
    prompt: tuple[int, ...],
    sampling: Sampling,
    max_tokens: int | None,
    default_tokens: int,
    *,
    ignores_stops: bool = False,
) -> Opening:
    """What the ring must know of a session; the answer is cut to the model's context.

    ignores_stops: the model's own stop tokens end nothing; the answer is as long as it may be.

    Raises:
        RequestError: max_tokens is below 1, or a bias is on a token that does not exist.
        PromptTooLong: no token of context is left for an answer.
    """
    card = model.card
    _check_biases(sampling, card.vocab_size)
    if max_tokens is not None and max_tokens < 1:
        raise RequestError(f"max_tokens is {max_tokens}: an answer takes at least 1", "max_tokens")
    room = card.context_tokens - len(prompt)
    if room < 1:
        raise PromptTooLong(
            f"the prompt has {len(prompt)} tokens, {card.name} takes {card.context_tokens} with the answer: "
            "shorten the prompt or begin a new chat",
            "messages",
        )
    wanted = max_tokens if max_tokens is not None else default_tokens
    return Opening(sampling, len(prompt), min(wanted, room), () if ignores_stops else card.stop_tokens)


async def pieces(
    model: LocalModel,
    prompt_tokens: int,
    stop: tuple[str, ...],
    sink: "asyncio.Queue[Sampled | MeshError]",
    deadline: Deadline,
) -> AsyncGenerator[Piece, None]:
    """Turn the tokens that come through `sink` into text, up to a stop string or the answer's end.

    Raises:
        MeshError: the session failed, or took too long; what was yielded before stands.
    """
    detokenizer, stops = model.tokenizer.detokenizer(), StopStrings(stop)
    answer_tokens = 0
    while True:
        item = await deadline.bound(sink.get)
        if isinstance(item, MeshError):
            raise item
        answer_tokens += 1
        text = "" if item.finish is Finish.STOP else detokenizer.add(item.token)
        text, is_stopped = stops.feed(text)
        finish = item.finish
        if finish is not None and not is_stopped:
            last, is_stopped = stops.feed(detokenizer.finish())
            text += last + ("" if is_stopped else stops.flush())
        if is_stopped:
            finish = Finish.STOP
        # The first token ends the wait for the prompt, even where it is half a character.
        if text or finish is not None or answer_tokens == 1:
            yield Piece(text, finish, prompt_tokens, answer_tokens)
        if finish is not None:
            return
