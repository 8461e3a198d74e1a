import pytest

from meshinfer.cli.credentials import ADMIN_KEY, API_KEY, key_advice, key_headers


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


@pytest.mark.parametrize(
    ("code", "environment", "advice"),
    [
        ("invalid_api_key", {}, "for this command, put it into MESHINFER_API_KEY"),
        ("invalid_api_key", {API_KEY: "user"}, "for this command, put it into MESHINFER_API_KEY"),
        ("invalid_api_key", {API_KEY: "user", ADMIN_KEY: "old"}, "sent what is in MESHINFER_ADMIN_KEY"),
        ("admin_key_needed", {API_KEY: "user"}, "for this command, put it into MESHINFER_ADMIN_KEY"),
    ],
)
def test_a_refused_key_says_where_the_right_one_goes(
    monkeypatch: pytest.MonkeyPatch, code: str, environment: dict[str, str], advice: str
) -> None:
    for name in (API_KEY, ADMIN_KEY):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert advice in key_advice(code)


@pytest.mark.parametrize("code", [None, "not_local", 7])
def test_other_refusals_are_no_matter_of_keys(code: object) -> None:
    assert key_advice(code) == ""
