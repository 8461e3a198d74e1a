"""What holds for all tests: they find no keys and caches of whoever runs them, and leave none."""

import os
import tempfile
from pathlib import Path

import pytest

_SCRATCH = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give this process, and those that it starts, a home of their own: before anything is imported."""
    scratch = config.stash[_SCRATCH] = tempfile.TemporaryDirectory(prefix="meshinfer-home-")
    os.environ["XDG_CONFIG_HOME"] = str(Path(scratch.name) / "config")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing."""
    config.stash[_SCRATCH].cleanup()
