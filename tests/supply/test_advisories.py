import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .advisories import weaknesses
from .closure import needed

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_nothing_that_is_installed_has_a_weakness_that_was_published() -> None:
    assert [text for name, found in needed().items() for text in weaknesses(name, found.version)] == []


def test_no_lower_bound_lets_in_what_has_one() -> None:
    for line in tomllib.loads(PROJECT.read_text())["project"]["dependencies"]:
        requirement = Requirement(line)
        (least,) = (bound.version for bound in requirement.specifier if bound.operator == ">=")
        assert weaknesses(canonicalize_name(requirement.name), least) == []


def test_versions_are_compared_as_such() -> None:
    assert weaknesses("jinja2", "3.1.5") == ["jinja2 3.1.5: CVE-2025-27516"]
    assert weaknesses("jinja2", "3.1.10") == []
    assert weaknesses("of nobody", "1.0") == []
