"""A chat at a terminal: lines in, answers out as they are written."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from .client import Chunk, ClientError, PeerClient
from .terminal import Terminal, Tone, visible

HELP = "Ctrl-C stops an answer, Ctrl-D or /quit leaves, /new begins anew"


@dataclass(frozen=True, slots=True)
class TalkSettings:
    """How answers are asked for. system: what the model is told first; None leaves a thing to the peer."""

    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None

    @property
    def body(self) -> dict[str, object]:
        """Fields of the request."""
        fields = {"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question. finish: None when it was stopped from here.

    first_s: until the first text; writing_s: from there to the end.
    """

    text: str
    finish: str | None
    tokens: int | None
    first_s: float
    writing_s: float

    @property
    def pace(self) -> str:
        """`24 tokens, 13.2 tokens/s, first after 0.42 s`."""
        parts = []
        if self.tokens is not None:
            parts.append(f"{self.tokens} token{'s' if self.tokens != 1 else ''}")
            if self.tokens > 1 and self.writing_s > 0:
                # The first one took the prompt's time.
                parts.append(f"{(self.tokens - 1) / self.writing_s:.1f} tokens/s")
        parts.append(f"first after {self.first_s:.2f} s")
        match self.finish:
            case None:
                parts.append("stopped")
            case "length":
                parts.append("cut off, --max-tokens allows more")
            case _:
                pass
        return ", ".join(parts)


@dataclass(slots=True)
class Conversation:
    """The messages so far, as the API takes them."""

    system: str | None = None
    messages: list[dict[str, str]] = field(default_factory=list)

    def asked(self, question: str) -> list[dict[str, str]]:
        """Everything that is sent with this question."""
        first = [{"role": "system", "content": self.system}] if self.system else []
        return [*first, *self.messages, {"role": "user", "content": question}]

    def answered(self, question: str, answer: str) -> None:
        """Keep a question and what was said to it, even half of it."""
        self.messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]


def ask(client: PeerClient, messages: list[dict[str, str]], settings: TalkSettings) -> Answer:
    """Ask, write the answer to standard output as it comes, and return it. Ctrl-C stops it.

    Raises:
        ClientError: it could not be answered to its end.
    """
    writer = _Writer(time.monotonic())
    try:
        with closing(client.chat(messages, settings.body)) as chunks:
            for chunk in chunks:
                writer.take(chunk)
    except KeyboardInterrupt:
        # Closing the stream cancelled the answer on all peers.
        writer.stopped()
    finally:
        writer.end_line()
    return writer.answer()


class _Writer:
    """Writes an answer and keeps its times."""

    def __init__(self, asked_s: float) -> None:
        self._asked_s = asked_s
        self._first_s: float | None = None
        self._last_s = asked_s
        self._texts: list[str] = []
        self._chunks = 0
        self._finish: str | None = None
        self._tokens: int | None = None

    def take(self, chunk: Chunk) -> None:
        self._finish = chunk.finish or self._finish
        self._tokens = chunk.answer_tokens or self._tokens
        if chunk.text:
            self._last_s = time.monotonic()
            self._first_s = self._first_s or self._last_s
            self._texts.append(chunk.text)
            sys.stdout.write(visible(chunk.text))
            sys.stdout.flush()

    def stopped(self) -> None:
        self._finish = None

    def end_line(self) -> None:
        if self._texts:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def answer(self) -> Answer:
        first_s = self._first_s if self._first_s is not None else time.monotonic()
        return Answer(
            "".join(self._texts),
            self._finish,
            self._tokens,
            first_s - self._asked_s,
            max(0.0, self._last_s - first_s),
        )


def talk(client: PeerClient, terminal: Terminal, settings: TalkSettings, lines: Iterable[str]) -> None:
    """Answer line after line until there are no more, or one says /quit."""
    conversation = Conversation(settings.system)
    for line in lines:
        match line.strip():
            case "":
                continue
            case "/quit" | "/exit" | "/bye":
                return
            case "/new":
                conversation = Conversation(settings.system)
                terminal.say("a new chat", Tone.DIM)
            case "/help" | "/?":
                terminal.say(HELP, Tone.DIM)
            case command if command.startswith("/") and len(command.split()) == 1:
                terminal.say(f"{command} is no command here: {HELP}", Tone.DIM)
            case question:
                _one_turn(client, terminal, settings, conversation, question)


def _one_turn(
    client: PeerClient,
    terminal: Terminal,
    settings: TalkSettings,
    conversation: Conversation,
    question: str,
) -> None:
    try:
        answer = ask(client, conversation.asked(question), settings)
    except ClientError as error:
        terminal.say(str(error), Tone.ERROR)
        return
    terminal.say(answer.pace, Tone.DIM)
    if answer.text:
        conversation.answered(question, answer.text)


def is_person_typing() -> bool:
    """Whether lines come from a keyboard and answers go to a screen."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def typed_lines(terminal: Terminal) -> Iterator[str]:
    """What a person types, line by line; Ctrl-D ends it, and so does Ctrl-C twice in a row.

    Raises:
        KeyboardInterrupt: nobody types, lines come from elsewhere.
    """
    if sys.stdin.isatty():
        # Importing it gives input() arrow keys and a history. Not every Python has it.
        import contextlib

        with contextlib.suppress(ImportError):
            import readline  # noqa: F401
    prompt = "> " if is_person_typing() else ""
    was_interrupted = False
    while True:
        try:
            line = input(prompt)
        except EOFError:
            if prompt:
                terminal.say("")
            return
        except KeyboardInterrupt:
            if not prompt:
                raise
            terminal.say("")
            if was_interrupted:
                return
            was_interrupted = True
            terminal.say(HELP, Tone.DIM)
        else:
            was_interrupted = False
            yield line
