"""What was said in a chat so far, and how it is kept in a file: as Markdown to read, or as JSON."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

_ROLES = ("system", "user", "assistant")
_MOST_BYTES = 16 << 20

# A message begins behind a line like these, which no reader of the Markdown sees.
_MARK = re.compile(r"(\\*)<!-- (system|user|assistant) -->")
_HEADINGS = {"system": "System", "user": "You", "assistant": "Answer"}


class UnreadableChat(Exception):
    """A file holds no chat, or cannot be read; the text says what was expected."""


@dataclass(slots=True)
class Conversation:
    """The messages so far, as the API takes them."""

    system: str | None = None
    messages: list[dict[str, str]] = field(default_factory=list)

    def asked(self, question: str) -> list[dict[str, str]]:
        """Everything that is sent with this question."""
        return [*self._first, *self.messages, {"role": "user", "content": question}]

    def answered(self, question: str, answer: str) -> None:
        """Keep a question and what was said to it, even half of it."""
        self.messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]

    def take_back(self) -> str | None:
        """Forget the last question and its answer; return that question, None if there is none."""
        places = [place for place, message in enumerate(self.messages) if message["role"] == "user"]
        if not places:
            return None
        question = self.messages[places[-1]]["content"]
        del self.messages[places[-1] :]
        return question

    @property
    def all_messages(self) -> list[dict[str, str]]:
        """The messages with what the model was told first."""
        return [*self._first, *self.messages]

    @property
    def _first(self) -> list[dict[str, str]]:
        return [{"role": "system", "content": self.system}] if self.system else []


def save(conversation: Conversation, file: Path) -> None:
    """Write a chat: as JSON where the file is called so, as Markdown otherwise.

    Raises:
        OSError: it cannot be written.
    """
    text = _json(conversation) if file.suffix == ".json" else _markdown(conversation)
    file.write_text(text, encoding="utf-8", newline="")


def load(file: Path) -> Conversation:
    """Read what `save` wrote, or the messages of a request to OpenAI's API.

    Raises:
        OSError: it cannot be read. UnreadableChat: it holds something else.
    """
    if file.stat().st_size > _MOST_BYTES:
        raise UnreadableChat(f"{file} is larger than {_MOST_BYTES >> 20} MiB: that is no chat")
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UnreadableChat(f"{file} is no text in UTF-8") from error
    found = _from_json(text, file) if file.suffix == ".json" else _from_markdown(text)
    if not found:
        raise UnreadableChat(f"{file} holds no chat: give a file that /save wrote")
    first, *rest = found
    if first["role"] == "system":
        return Conversation(first["content"], rest)
    return Conversation(None, found)


def _json(conversation: Conversation) -> str:
    return json.dumps({"messages": conversation.all_messages}, indent=2, ensure_ascii=False) + "\n"


def _from_json(text: str, file: Path) -> list[dict[str, str]]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise UnreadableChat(f"{file} is no JSON: {error}") from error
    messages = body.get("messages") if isinstance(body, dict) else body
    return [_message(message, file) for message in messages] if isinstance(messages, list) else []


def _message(message: object, file: Path) -> dict[str, str]:
    match message:
        case {"role": str() as role, "content": str() as content} if role in _ROLES:
            return {"role": role, "content": content}
        case _:
            raise UnreadableChat(f"{file} holds messages other than texts of system, user and assistant")


def _markdown(conversation: Conversation) -> str:
    parts = []
    for message in conversation.all_messages:
        role = message["role"]
        body = "\n".join(_hidden(line) for line in message["content"].split("\n"))
        parts.append(f"<!-- {role} -->\n**{_HEADINGS[role]}**\n\n{body}\n")
    return "\n".join(parts)


def _from_markdown(text: str) -> list[dict[str, str]]:
    messages: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        mark = _MARK.fullmatch(line)
        if mark and not mark[1]:
            messages.append((mark[2], []))
        elif messages:
            messages[-1][1].append(line[1:] if mark else line)
    return [{"role": role, "content": _body(lines, role)} for role, lines in messages]


def _body(lines: list[str], role: str) -> str:
    """A message without its heading, and the empty lines that set it apart."""
    first = 2 if lines[:2] == [f"**{_HEADINGS[role]}**", ""] else 0
    return "\n".join(lines[first : len(lines) - 1] if lines and not lines[-1] else lines[first:])


def _hidden(line: str) -> str:
    """A line of a message that looks like a mark, so that it is none."""
    return f"\\{line}" if _MARK.fullmatch(line) else line
