import json
import socket
from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel, MeshError, ModelError, UnknownModel, UnsupportedModel
from meshinfer.model.catalogue import catalogue_names, find_entry
from meshinfer.model.configs import FoundConfig, find_config
from meshinfer.model.hub import Repository, fetch_config
from meshinfer.model.precision import PRECISIONS
from meshinfer.model.sketch import sketch
from tests.fakehub import cache_tree, fake_hub
from tests.tiny import make_tiny_model


def found(model: str, cache: Path) -> FoundConfig:
    return find_config(model, is_download_allowed=False, hub_cache=cache)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", catalogue_names())
def test_the_catalogue_needs_no_network_even_where_downloading_is_allowed(name: str, tmp_path: Path) -> None:
    entry = find_entry(name)
    assert entry is not None
    for spelling in (name, name.upper(), entry.repository, entry.original):
        config = find_config(spelling, is_download_allowed=True, hub_cache=tmp_path)
        assert config == FoundConfig(name, entry.original, entry.config, entry.precision, entry.repository)
    assert entry.precision in PRECISIONS.values()


@pytest.mark.usefixtures("no_network")
def test_a_gguf_file_of_any_name_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "sha256-1").write_bytes(b"GGUF\x03\x00\x00\x00")
    with pytest.raises(UnsupportedModel, match="GGUF file has none"):
        found(str(tmp_path / "sha256-1"), tmp_path)


def test_built_in_models_are_planned_in_the_precision_that_they_have(tmp_path: Path) -> None:
    entry = find_entry("smollm2")
    assert entry is not None
    for name, size_mb in (("smollm2-q4", 115), ("smollm2-float32", 538)):
        planned = found(name, tmp_path)
        assert (planned.name, planned.origin, planned.precision) == (name, entry.original, None)
        # As the converted files are large.
        assert round(sketch(name, planned.config).card.total_bytes / 1e6) == size_mb


def test_a_directory_and_its_config_are_the_same_model(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path / "tiny")
    config = json.loads((path / "config.json").read_text())
    for spelling in (str(path), f"dir:{path}", str(path / "config.json")):
        assert found(spelling, tmp_path) == FoundConfig("tiny", str(path / "config.json"), config)


def test_a_repository_in_the_cache_is_found_offline(tmp_path: Path) -> None:
    tiny = make_tiny_model(tmp_path / "tiny")
    cache_tree(tmp_path / "hub", "org/tiny", tiny, left_out=("model.safetensors",))
    config = found("org/tiny", tmp_path / "hub")
    assert (config.name, config.origin) == ("org/tiny", "org/tiny")
    assert config.config["model_type"] == "llama"


def test_of_a_repository_only_the_config_is_fetched(tmp_path: Path) -> None:
    tiny = make_tiny_model(tmp_path / "tiny")
    with fake_hub(tiny) as endpoint:
        file = fetch_config(
            Repository("org/tiny"), is_download_allowed=True, hub_cache=tmp_path / "hub", endpoint=endpoint
        )
    assert file.read_bytes() == (tiny / "config.json").read_bytes()
    assert [other.name for other in file.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ("gated", ModelError, "is gated"),
        ("missing", UnknownModel, "is not on the hub"),
        ("failing", ModelError, "could not be read"),
    ],
)
def test_what_the_hub_refuses_is_said(
    tmp_path: Path, refusal: str, kind: type[MeshError], words: str
) -> None:
    with fake_hub(tmp_path, refusal) as endpoint, pytest.raises(kind, match=words):
        fetch_config(
            Repository("org/tiny"), is_download_allowed=True, hub_cache=tmp_path / "hub", endpoint=endpoint
        )


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("kimi-k3000", UnknownModel, r"did you mean kimi-k2\? Give one of the catalogue \(deepseek-v3"),
        ("org/absent", UnknownModel, r"is not in this machine's .* `hf download org/absent config\.json`"),
        ("./nowhere", BrokenModel, r"nowhere is missing|config\.json is missing"),
        ("a/b/c", UnknownModel, "unknown model 'a/b/c'"),
        ("", UnknownModel, "unknown model ''"),
        ("ollama:llama3.2:1b", UnsupportedModel, "GGUF file has none: give the repository of the original"),
        ("org/name:Q4_0", UnsupportedModel, "GGUF file has none"),
        ("./absent.gguf", UnsupportedModel, "GGUF file has none"),
        ("ms:org/name", UnsupportedModel, "not from ModelScope: give the repository"),
        ("org/name?kv_bits=8", UnsupportedModel, "question mark: plan org/name$"),
    ],
)
def test_what_is_nowhere_says_where_it_could_be(
    tmp_path: Path, model: str, kind: type[MeshError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        found(model, tmp_path)
