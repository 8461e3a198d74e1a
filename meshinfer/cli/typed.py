"""What a person types: messages of one line or several, with a history that outlives the session."""

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

_PROMPT, _CONTINUED = "> ", "· "
_MOST_HISTORY_BYTES = 1 << 20


def is_person_typing() -> bool:
    """Whether lines come from a keyboard and answers go to a screen."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def typed_lines(
    terminal: Terminal, hint: str, history: Path | None = None, words: tuple[str, ...] = ()
) -> Iterator[str]:
    """What a person types, message by message; Ctrl-D ends it, and so does Ctrl-C twice in a row.

    hint: told after the first Ctrl-C. history: the file that remembers messages; None forgets them.
    words: what Tab completes at the beginning.

    Raises:
        KeyboardInterrupt: nobody types, lines come from elsewhere.
    """
    if not is_person_typing():
        yield from _piped_lines()
        return
    keyboard = _Editor(history, words)
    was_interrupted = False
    while True:
        try:
            message = keyboard.read()
        except EOFError:
            return
        except KeyboardInterrupt:
            if was_interrupted:
                return
            was_interrupted = True
            terminal.say(hint, Tone.DIM)
        else:
            was_interrupted = False
            yield message


@contextmanager
def unseen_keys() -> Iterator[None]:
    """Keep what is typed off the screen meanwhile, where a person types: it would stand in an answer.

    Whole lines that are typed wait for the next prompt.
    """
    if not is_person_typing():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = termios.tcgetattr(descriptor)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def confirm(question: str) -> bool:
    """Ask a person; whoever does not type is taken to have said no."""
    if not is_person_typing():
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        sys.stdout.write("\n")
        return False


def _piped_lines() -> Iterator[str]:
    while True:
        try:
            yield input()
        except EOFError:
            return


class _Editor:
    """A line editor: Enter sends, a backslash at the end of a line or Alt-Enter begins another one."""

    def __init__(self, history: Path | None, words: tuple[str, ...]) -> None:
        # Here, not at the top: it takes long to import, and only a person at a terminal needs it.
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter

        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            key_bindings=_bindings(),
            multiline=True,
            prompt_continuation=_CONTINUED,
            completer=WordCompleter(list(words), sentence=True),
            complete_while_typing=False,
        )

    def read(self) -> str:
        """The next message, as it was typed or pasted."""
        return self._session.prompt(_PROMPT)


def _bindings() -> "KeyBindings":
    from prompt_toolkit.filters import is_searching
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()

    @bindings.add("enter", filter=~is_searching)
    def _send(event: "KeyPressEvent") -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter", filter=~is_searching)
    def _begin_line(event: "KeyPressEvent") -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-c", filter=~is_searching)
    def _forget(event: "KeyPressEvent") -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    return bindings


def _history(file: Path | None) -> "History":
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if file is None:
        return InMemoryHistory()
    try:
        _make_private(file)
    except OSError:
        # Nothing is remembered, and the chat goes on.
        return InMemoryHistory()
    return FileHistory(file)


def _make_private(file: Path) -> None:
    """See that the file is there, that nobody else may read it, and that it does not grow for ever."""
    file.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    with suppress(OSError):
        file.chmod(0o600)
    if file.stat().st_size > _MOST_HISTORY_BYTES:
        kept = file.read_bytes()[-_MOST_HISTORY_BYTES // 2 :]
        # An entry begins with a comment of its time.
        file.write_bytes(kept[kept.find(b"\n# ") + 1 :])
