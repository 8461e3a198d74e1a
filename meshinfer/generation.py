"""From a prompt to pieces of text: what `Peer.generate` checks and does around a session."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .actors.mail import LocalModel, Sampled
from .errors import DeadlineExceeded, MeshError, PromptTooLong, RequestError
from .messages import MAX_TOP_LOGPROBS, Constraint, Finish, Opening, Sampling, TokenLogprobs
from .model.language import Tokenizer
from .model.stops import StopStrings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat with what else its template may be told. messages and tools are in OpenAI's shape.

    messages: those of the assistant may have `tool_calls` and `reasoning_content`, those of the role `tool` a
    `tool_call_id`. options: for the template, such as `enable_thinking`; refused where it does not know them.
    hints: the same, but left out there.
    """

    messages: tuple[Mapping[str, object], ...]
    tools: tuple[Mapping[str, object], ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    hints: Mapping[str, object] = field(default_factory=dict)


Prompt = str | Sequence[int] | Sequence[Mapping[str, object]] | Conversation
"""A bare text, token ids, the messages of a chat (`{"role": …, "content": …}`), or these with tools."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A token of an answer, or another one that was likely in its place, and how likely the model held it.

    data: what it stands for, as bytes of UTF-8, perhaps a part of a character; a special token has its name.
    text: the same, with `\ufffd` for what is no whole character. logprob: see `TokenLogprobs`. top: the
    likeliest in its place, these first; they have none themselves.
    """

    token: int
    text: str
    data: bytes
    logprob: float
    top: tuple["Choice", ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer. finish: set on the last piece.

    text: may be empty on the first piece and on the last.
    prompt_tokens, answer_tokens: how many went in, and came out so far. cached_tokens: of those that went in,
    which were not computed, since an earlier prompt began with them too.
    tokens: those whose text begins in this piece, where log-probabilities were asked for; none that ended
    the answer. stop_text: on the last piece, the stop string that ended it.
    """

    text: str
    finish: Finish | None
    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int = 0
    tokens: tuple[Choice, ...] = ()
    stop_text: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer was asked for with; see `Peer.generate`.

    keeps_special: special tokens become text as well, but for the stop token that ends the answer.
    """

    prompt: Prompt
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    model: str | None = None
    deadline_s: float | None = None
    ignores_stops: bool = False
    constraint: Constraint | None = None
    top_logprobs: int | None = None
    keeps_special: bool = False


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
        RequestError: the prompt is empty, or the model's chat template refuses it, its tools or its options.
    """
    if isinstance(prompt, Conversation):
        messages, tools = ([dict(each) for each in part] for part in (prompt.messages, prompt.tools))
        hints = {name: value for name, value in prompt.hints.items() if model.tokenizer.knows(name)}
        return _checked(model.tokenizer.encode_chat(messages, tools, {**hints, **prompt.options}), "messages")
    if isinstance(prompt, str):
        tokens = model.tokenizer.encode(prompt) if prompt else ()
        name = "prompt"
    elif all(isinstance(part, int) for part in prompt):
        tokens = tuple(part for part in prompt if isinstance(part, int))
        name = "prompt"
        _check_ids(tokens, model.card.vocab_size)
    else:
        tokens = model.tokenizer.encode_chat([dict(part) for part in prompt if isinstance(part, Mapping)])
        name = "messages"
    return _checked(tokens, name)


def decode(model: LocalModel, tokens: tuple[int, ...]) -> str:
    """The text of some token ids, special tokens left out. Blocking: many take a while.

    Raises:
        RequestError: there is no such token.
    """
    _check_ids(tokens, model.card.vocab_size, "tokens")
    return model.tokenizer.decode(tokens)


def _checked(tokens: tuple[int, ...], name: str) -> tuple[int, ...]:
    if not tokens:
        raise RequestError(f"the {name} is empty: give at least one token", name)
    return tokens


def _check_ids(tokens: tuple[int, ...], vocab_size: int, name: str = "prompt") -> None:
    wrong = next((token for token in tokens if not 0 <= token < vocab_size), None)
    if wrong is not None:
        raise RequestError(f"token id {wrong} is outside the model's vocabulary of {vocab_size}", name)


def _check_biases(sampling: Sampling, vocab_size: int) -> None:
    """Refuse biases on tokens that do not exist: the sampler would skip them without a word."""
    wrong = next((token for token, _ in sampling.logit_bias if token >= vocab_size), None)
    if wrong is not None:
        raise RequestError(
            f"logit_bias names token {wrong}, outside the model's vocabulary of {vocab_size}", "logit_bias"
        )


def opening_for(model: LocalModel, prompt: tuple[int, ...], asked: Asked, default_tokens: int) -> Opening:
    """What the ring must know of a session; the answer is cut to the model's context.

    default_tokens: the answer's length where none is asked for.

    Raises:
        RequestError: max_tokens is below 1, a bias is on a token that does not exist, a constraint shall not
            end the answer, or log-probabilities of too many tokens are asked for.
        PromptTooLong: no token of context is left for an answer.
    """
    sampling, max_tokens, top_logprobs = asked.sampling, asked.max_tokens, asked.top_logprobs
    card = model.card
    _check_biases(sampling, card.vocab_size)
    if max_tokens is not None and max_tokens < 1:
        raise RequestError(f"max_tokens is {max_tokens}: an answer takes at least 1", "max_tokens")
    if asked.constraint is not None and asked.ignores_stops:
        raise RequestError("an answer that is constrained ends where it is whole: stops cannot be ignored")
    if top_logprobs is not None and not 0 <= top_logprobs <= MAX_TOP_LOGPROBS:
        raise RequestError(
            f"top_logprobs is {top_logprobs}: 0 to {MAX_TOP_LOGPROBS} can be told", "top_logprobs"
        )
    room = card.context_tokens - len(prompt)
    if room < 1:
        raise PromptTooLong(
            f"the prompt has {len(prompt)} tokens, {card.name} takes {card.context_tokens} with the answer: "
            "shorten the prompt or begin a new chat",
            "messages",
        )
    wanted = max_tokens if max_tokens is not None else default_tokens
    return Opening(
        sampling,
        prompt_tokens=len(prompt),
        max_tokens=min(wanted, room),
        stop_tokens=() if asked.ignores_stops else card.stop_tokens,
        constraint=asked.constraint,
        top_logprobs=top_logprobs,
    )


async def pieces(
    model: LocalModel,
    prompt_tokens: int,
    asked: Asked,
    sink: "asyncio.Queue[Sampled | MeshError]",
    deadline: Deadline,
) -> AsyncGenerator[Piece, None]:
    """Turn the tokens that come through `sink` into text, up to a stop string or the answer's end.

    Raises:
        MeshError: the session failed, or took too long; what was yielded before stands.
    """
    detokenizer, stops = model.tokenizer.detokenizer(asked.keeps_special), StopStrings(asked.stop)
    choices = _Choices(model.tokenizer)
    answer_tokens = 0
    while True:
        item = await deadline.bound(sink.get)
        if isinstance(item, MeshError):
            raise item
        answer_tokens += 1
        is_end = item.finish is Finish.STOP and item.token in model.card.stop_tokens
        written = "" if is_end else detokenizer.add(item.token)
        if not is_end:
            choices.add(item, written)
        text, is_stopped = stops.feed(written)
        finish = item.finish
        if finish is not None and not is_stopped:
            last, is_stopped = stops.feed(detokenizer.finish())
            text += last + ("" if is_stopped else stops.flush())
        if is_stopped:
            finish = Finish.STOP
        # The first token ends the wait for the prompt, even where it is half a character.
        if text or finish is not None or answer_tokens == 1:
            tokens = choices.take(text, is_rest=finish is not None and not is_stopped)
            yield Piece(
                text, finish, prompt_tokens, answer_tokens, item.cached_tokens, tokens, stops.stopped_by
            )
        if finish is not None:
            return


class _Choices:
    """Brings the tokens of an answer to the pieces in which their text begins; text may be held back."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._written = self._shown = 0
        self._waiting: list[tuple[int, Choice]] = []

    def add(self, sampled: Sampled, written: str) -> None:
        """Take a token, if its log-probability came with it, and the text that it made certain."""
        if sampled.logprobs is not None:
            self._waiting.append((self._written, self._choice(sampled.token, sampled.logprobs)))
        self._written += len(written)

    def take(self, text: str, *, is_rest: bool) -> tuple[Choice, ...]:
        """Those that belong to a piece with this text. is_rest: all, since nothing more is shown."""
        self._shown += len(text)
        taken = tuple(choice for begin, choice in self._waiting if is_rest or begin < self._shown)
        self._waiting = self._waiting[len(taken) :]
        return taken

    def _choice(self, token: int, logprobs: TokenLogprobs) -> Choice:
        top = tuple(self._alone(other, logprob) for other, logprob in logprobs.top)
        return replace(self._alone(token, logprobs.chosen), top=top)

    def _alone(self, token: int, logprob: float) -> Choice:
        data = self._tokenizer.token_bytes(token)
        return Choice(token, data.decode(errors="replace"), data, logprob)
