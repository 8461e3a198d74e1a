import os
import sys

import pytest

from meshinfer.machine.power import PowerUnreadable
from meshinfer.machine.power_macos import Samples, open_powermetrics

# The shape of what it writes on Apple silicon; the figures are invented.
TWO_SAMPLES = """\
Machine model: Mac15,14
OS version: 25C56
Boot arguments:
Boot time: Mon Jan  5 08:00:00 2026

*** Sampled system activity (Mon Jan  5 09:00:00 2026 +0100) (1000.00ms elapsed) ***

**** Processor usage ****

E-Cluster HW active frequency: 1248 MHz
CPU 0 frequency: 1359 MHz

CPU Power: 2000 mW
GPU Power: 7500 mW
ANE Power: 500 mW
Combined Power (CPU + GPU + ANE): 10000 mW

*** Sampled system activity (Mon Jan  5 09:00:01 2026 +0100) (500.00ms elapsed) ***

**** Processor usage ****

CPU Power: 1000 mW
GPU Power: 1000 mW
ANE Power: 0 mW
Combined Power (CPU + GPU + ANE): 2000 mW
"""

ODD = """\
*** Sampled system activity (Mon Jan  5 09:00:00 2026 +0100) (1000.00.00ms elapsed) ***
Combined Power (CPU + GPU + ANE): 1..0 mW
"""

ON_INTEL = """\
*** Sampled system activity (Mon Jan  5 09:00:00 2026 +0100) (1000.00ms elapsed) ***
Intel energy model derived package power (CPUs+GT+SA): 5.10W
"""


def telling(text: str, then: str) -> list[str]:
    """A process that writes this and then does that, in place of `powermetrics`."""
    return [sys.executable, "-c", f"import sys; print({text!r}, end='', flush=True); {then}"]


def test_samples_are_power_times_their_own_time() -> None:
    samples = Samples()
    for line in TWO_SAMPLES.splitlines():
        samples.take(line)
    assert samples.joules == pytest.approx(10 + 1)
    assert samples.count == 2


def test_a_sample_counts_once_its_power_is_told() -> None:
    samples = Samples()
    for line in ON_INTEL.splitlines():
        samples.take(line)
    assert (samples.joules, samples.count) == (0, 0)


def test_figures_that_are_none_are_passed_over() -> None:
    samples = Samples()
    for line in ODD.splitlines():
        samples.take(line)
    assert (samples.count, samples.joules) == (0, 0.0)


def test_energy_is_there_from_the_first_sample_on() -> None:
    with open_powermetrics(telling(TWO_SAMPLES, "import signal; signal.pause()"), 0) as meter:
        assert meter.joules() >= 10


def test_whoever_is_not_root_is_told_so() -> None:
    with pytest.raises(PowerUnreadable, match="root only: run it with sudo"):
        open_powermetrics(user=501)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (telling(ON_INTEL, "sys.exit(1)"), "tells no combined power here"),
        ([os.devnull], "cannot be started"),
    ],
)
def test_a_command_that_tells_nothing_is_no_meter(command: list[str], reason: str) -> None:
    with pytest.raises(PowerUnreadable, match=reason):
        open_powermetrics(command, 0)
