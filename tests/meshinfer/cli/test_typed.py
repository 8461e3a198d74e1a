import pytest

from meshinfer.cli.terminal import Terminal
from meshinfer.cli.typed import confirm, typed_lines


class Keys:
    """What comes from a pipe, for `input`."""

    def __init__(self, *keys: str | type[BaseException]) -> None:
        self._keys = iter(keys)

    def __call__(self, prompt: str = "") -> str:
        key = next(self._keys, EOFError)
        if isinstance(key, str):
            return key
        raise key


def test_a_pipe_gives_its_lines_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", Keys("a \\", "b"))
    assert list(typed_lines(Terminal(), "hint")) == ["a \\", "b"]


def test_a_pipe_is_interrupted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", Keys("a", KeyboardInterrupt, "b"))
    typed = typed_lines(Terminal(), "hint")
    assert next(typed) == "a"
    with pytest.raises(KeyboardInterrupt):
        next(typed)


def test_whoever_does_not_type_says_no() -> None:
    assert not confirm("Overwrite it?")


@pytest.mark.parametrize(
    ("key", "is_yes"), [("y", True), (" YES ", True), ("", False), ("n", False), (EOFError, False)]
)
def test_only_yes_is_yes(
    monkeypatch: pytest.MonkeyPatch, key: str | type[BaseException], is_yes: bool
) -> None:
    monkeypatch.setattr("builtins.input", Keys(key))
    monkeypatch.setattr("meshinfer.cli.typed.is_person_typing", lambda: True)
    assert confirm("Overwrite it?") is is_yes
