"""One benchmark from its first ring to its last, and what came of it however it ends."""

from datetime import UTC, datetime

from meshinfer.cli.client import PeerClient
from meshinfer.cli.terminal import Terminal, Tone
from meshinfer.machine.hardware import this_hardware
from meshinfer.machine.power import PowerMeter
from meshinfer.release import RELEASE

from .figures import Report, Setting
from .measuring import Measuring, choose_target
from .rounds_bar import RoundsBar


class Session:
    """Measures rings one after the other and keeps what was measured.

    meter: of this machine; None where there is none, and no_power says why.
    """

    def __init__(self, setting: Setting, terminal: Terminal, meter: PowerMeter | None, no_power: str) -> None:
        self._setting = setting
        self._terminal = terminal
        self._meter = meter
        self._no_power = no_power
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._rings: list[Measuring] = []

    def measure(self, client: PeerClient, bar: RoundsBar) -> None:
        """Measure the ring that this peer belongs to, and say a line for each case.

        Raises:
            ClientError: it cannot be measured, or not to its end.
        """
        target = choose_target(client, self._setting)
        measuring = Measuring(target, client, self._setting, self._meter)
        self._rings.append(measuring)
        measuring.run(bar, lambda line: self._terminal.say(line, Tone.DIM))

    def report(self, *, is_complete: bool) -> Report | None:
        """All that was measured until now; None if that is nothing."""
        rings = [measuring for measuring in self._rings if measuring.done]
        if not rings:
            return None
        return Report(
            release=RELEASE,
            started=self._started,
            model=rings[0].model,
            hardware=this_hardware(),
            setting=self._setting,
            power=self._meter.covers if self._meter else "",
            no_power=self._no_power,
            rings=tuple(measuring.run_so_far for measuring in rings),
            is_complete=is_complete,
        )
