import pytest

from meshinfer.cli.credentials import ADMIN_KEY, API_KEY, key_headers


@pytest.mark.parametrize(
    ("environment", "headers"),
    [
        ({}, {}),
        ({API_KEY: "user"}, {"Authorization": "Bearer user"}),
        ({API_KEY: "user", ADMIN_KEY: "admin"}, {"Authorization": "Bearer admin"}),
    ],
)
def test_the_greater_key_is_shown(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], headers: dict[str, str]
) -> None:
    for name in (API_KEY, ADMIN_KEY):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert key_headers() == headers
