from pathlib import Path

import pytest

from meshinfer.errors import UnknownModel
from meshinfer.model.gguf_hub import GgufFile, local_gguf, missing_gguf, parse_gguf
from meshinfer.model.hub import Repository
from tests.fakehub import COMMIT, cache_tree

MODEL = Repository("org/Tiny-GGUF")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/Tiny-GGUF:Q4_0", GgufFile(MODEL, None, "Q4_0")),
        ("hf:org/Tiny-GGUF:Q8_0", GgufFile(MODEL, None, "Q8_0")),
        ("hf:org/Tiny-GGUF/tiny.Q4_0.gguf", GgufFile(MODEL, "tiny.Q4_0.gguf")),
        ("org/Tiny-GGUF/F16/tiny-00001-of-00002.gguf", GgufFile(MODEL, "F16/tiny-00001-of-00002.gguf")),
        ("org/Tiny-GGUF@main/t.gguf", GgufFile(Repository("org/Tiny-GGUF", "main"), "t.gguf")),
        ("org/Tiny-GGUF@v1.0:F16", GgufFile(Repository("org/Tiny-GGUF", "v1.0"), None, "F16")),
        ("org/Tiny-GGUF", None),
        ("org/Tiny-GGUF@main", None),
        ("org/Tiny-GGUF/../../x.gguf", None),
        ("ollama:org/tiny:Q4_0", None),
        ("name:Q4_0", None),
    ],
)
def test_a_file_of_a_repository_is_told_from_other_names(text: str, expected: GgufFile | None) -> None:
    assert parse_gguf(text) == expected


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home where nothing else is."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Two files in Hugging Face's cache."""
    repository = tmp_path / "repository"
    repository.mkdir()
    for kind in ("Q4_0", "Q8_0"):
        (repository / f"tiny.{kind}.gguf").write_bytes(b"GGUF" + kind.encode())
    return cache_tree(tmp_path / "hub", "org/Tiny-GGUF", repository)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "wanted",
    [
        GgufFile(MODEL, "tiny.Q4_0.gguf"),
        GgufFile(MODEL, type="q4_0"),
        GgufFile(Repository("org/Tiny-GGUF", COMMIT), type="Q4_0"),
    ],
)
def test_a_file_is_found_in_hugging_faces_cache(tmp_path: Path, snapshot: Path, wanted: GgufFile) -> None:
    assert local_gguf(wanted, tmp_path / "hub") == snapshot / "tiny.Q4_0.gguf"


@pytest.mark.usefixtures("home", "snapshot")
def test_of_several_files_one_is_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"holds tiny\.Q4_0\.gguf, tiny\.Q8_0\.gguf: name one"):
        local_gguf(GgufFile(MODEL), tmp_path / "hub")


def test_a_file_is_found_where_lm_studio_keeps_it(tmp_path: Path, home: Path) -> None:
    folder = home / ".lmstudio" / "models" / "org" / "Tiny-GGUF"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(b"GGUF")
    assert local_gguf(GgufFile(MODEL), tmp_path / "hub") == folder / "tiny.gguf"


@pytest.mark.usefixtures("home")
def test_what_is_nowhere_is_none(tmp_path: Path) -> None:
    assert local_gguf(GgufFile(MODEL, type="Q4_0"), tmp_path / "hub") is None


@pytest.mark.parametrize(
    ("wanted", "command"),
    [
        (GgufFile(MODEL, "a.gguf"), r"a\.gguf of org/Tiny-GGUF .*`hf download org/Tiny-GGUF a\.gguf`"),
        (
            GgufFile(MODEL, type="Q4_0"),
            r"a Q4_0 file of .*`hf download org/Tiny-GGUF --include \"\*Q4_0\*\.gguf\"`",
        ),
    ],
)
def test_how_to_get_a_file_is_said(wanted: GgufFile, command: str) -> None:
    with pytest.raises(UnknownModel, match=command):
        raise missing_gguf(wanted)
