"""What holds for all tests: they find no keys and caches of whoever runs them, leave none, may be slow."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A machine that stalls while an example is drawn or tried says nothing of either.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_SCRATCH = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give this process, and those that it starts, a home of their own: before anything is imported."""
    scratch = config.stash[_SCRATCH] = tempfile.TemporaryDirectory(prefix="meshinfer-home-")
    os.environ["XDG_CONFIG_HOME"] = str(Path(scratch.name) / "config")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing."""
    config.stash[_SCRATCH].cleanup()
