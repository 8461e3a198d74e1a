"""The JSON that clients of OpenAI's API get: answers, their chunks, and models."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from meshinfer.generation import Piece

from .question import Endpoint

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What all chunks of an answer have in common.

    token: unguessable, makes the id. created: in seconds since 1970. fingerprint: of the plan.
    """

    token: str
    created: int
    model: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Token ids are below vocab_size; prompt and answer together take at most context_tokens."""

    vocab_size: int
    context_tokens: int


class Wording(Protocol):
    """How one endpoint words an answer."""

    def opening(self) -> list[Json]:
        """Chunks before the first piece."""
        ...

    def chunks(self, piece: Piece) -> list[Json]:
        """Chunks of one piece."""
        ...

    def usage_chunk(self, last: Piece) -> Json:
        """The chunk with token counts, after the last piece."""
        ...

    def whole(self, text: str, last: Piece) -> Json:
        """The answer in one."""
        ...


def wording(endpoint: Endpoint, head: AnswerHead, has_usage: bool) -> Wording:
    """The wording of an endpoint. has_usage: whether a stream ends with token counts."""
    if endpoint is Endpoint.CHAT:
        return _ChatWording(head, has_usage)
    return _CompletionWording(head, has_usage)


class _ChatWording:
    def __init__(self, head: AnswerHead, has_usage: bool) -> None:
        self._common = _common(head, "chatcmpl")
        self._has_usage = has_usage

    def opening(self) -> list[Json]:
        return [self._chunk({"role": "assistant", "content": ""}, None)]

    def chunks(self, piece: Piece) -> list[Json]:
        deltas = [self._chunk({"content": piece.text}, None)] if piece.text else []
        return deltas if piece.finish is None else [*deltas, self._chunk({}, piece.finish.value)]

    def usage_chunk(self, last: Piece) -> Json:
        return {**self._common, "object": "chat.completion.chunk", "choices": [], "usage": _usage(last)}

    def whole(self, text: str, last: Piece) -> Json:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(last)}
        return {**self._common, "object": "chat.completion", "choices": [choice], "usage": _usage(last)}

    def _chunk(self, delta: Json, finish: str | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._common, "object": "chat.completion.chunk", "choices": [choice]}
        return {**chunk, "usage": None} if self._has_usage else chunk


class _CompletionWording:
    def __init__(self, head: AnswerHead, has_usage: bool) -> None:
        self._common = {**_common(head, "cmpl"), "object": "text_completion"}
        self._has_usage = has_usage

    def opening(self) -> list[Json]:
        return []

    def chunks(self, piece: Piece) -> list[Json]:
        chunk = {**self._common, "choices": [_text_choice(piece.text, piece)]}
        return [{**chunk, "usage": None} if self._has_usage else chunk]

    def usage_chunk(self, last: Piece) -> Json:
        return {**self._common, "choices": [], "usage": _usage(last)}

    def whole(self, text: str, last: Piece) -> Json:
        return {**self._common, "choices": [_text_choice(text, last)], "usage": _usage(last)}


def _common(head: AnswerHead, prefix: str) -> Json:
    return {
        "id": f"{prefix}-{head.token}",
        "created": head.created,
        "model": head.model,
        "system_fingerprint": head.fingerprint or None,
    }


def _text_choice(text: str, piece: Piece) -> Json:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": _finish(piece)}


def _finish(piece: Piece) -> str | None:
    return piece.finish.value if piece.finish else None


def _usage(last: Piece) -> Json:
    return {
        "prompt_tokens": last.prompt_tokens,
        "completion_tokens": last.answer_tokens,
        "total_tokens": last.prompt_tokens + last.answer_tokens,
    }


def model_json(name: str, created: int, size: ModelSize | None, *, is_loaded: bool = True) -> Json:
    """One entry of the models. Beyond what OpenAI tells: its size where it is known, and whether it is
    loaded, or only lies on a disk of the mesh.
    """
    entry = {"id": name, "object": "model", "created": created, "owned_by": "meshinfer"}
    return {**entry, **(asdict(size) if size else {}), "is_loaded": is_loaded}
