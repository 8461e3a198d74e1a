import json
import logging
from pathlib import Path

import pytest

from meshinfer.model.foreign_caches import ForeignCache, complete_copy, foreign_caches
from tests.tiny import make_tiny_model


def folders(
    home: Path, environment: dict[str, str] | None = None, platform: str = "darwin"
) -> list[tuple[str, str]]:
    """Program and folder, below `home`, of all caches that are found."""
    found = foreign_caches(home, environment or {}, platform)
    return [(cache.program, str(cache.folder.relative_to(home))) for cache in found]


def make(home: Path, *names: str) -> None:
    for name in names:
        (home / name).mkdir(parents=True)


def test_folders_that_do_not_exist_are_not_searched(tmp_path: Path) -> None:
    assert folders(tmp_path) == []


def test_lm_studio_has_had_two_homes(tmp_path: Path) -> None:
    make(tmp_path, ".lmstudio/models", ".cache/lm-studio/models")
    assert folders(tmp_path) == [("LM Studio", ".lmstudio/models"), ("LM Studio", ".cache/lm-studio/models")]


@pytest.mark.parametrize("home", [".lmstudio", "elsewhere"])
def test_lm_studios_settings_name_another_folder(tmp_path: Path, home: str) -> None:
    make(tmp_path, f"{home}/models", "big-disk")
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path / home}\n")
    (tmp_path / home / "settings.json").write_text(
        json.dumps({"downloadsFolder": str(tmp_path / "big-disk")})
    )
    assert folders(tmp_path) == [("LM Studio", "big-disk"), ("LM Studio", f"{home}/models")]


@pytest.mark.parametrize("content", ["{", "[]", '{"downloadsFolder": 7}', ""])
def test_settings_that_cannot_be_read_are_passed_over(tmp_path: Path, content: str) -> None:
    make(tmp_path, ".lmstudio/models")
    (tmp_path / ".lmstudio" / "settings.json").write_text(content)
    assert folders(tmp_path) == [("LM Studio", ".lmstudio/models")]


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "darwin", [".exo/models"]),
        ({}, "linux", [".local/share/exo/models", ".exo/models"]),
        ({"XDG_DATA_HOME": "HOME/xdg"}, "linux", ["xdg/exo/models", ".exo/models"]),
        ({"EXO_HOME": "own"}, "darwin", ["own/models", ".exo/models"]),
        ({"EXO_MODELS_DIR": "HOME/a"}, "darwin", ["a", ".exo/models"]),
        ({"EXO_MODELS_DIRS": "HOME/a:HOME/b:"}, "darwin", ["a", "b", ".exo/models"]),
        (
            {"EXO_DEFAULT_MODELS_DIR": "HOME/b", "EXO_MODELS_READ_ONLY_DIRS": "HOME/a"},
            "darwin",
            ["a", "b", ".exo/models"],
        ),
    ],
)
def test_exo_keeps_models_where_its_environment_says(
    tmp_path: Path, environment: dict[str, str], platform: str, expected: list[str]
) -> None:
    make(tmp_path, "a", "b", ".exo/models", ".local/share/exo/models", "own/models", "xdg/exo/models")
    named = {key: value.replace("HOME", str(tmp_path)) for key, value in environment.items()}
    found = [folder for program, folder in folders(tmp_path, named, platform) if program == "exo"]
    assert found == expected


@pytest.mark.parametrize(("separator", "place"), [("/", "org/tiny"), ("--", "org--tiny")])
def test_a_complete_copy_is_found_under_its_repositorys_name(
    tmp_path: Path, separator: str, place: str
) -> None:
    cache = ForeignCache("exo", tmp_path, separator)
    assert complete_copy(cache, "org/tiny") is None
    path = make_tiny_model(tmp_path / place, layers=1)
    (tmp_path / "note.txt").touch()
    assert complete_copy(cache, "org/tiny") == path
    assert list(cache.names()) == ["org/tiny"]


def torn(path: Path) -> None:
    file = path / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def lacking(path: Path) -> None:
    (path / "model-00002-of-00002.safetensors").unlink()


@pytest.mark.parametrize("damage", [torn, lacking])
def test_half_a_download_is_passed_over_and_said_at_debug_level(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    path = make_tiny_model(tmp_path / "org" / "tiny", layers=1, file_count=2)
    assert callable(damage)
    damage(path)
    with caplog.at_level(logging.DEBUG):
        assert complete_copy(ForeignCache("LM Studio", tmp_path, "/"), "org/tiny") is None
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert "LM Studio's copy of org/tiny is passed over" in record.getMessage()
    assert "model-00002-of-00002.safetensors" in record.getMessage()


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    make_tiny_model(tmp_path, layers=1)
    make(tmp_path, "cache/org")
    assert complete_copy(ForeignCache("LM Studio", tmp_path / "cache", "/"), "org/..") is None
