"""What holds things back between hosts: blocked ways, machines off the network, stopped processes."""

from collections.abc import Callable
from dataclasses import dataclass, field

Step = Callable[[], None]

# As many as a kernel's buffer holds for a process that does not read.
_MAX_WAITING_DATAGRAMS = 256


@dataclass(slots=True)
class _Waiting:
    """What waits for a process to go on: (step, whether it is a datagram's), in order."""

    steps: list[tuple[Step, bool]] = field(default_factory=list)
    datagrams: int = 0

    def add(self, step: Step, is_datagram: bool) -> None:
        """Let `step` wait; datagrams beyond what the kernel keeps are lost."""
        if is_datagram and self.datagrams >= _MAX_WAITING_DATAGRAMS:
            return
        self.datagrams += is_datagram
        self.steps.append((step, is_datagram))


class Gates:
    """Three gates in a row: out of the source's process, over the wire, into the target's process.

    A process's gate is shut while it is frozen: there all waits, datagrams up to a bound. The wire's is
    shut while the way is blocked or one of its ends is off the network: there streams wait, since their
    kernels repeat what was lost, and datagrams are lost.
    """

    def __init__(self) -> None:
        self._blocked: set[tuple[str, str]] = set()
        self._unplugged: set[str] = set()
        self._frozen: set[str] = set()
        self._asleep: set[str] = set()
        self._leaving: dict[str, _Waiting] = {}
        self._on_wire: dict[tuple[str, str], list[Step]] = {}
        self._entering: dict[str, _Waiting] = {}

    # What passes

    def leave(self, host: str, step: Step, *, is_datagram: bool = False) -> None:
        """Take `step` once the process of `host` may send."""
        self._wait_for(self._leaving, host, step, is_datagram)

    def cross(self, source: str, target: str, step: Step, *, is_datagram: bool = False) -> None:
        """Take `step` once the wire is open; for a datagram now or never."""
        if self.is_open(source, target):
            step()
        elif not is_datagram:
            self._on_wire.setdefault((source, target), []).append(step)

    def enter(self, host: str, step: Step, *, is_datagram: bool = False) -> None:
        """Take `step` once the process of `host` may receive."""
        self._wait_for(self._entering, host, step, is_datagram)

    def is_open(self, source: str, target: str) -> bool:
        """Whether the wire from `source` to `target` carries anything now. A host always reaches itself."""
        if (source, target) in self._blocked:
            return False
        return source == target or not any(
            host in self._unplugged or host in self._asleep for host in (source, target)
        )

    # What opens and shuts

    def block(self, source: str, target: str) -> None:
        """Shut one way."""
        self._blocked.add((source, target))

    def unblock(self, source: str, target: str) -> None:
        """Open one way, and let through what waited."""
        self._blocked.discard((source, target))
        self._open_wires()

    def unplug(self, host: str) -> None:
        """Shut all ways from and to `host`."""
        self._unplugged.add(host)

    def plug(self, host: str) -> None:
        """Open them again, and let through what waited."""
        self._unplugged.discard(host)
        self._open_wires()

    def freeze(self, host: str, *, is_asleep: bool) -> None:
        """Shut the process of `host` in, and if the machine sleeps, all ways from and to it."""
        self._frozen.add(host)
        if is_asleep:
            self._asleep.add(host)

    def thaw(self, host: str) -> None:
        """Let the process go on: it receives what waited, and what it said meanwhile goes out."""
        self._frozen.discard(host)
        self._asleep.discard(host)
        for gate in (self._entering, self._leaving):
            for step, _ in gate.pop(host, _Waiting()).steps:
                step()
        self._open_wires()

    def end(self, host: str) -> None:
        """The process of `host` is gone, frozen or not: nothing enters, and only streams still leave."""
        self._frozen.discard(host)
        self._asleep.discard(host)
        self._entering.pop(host, None)
        for step, is_datagram in self._leaving.pop(host, _Waiting()).steps:
            if not is_datagram:
                step()

    def _wait_for(self, gate: dict[str, _Waiting], host: str, step: Step, is_datagram: bool) -> None:
        if host in self._frozen:
            gate.setdefault(host, _Waiting()).add(step, is_datagram)
        else:
            step()

    def _open_wires(self) -> None:
        for way in [way for way in self._on_wire if self.is_open(*way)]:
            for step in self._on_wire.pop(way):
                step()
