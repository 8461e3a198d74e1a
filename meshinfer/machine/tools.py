"""Runs the system's own tools: each for so long at most, and with so much output at most."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

MAX_OUTPUT_BYTES = 4 << 20
"""More than any machine has to tell; the rest is not read."""

_MAX_REASON_BYTES = 200

_SYSTEM_PATHS = "/usr/sbin:/sbin:/usr/bin:/bin"


class ToolFailed(Exception):
    """A tool is missing, does not answer in time or refuses; the text says which."""


class ToolMissing(ToolFailed):
    """This system does not have it."""


def run_tool(command: Sequence[str], timeout_s: float) -> str:
    """Run a tool and return what it writes to standard output. Blocks for `timeout_s` at most.

    Raises:
        ToolMissing: there is none of this name. ToolFailed: it refused, or took too long and was ended.
    """
    name, *arguments = command
    # The system's own first: a namesake elsewhere may tell other things.
    program = shutil.which(name, path=_SYSTEM_PATHS) or shutil.which(name)
    if program is None:
        raise ToolMissing(f"{name} is not installed")
    try:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            done = subprocess.run(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                timeout=timeout_s,
                # Words of the parsers are English.
                env={**os.environ, "LC_ALL": "C"},
            )
            output.seek(0)
            errors.seek(0)
            text = output.read(MAX_OUTPUT_BYTES).decode(errors="replace")
            reason = errors.read(_MAX_REASON_BYTES).decode(errors="replace").strip()
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"{name} has not answered for {timeout_s:g} s") from error
    except OSError as error:
        raise ToolFailed(f"{name} cannot be run: {error}") from error
    if done.returncode != 0:
        raise ToolFailed(f"{name} ended with status {done.returncode}{': ' + reason if reason else ''}")
    return text
