import subprocess
import sys

import pytest

from meshinfer import __version__

MESHINFER = f"{sys.executable} -m meshinfer"


@pytest.mark.parametrize(
    ("command", "out"),
    [
        (f"{MESHINFER} --version", f"meshinfer {__version__}\n"),
        (f"{MESHINFER} --version >&-", ""),
        (f"{MESHINFER} --version <&-", f"meshinfer {__version__}\n"),
        (f"PYTHONIOENCODING=ascii {MESHINFER} --version", f"meshinfer {__version__}\n"),
    ],
)
def test_it_runs_whatever_its_streams_are(command: str, out: str) -> None:
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, out, "")


def test_a_terminal_that_knows_no_arrows_gets_question_marks() -> None:
    command = f"PYTHONIOENCODING=ascii {MESHINFER} join --listen …"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --listen '")
