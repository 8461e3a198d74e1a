from packaging.requirements import Requirement

from .closure import needed
from .lock import FILE, lines


def test_the_lock_names_what_the_project_needs_and_binds_one_system_alone() -> None:
    locked = [Requirement(line) for line in FILE.read_text().splitlines() if not line.startswith("#")]
    assert locked
    for requirement in locked:
        assert requirement.marker is not None
        assert not requirement.marker.evaluate({"sys_platform": "darwin"})
        assert str(requirement.specifier).startswith("==")
    here = {
        requirement.name for requirement in locked if requirement.marker and requirement.marker.evaluate()
    }
    # Elsewhere nothing is locked; here nothing is missing.
    assert not here or here == set(needed())


def test_each_line_is_a_requirement() -> None:
    assert {Requirement(line).name for line in lines()} == set(needed())
