"""The items of a response's output, as they are written: what a model thinks, its text, and its calls.

Each tells what happens to it as events: their type, and their fields.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from meshinfer.generation import Choice

from .openai_logprobs import chat_logprobs
from .wording import Json

Event = tuple[str, Json]
Status = Literal["in_progress", "completed", "incomplete"]


class Item(Protocol):
    """One item. `begin` comes once, then text, then `end`."""

    def begin(self) -> Iterator[Event]:
        """It is there."""
        ...

    def add(self, text: str, tokens: Sequence[Choice] = ()) -> Iterator[Event]:
        """More of its text, or of its arguments."""
        ...

    def end(self, status: Status) -> Iterator[Event]:
        """It is over: completed, or incomplete where the answer was cut short in it."""
        ...

    def json(self, status: Status) -> Json:
        """As it is now."""
        ...


class TextItem:
    """A message of the model, or its reasoning: both hold one part, of text."""

    def __init__(self, token: str, index: int, *, is_reasoning: bool) -> None:
        self._is_reasoning = is_reasoning
        self._kind = "reasoning_text" if is_reasoning else "output_text"
        self._id = f"{'rs' if is_reasoning else 'msg'}_{token}_{index}"
        self._index = index
        self._texts: list[str] = []
        self._tokens: list[Choice] = []

    def begin(self) -> Iterator[Event]:
        """It is there, and empty."""
        yield _added(self._index, {**self.json("in_progress"), "content": []})
        yield "response.content_part.added", {**self._place, "part": self._part("", ())}

    def add(self, text: str, tokens: Sequence[Choice] = ()) -> Iterator[Event]:
        """More of its text."""
        self._texts.append(text)
        self._tokens.extend(tokens)
        yield f"response.{self._kind}.delta", {**self._place, "delta": text, **self._logprobs(tokens)}

    def end(self, status: Status) -> Iterator[Event]:
        """It is over."""
        text = "".join(self._texts)
        yield f"response.{self._kind}.done", {**self._place, "text": text, **self._logprobs(self._tokens)}
        yield "response.content_part.done", {**self._place, "part": self._part(text, self._tokens)}
        yield _done(self._index, self.json(status))

    def json(self, status: Status) -> Json:
        """As it is now."""
        content = [self._part("".join(self._texts), self._tokens)]
        if self._is_reasoning:
            # Nobody sums it up: it stands there whole.
            return {
                "id": self._id,
                "type": "reasoning",
                "status": status,
                "summary": [],
                "content": content,
                "encrypted_content": None,
            }
        return {
            "id": self._id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    @property
    def _place(self) -> Json:
        return {"item_id": self._id, "output_index": self._index, "content_index": 0}

    def _logprobs(self, tokens: Sequence[Choice]) -> Json:
        return {} if self._is_reasoning else {"logprobs": chat_logprobs(tokens)["content"]}

    def _part(self, text: str, tokens: Sequence[Choice]) -> Json:
        annotations: Json = {} if self._is_reasoning else {"annotations": []}
        return {"type": self._kind, "text": text, **annotations, **self._logprobs(tokens)}


class CallItem:
    """A call of a tool."""

    def __init__(self, token: str, index: int, call: str, name: str) -> None:
        self._id = f"fc_{token}_{index}"
        self._index = index
        self._call = call
        self._name = name
        self._texts: list[str] = []

    def begin(self) -> Iterator[Event]:
        """It is there, and empty."""
        yield _added(self._index, self.json("in_progress"))

    def add(self, text: str, tokens: Sequence[Choice] = ()) -> Iterator[Event]:
        """More of its text."""
        self._texts.append(text)
        yield "response.function_call_arguments.delta", {**self._place, "delta": text}

    def end(self, status: Status) -> Iterator[Event]:
        """It is over."""
        named = {"name": self._name, "arguments": "".join(self._texts)}
        yield "response.function_call_arguments.done", {**self._place, **named}
        yield _done(self._index, self.json(status))

    def json(self, status: Status) -> Json:
        """As it is now."""
        return {
            "id": self._id,
            "type": "function_call",
            "status": status,
            "call_id": self._call,
            "name": self._name,
            "arguments": "".join(self._texts),
        }

    @property
    def _place(self) -> Json:
        return {"item_id": self._id, "output_index": self._index}


def _added(index: int, item: Json) -> Event:
    return "response.output_item.added", {"output_index": index, "item": item}


def _done(index: int, item: Json) -> Event:
    return "response.output_item.done", {"output_index": index, "item": item}
