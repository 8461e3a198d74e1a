"""One question to a peer: its answer goes to standard output as it comes, and its pace is told."""

import sys
import time
from contextlib import closing
from dataclasses import dataclass

from rich.cells import set_cell_size

from .client import Chunk, PeerClient
from .terminal import Terminal, visible
from .typed import unseen_keys

_DIM, _PLAIN = "\x1b[2m", "\x1b[22m"
_ERASE_LINE = "\r\x1b[2K"


@dataclass(frozen=True, slots=True)
class TalkSettings:
    """How answers are asked for. system: what the model is told first; None leaves a thing to the peer."""

    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    model: str | None = None

    @property
    def body(self) -> dict[str, object]:
        """Fields of the request."""
        fields = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "model": self.model,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question. finish: None when it was stopped from here.

    first_s: until the first text; writing_s: from there to the end. cached_tokens: of the prompt_tokens,
    those that were not computed anew.
    """

    text: str
    finish: str | None
    tokens: int | None
    first_s: float
    writing_s: float
    prompt_tokens: int | None = None
    cached_tokens: int = 0

    @property
    def pace(self) -> str:
        """`24 tokens, 13.2 tokens/s, first after 0.42 s, 96 of 120 prompt tokens cached`."""
        parts = []
        if self.tokens is not None:
            parts.append(f"{self.tokens} token{'s' if self.tokens != 1 else ''}")
            if self.tokens > 1 and self.writing_s > 0:
                # The first one took the prompt's time.
                parts.append(f"{(self.tokens - 1) / self.writing_s:.1f} tokens/s")
        parts.append(f"first after {self.first_s:.2f} s")
        if self.prompt_tokens and self.cached_tokens:
            parts.append(f"{self.cached_tokens} of {self.prompt_tokens} prompt tokens cached")
        match self.finish:
            case None:
                parts.append("stopped")
            case "length":
                parts.append("cut off, --max-tokens allows more")
            case _:
                pass
        return ", ".join(parts)


def ask(client: PeerClient, messages: list[dict[str, str]], settings: TalkSettings) -> Answer:
    """Ask, write the answer to standard output as it comes, and return it. Ctrl-C stops it.

    Raises:
        ClientError: it could not be answered to its end.
    """
    writer = _Writer(time.monotonic())
    try:
        with unseen_keys(), closing(client.chat(messages, settings.body)) as chunks:
            for chunk in chunks:
                writer.take(chunk)
    except KeyboardInterrupt:
        # Closing the stream cancelled the answer on all peers.
        writer.stopped()
    finally:
        writer.end_line()
    return writer.answer()


class _Writer:
    """Writes an answer and keeps its times; on a screen also what the model thinks, and why it waits."""

    def __init__(self, asked_s: float) -> None:
        self._asked_s = asked_s
        self._first_s: float | None = None
        self._last_s = asked_s
        self._texts: list[str] = []
        self._finish: str | None = None
        self._usage = Chunk()
        terminal = Terminal()
        self._width = terminal.console().width if terminal.is_live else 0
        """Columns of the screen; 0 where nothing may be written twice."""
        self._is_status_shown = self._is_thinking = self._is_line_open = False

    def take(self, chunk: Chunk) -> None:
        """Write a part."""
        self._finish = chunk.finish or self._finish
        if chunk.answer_tokens is not None:
            self._usage = chunk
        if chunk.waiting:
            self._show_status(chunk.waiting)
        if chunk.text or chunk.reasoning:
            self._last_s = time.monotonic()
            self._first_s = self._first_s or self._last_s
        if chunk.reasoning and self._width:
            self._think(chunk.reasoning)
        if chunk.text:
            self._end_thought()
            self._texts.append(chunk.text)
            self._write(visible(chunk.text))

    def stopped(self) -> None:
        """The answer was stopped from here."""
        self._finish = None

    def end_line(self) -> None:
        """Nothing more comes: whatever is said next begins on a line of its own."""
        self._hide_status()
        self._end_thought()
        if self._is_line_open:
            self._write("\n")

    def answer(self) -> Answer:
        """What came, and how fast."""
        first_s = self._first_s if self._first_s is not None else time.monotonic()
        return Answer(
            "".join(self._texts),
            self._finish,
            self._usage.answer_tokens,
            first_s - self._asked_s,
            max(0.0, self._last_s - first_s),
            self._usage.prompt_tokens,
            self._usage.cached_tokens,
        )

    def _think(self, text: str) -> None:
        if not self._is_thinking:
            self._is_thinking = True
            self._write(_DIM)
        self._write(visible(text))

    def _end_thought(self) -> None:
        if self._is_thinking:
            self._is_thinking = False
            self._write(f"{_PLAIN}\n\n")

    def _show_status(self, text: str) -> None:
        """Say why it waits, on a line that vanishes; in the middle of a line there is no room for one."""
        if self._width and not self._is_line_open:
            self._is_status_shown = True
            shown = set_cell_size(visible(text), min(self._width - 1, len(text) + 1)).rstrip()
            sys.stdout.write(f"{_ERASE_LINE}{_DIM}{shown}{_PLAIN}")
            sys.stdout.flush()

    def _hide_status(self) -> None:
        if self._is_status_shown:
            self._is_status_shown = False
            sys.stdout.write(_ERASE_LINE)
            sys.stdout.flush()

    def _write(self, text: str) -> None:
        self._hide_status()
        sys.stdout.write(text)
        sys.stdout.flush()
        self._is_line_open = not text.endswith("\n")
