import json
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel, ModelError, UnknownModel, UnsupportedModel
from meshinfer.model.ollama import is_ollama, ollama_blob, ollama_folders

DIGEST = "sha256:" + "0123456789abcdef" * 4
MODEL = {"mediaType": "application/vnd.ollama.image.model", "digest": DIGEST, "size": 4}
OTHERS = [
    {"mediaType": "application/vnd.ollama.image.template", "digest": DIGEST.replace("0", "1"), "size": 3},
    {"mediaType": "application/vnd.ollama.image.params", "digest": DIGEST.replace("0", "2"), "size": 3},
]


def pulled(folder: Path, place: str, layers: Any = None) -> Path:
    """What `ollama pull` leaves below its folder; returns the blob."""
    manifest = folder / "manifests" / place
    manifest.parent.mkdir(parents=True)
    manifest.write_text(
        json.dumps({"schemaVersion": 2, "layers": [MODEL, *OTHERS] if layers is None else layers})
    )
    blob = folder / "blobs" / DIGEST.replace(":", "-")
    blob.parent.mkdir()
    blob.write_bytes(b"GGUF")
    return blob


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("ollama:llama3.2:1b", "registry.ollama.ai/library/llama3.2/1b"),
        ("ollama:llama3.2", "registry.ollama.ai/library/llama3.2/latest"),
        ("ollama:someone/tuned:q8_0", "registry.ollama.ai/someone/tuned/q8_0"),
        (
            "ollama:hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_0",
            "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF/Q4_0",
        ),
        ("ollama:localhost:5000/a/b:c", "localhost:5000/a/b/c"),
    ],
)
def test_a_name_leads_to_its_blob(tmp_path: Path, model: str, place: str) -> None:
    blob = pulled(tmp_path, place)
    assert ollama_blob(model, [tmp_path / "none", tmp_path]) == blob


@pytest.mark.parametrize(
    "model", ["ollama:", "ollama:../x", "ollama:a/../../b", "ollama:a:b:c", "ollama:a b"]
)
def test_what_is_no_name_of_ollamas_is_refused(tmp_path: Path, model: str) -> None:
    with pytest.raises(UnknownModel, match=r"is no name of Ollama's: ollama:llama3\.2:1b is one"):
        ollama_blob(model, [tmp_path])


def test_a_model_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownModel, match=rf"not among Ollama's models \({tmp_path}\): run `ollama pull a:b`"
    ):
        ollama_blob("ollama:a:b", [tmp_path])


def test_a_folder_of_ollamas_own_user_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(UnknownModel, match=r"may not be read by this user.*run `sudo usermod -aG ollama"):
        ollama_blob("ollama:a:b", [tmp_path])


@pytest.mark.parametrize(
    ("layers", "error", "complaint"),
    [
        (
            [MODEL, {"mediaType": "application/vnd.ollama.image.adapter", "digest": DIGEST}],
            UnsupportedModel,
            "adapter",
        ),
        (
            [{"mediaType": "application/vnd.ollama.image.tensor", "digest": DIGEST}],
            UnsupportedModel,
            "image.tensor",
        ),
        ([], UnsupportedModel, "no plain GGUF file"),
        ("none", BrokenModel, "lists layers"),
        ([7], BrokenModel, "a layer has a mediaType"),
        ([MODEL | {"digest": "sha256:../../x"}], BrokenModel, "is no digest"),
        ([MODEL | {"digest": "sha256:" + "f" * 64}], BrokenModel, "run `ollama pull a:b` again"),
    ],
)
def test_a_manifest_that_leads_nowhere_is_named(
    tmp_path: Path, layers: Any, error: type[ModelError], complaint: str
) -> None:
    pulled(tmp_path, "registry.ollama.ai/library/a/b", layers)
    with pytest.raises(error, match=complaint):
        ollama_blob("ollama:a:b", [tmp_path])


def test_its_folder_is_where_ollama_was_told_to_keep_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    assert ollama_folders()[0] == Path.home() / ".ollama" / "models"
    monkeypatch.setenv("OLLAMA_MODELS", "/data/ollama")
    assert ollama_folders() == [Path("/data/ollama")]


def test_the_prefix_tells_ollamas_models_from_others() -> None:
    assert is_ollama("ollama:llama3.2:1b")
    assert not is_ollama("llama3.2:1b")
