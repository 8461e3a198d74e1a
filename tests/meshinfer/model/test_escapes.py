"""What others write never leads out of where models are kept, and never runs as a program."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.errors import BrokenModel, ModelError, RequestError
from meshinfer.model.base import ModelFiles
from meshinfer.model.blueprint import Blueprint, WeightFile, blueprint_of
from meshinfer.model.foreign_caches import ForeignCache, complete_copy
from meshinfer.model.gguf_naming import plain
from meshinfer.model.hub import parse_repository
from meshinfer.model.ollama import ollama_blob
from meshinfer.model.safetensors import weight_files
from meshinfer.model.smallfiles import is_small_file
from meshinfer.model.tokenizer import load_tokenizer
from tests.tiny import make_tiny_model

PARTS = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "\\",
        "\x00",
        "~",
        "a",
        "org",
        "model",
        ".safetensors",
        "hf:",
        "dir:",
        "@",
        "%2e",
        "é",
        "C:",
    ]
)
NAMES = st.lists(PARTS | st.text(max_size=3), max_size=8).map("".join)


def is_plain(name: str) -> bool:
    """Whether a name stays in the directory that it is put behind."""
    return Path(name).name == name and name not in ("", ".", "..") and not set(name) & set("/\\\x00")


@given(NAMES)
def test_no_file_of_a_blueprint_leads_anywhere_else(name: str) -> None:
    assert not is_small_file(name) or is_plain(name)
    try:
        Blueprint((), (WeightFile(name, 10, "0" * 64, (2).to_bytes(8, "little") + b"{}"),))
    except BrokenModel:
        return
    assert is_plain(name)


@given(NAMES)
def test_no_name_of_a_repository_leads_out_of_a_cache(name: str) -> None:
    repository = parse_repository(name)
    if repository is None:
        return
    assert ".." not in (repository.revision or "")
    assert not (repository.revision or "").startswith("/")
    folder = Path("/nowhere/cache")
    for separator in ("/", "--"):
        cache = ForeignCache("other", folder, separator)
        assert cache.place(repository.name).is_relative_to(folder)
        assert complete_copy(cache, repository.name) is None


@pytest.mark.parametrize("name", ["org/..", "org/model@../../x", "org/model@/etc", "../model", "/etc/model"])
def test_names_that_lead_elsewhere_are_none(name: str, tmp_path: Path) -> None:
    repository = parse_repository(name)
    copy = complete_copy(ForeignCache("other", tmp_path, "/"), name)
    assert copy is None
    assert repository is None or repository.name == "org/.."


@given(NAMES)
def test_no_name_of_ollamas_leads_out_of_its_folder(name: str) -> None:
    # A manifest that is found would be read: everything outside of the folder is there.
    with pytest.raises(ModelError):
        ollama_blob(f"ollama:{name}", [Path("/nowhere/ollama")])


@given(NAMES | st.text())
def test_what_a_gguf_file_calls_itself_is_one_plain_name(text: str) -> None:
    name = plain(text)
    assert not name or is_plain(name)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_weights_that_can_run_code_are_refused_by_their_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(BrokenModel, match=f"{name} is never read, such a file can run code"):
        weight_files(tmp_path)


def test_beside_safetensors_such_files_are_not_even_looked_at(tmp_path: Path) -> None:
    whole = make_tiny_model(tmp_path / "tiny", layers=1, hidden=16)
    before = blueprint_of(ModelFiles("tiny", "dir:tiny", whole), None)
    (whole / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert blueprint_of(ModelFiles("tiny", "dir:tiny", whole), None) == before


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__ }}{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ lipsum.__globals__['os'].system('false') }}",
        "{% for _ in range(10 ** 9) %}{% endfor %}",
        "{{ messages.append(1) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os.getcwd() }}",
    ],
)
def test_a_hostile_template_gets_nowhere(tmp_path: Path, template: str) -> None:
    path = make_tiny_model(tmp_path / "tiny", layers=1, hidden=16)
    file = path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))
    tokenizer = load_tokenizer(ModelFiles("tiny", f"dir:{path}", path))
    with pytest.raises(RequestError, match="chat template refuses"):
        tokenizer.encode_chat([{"role": "user", "content": "hi"}])


def test_code_that_comes_with_a_model_is_never_run(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path / "tiny", layers=1, hidden=16)
    (path / "tokenization_own.py").write_text("raise SystemExit('it ran')")
    file = path / "tokenizer_config.json"
    own = {"auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}, "tokenizer_class": "Own"}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    with suppress(ModelError):
        load_tokenizer(ModelFiles("tiny", f"dir:{path}", path))
