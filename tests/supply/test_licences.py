import pytest

from .closure import needed
from .licences import objection, stated


def test_everything_that_is_installed_may_be_used() -> None:
    found = needed()
    assert {"mlx-lm", "numpy", "cryptography", "pytest", "anyio"} <= set(found)
    assert [text for name, each in found.items() if (text := objection(name, stated(each)))] == []


def test_what_users_install_is_a_part_of_it() -> None:
    users = needed(of_users=True)
    assert "pytest" not in users
    assert set(users) < set(needed())


@pytest.mark.parametrize(
    ("name", "licence", "is_allowed"),
    [
        ("a", "MIT", True),
        ("a", "Apache 2.0", True),
        ("a", "GPL-3.0-only OR (MIT AND Zlib)", True),
        ("a", "MIT AND GPL-3.0-only", False),
        ("a", "GPL-3.0-or-later", False),
        ("a", "", False),
        ("zeroconf", "LGPL-2.1-or-later", True),
        ("a", "LGPL-2.1-or-later", False),
        ("zeroconf", "GPL-3.0-only", False),
    ],
)
def test_licences_are_told_apart(name: str, licence: str, is_allowed: bool) -> None:
    assert (objection(name, licence) == "") is is_allowed
