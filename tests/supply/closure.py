"""What this project needs, and what that needs in turn: as it is installed here."""

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"

BUILDERS = {"pip", "setuptools", "wheel"}
"""What installs, and is no part of what is installed."""


def needed(*, of_users: bool = False) -> dict[str, Distribution]:
    """Every distribution that the project needs here, by its canonical name. of_users: without its tests.

    Raises:
        SystemExit: one is not installed; the text names it.
    """
    project = tomllib.loads(_PROJECT.read_text())["project"]
    extra = [] if of_users else project["optional-dependencies"]["dev"]
    waiting = list(_applying((*project["dependencies"], *extra), frozenset()))
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name in BUILDERS or (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError as error:
            raise SystemExit(f"{requirement} is not installed here: run `make test` once") from error
        waiting += _applying(found[name].requires or (), extras)
    return dict(sorted(found.items()))


def _applying(texts: Iterable[str], extras: frozenset[str]) -> Iterator[Requirement]:
    """Those requirements that hold on this system, with some extras."""
    for text in texts:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement
