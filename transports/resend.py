"""Each frame once and in order, whatever becomes of the paths that they take: numbers, and what is kept.

Frames are numbered from 0. The receiver acknowledges all below a number; the sender keeps what is not
acknowledged, and sends it again on the next path when one is lost. All frames that wait for an
acknowledgement were sent on one path, in order, or are sent again from the first of them on: so what comes is
either the next frame or one that came before.
"""

from collections import deque
from dataclasses import dataclass

from .base import Frame
from .errors import ProtocolError

_FRAME_OBJECT_BYTES = 512  # what a kept frame costs besides its bytes, so that empty ones count too


@dataclass(frozen=True, slots=True)
class Numbered:
    """A frame and its place among all of a trunk."""

    number: int
    frame: Frame


class Outgoing:
    """Frames that wait to be sent, and those that were sent and are not acknowledged.

    max_waiting: frames that may wait. max_kept_bytes: while more than this is unacknowledged, nothing more
    is to be sent. A frame's memory stays lent until it is acknowledged.
    """

    def __init__(self, max_waiting: int, max_kept_bytes: int) -> None:
        self._max_waiting = max_waiting
        self._max_kept_bytes = max_kept_bytes
        self._waiting: deque[Numbered] = deque()
        self._kept: deque[Numbered] = deque()
        self._kept_bytes = 0
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether no more frames may wait."""
        return len(self._waiting) >= self._max_waiting

    @property
    def is_settled(self) -> bool:
        """Whether all that was sent is acknowledged."""
        return not self._kept

    @property
    def has_waiting(self) -> bool:
        """Whether a frame waits to be sent."""
        return bool(self._waiting)

    @property
    def kept_bytes(self) -> int:
        """What was sent and is not acknowledged."""
        return self._kept_bytes

    def add(self, frame: Frame) -> None:
        """Let a frame wait behind the others; ask `is_full` first."""
        self._waiting.append(Numbered(self._count, frame))
        self._count += 1

    def next(self) -> Numbered | None:
        """The frame that is to be sent next; None where none waits, or too much is unacknowledged."""
        if not self._waiting or self._kept_bytes > self._max_kept_bytes:
            return None
        return self._waiting[0]

    def sent(self, number: int) -> None:
        """A frame was sent. One that was acknowledged meanwhile, or is to be sent again, is passed over."""
        if self._waiting and self._waiting[0].number == number:
            self._kept.append(self._waiting.popleft())
            self._kept_bytes += _cost_bytes(self._kept[-1])

    def acknowledged(self, below: int) -> None:
        """The other side has all frames below a number.

        Raises:
            ProtocolError: there are not so many frames.
        """
        if below > self._count:
            raise ProtocolError(f"frames below {below} are acknowledged, of {self._count} there are")
        while self._kept and self._kept[0].number < below:
            self._kept_bytes -= _cost_bytes(self._kept.popleft())
        # Sent on a path that was lost, and come all the same: they need not go again.
        while not self._kept and self._waiting and self._waiting[0].number < below:
            self._waiting.popleft()

    def rewind(self) -> int:
        """Let all that is not acknowledged be sent again, first of all; return how many frames that are."""
        again = len(self._kept)
        self._waiting.extendleft(reversed(self._kept))
        self._kept.clear()
        self._kept_bytes = 0
        return again


class Incoming:
    """Which frames came. owed, owed_bytes: how much since the last acknowledgement that was sent."""

    def __init__(self) -> None:
        self.next = 0
        self.owed = 0
        self.owed_bytes = 0

    def came(self, numbered: Numbered) -> bool:
        """Take note of a frame; return whether it is to be handed on, which it is once only.

        Raises:
            ProtocolError: a frame before it is missing, which no sender leaves out.
        """
        if numbered.number > self.next:
            raise ProtocolError(f"frame {numbered.number} came, and frame {self.next} never did")
        self.owed += 1
        if numbered.number < self.next:
            return False
        self.next += 1
        self.owed_bytes += _cost_bytes(numbered)
        return True

    def told(self) -> None:
        """An acknowledgement is on its way."""
        self.owed = self.owed_bytes = 0


def _cost_bytes(numbered: Numbered) -> int:
    return _FRAME_OBJECT_BYTES + len(numbered.frame.head) + numbered.frame.payload_bytes
