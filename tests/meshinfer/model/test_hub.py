from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel, DiskFull, MeshError, ModelError, UnknownModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.hub import Repository, installed_repositories, parse_repository, resolve_repository
from tests.fakehub import COMMIT, cache_tree, fake_hub
from tests.ports import absent_server
from tests.tiny import make_tiny_model

TINY = Repository("org/tiny")


def found(
    cache: Path,
    repository: Repository = TINY,
    endpoint: str | None = None,
    reported: list[tuple[str, int, int]] | None = None,
) -> ModelFiles:
    return resolve_repository(
        repository,
        is_download_allowed=endpoint is not None,
        progress=lambda *report: reported.append(report) if reported is not None else None,
        hub_cache=cache,
        endpoint=endpoint,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", Repository("org/name")),
        ("hf:org/name", Repository("org/name")),
        ("hf:org/name@main", Repository("org/name", "main")),
        ("mlx-community/Qwen3-0.6B-4bit@v1.0", Repository("mlx-community/Qwen3-0.6B-4bit", "v1.0")),
        ("name", None),
        ("a/b/c", None),
        ("org/name@", None),
        ("../secret", None),
        ("http://host/name", None),
        ("pypi:org/name", None),
    ],
)
def test_repository_names_are_told_from_others(text: str, expected: Repository | None) -> None:
    assert parse_repository(text) == expected


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_what_is_in_the_cache_is_used_without_asking_the_hub(tmp_path: Path, revision: str | None) -> None:
    snapshot = cache_tree(tmp_path / "hub", "org/tiny", make_tiny_model(tmp_path / "tiny", layers=1))
    assert found(tmp_path / "hub", Repository("org/tiny", revision)) == ModelFiles(
        "org/tiny", f"hf:org/tiny@{COMMIT}", snapshot
    )


def test_a_source_leads_to_the_same_files_again(tmp_path: Path) -> None:
    cache_tree(tmp_path / "hub", "org/tiny", make_tiny_model(tmp_path / "tiny", layers=1))
    files = found(tmp_path / "hub")
    again = parse_repository(files.source)
    assert again is not None
    assert found(tmp_path / "hub", again) == files


def test_offline_a_repository_that_is_not_here_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"org/tiny is not in this machine's .* downloading is off"):
        found(tmp_path)


def test_half_a_download_counts_as_not_here(tmp_path: Path) -> None:
    source = make_tiny_model(tmp_path / "tiny", file_count=2)
    cache_tree(tmp_path / "hub", "org/tiny", source, left_out=("model-00002-of-00002.safetensors",))
    with pytest.raises(UnknownModel, match="downloading is off"):
        found(tmp_path / "hub")


def test_a_repository_is_downloaded_with_progress_in_bytes(tmp_path: Path) -> None:
    source = make_tiny_model(tmp_path / "tiny", layers=1)
    (source / "evil.py").write_text("raise SystemExit")
    reported: list[tuple[str, int, int]] = []
    with fake_hub(source) as endpoint:
        files = found(tmp_path / "hub", endpoint=endpoint, reported=reported)
    assert files.source == f"hf:org/tiny@{COMMIT}"
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (files.path / name).read_bytes() == (source / name).read_bytes()
    assert not (files.path / "evil.py").exists()
    total = sum(file.stat().st_size for file in source.iterdir() if file.suffix != ".py")
    assert reported[0] == ("downloading org/tiny", 0, total)
    assert reported[-1] == ("downloading org/tiny", total, total)


def test_the_rest_of_half_a_download_is_fetched(tmp_path: Path) -> None:
    source = make_tiny_model(tmp_path / "tiny", file_count=2)
    cache_tree(tmp_path / "hub", "org/tiny", source, left_out=("model-00002-of-00002.safetensors",))
    with fake_hub(source) as endpoint:
        files = found(tmp_path / "hub", endpoint=endpoint)
    assert (files.path / "model-00002-of-00002.safetensors").is_file()


@pytest.mark.parametrize(
    ("refusal", "kind", "complaint"),
    [
        ("gated", ModelError, "is gated: accept its terms at https://huggingface.co/org/tiny"),
        ("missing", UnknownModel, "is not on the hub, or private"),
        ("no revision", UnknownModel, "has no revision"),
        ("failing", ModelError, "could not be read"),
    ],
)
def test_what_the_hub_refuses_is_said_with_a_way_out(
    tmp_path: Path, refusal: str, kind: type[MeshError], complaint: str
) -> None:
    with fake_hub(tmp_path, refusal) as endpoint, pytest.raises(kind, match=complaint):
        found(tmp_path / "hub", endpoint=endpoint)


def test_a_hub_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with absent_server() as endpoint, pytest.raises(ModelError, match="check the network"):
        found(tmp_path / "hub", endpoint=endpoint)


def test_a_repository_without_weights_for_mlx_is_broken(tmp_path: Path) -> None:
    source = make_tiny_model(tmp_path / "tiny", layers=1)
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with fake_hub(source) as endpoint, pytest.raises(BrokenModel, match=r"no model\*\.safetensors"):
        found(tmp_path / "hub", endpoint=endpoint)


def test_a_disk_without_room_is_said_before_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with (
        fake_hub(make_tiny_model(tmp_path / "tiny", layers=1)) as endpoint,
        pytest.raises(DiskFull, match=r"org/tiny needs [\d,]+ bytes in .*hub, where 1,000 are free"),
    ):
        found(tmp_path / "hub", endpoint=endpoint)


def test_only_whole_models_in_our_format_are_listed(tmp_path: Path) -> None:
    tiny = make_tiny_model(tmp_path / "tiny", layers=1)
    cache_tree(tmp_path / "hub", "org/whole", tiny)
    cache_tree(tmp_path / "hub", "org/torch", tiny, left_out=("model.safetensors",))
    assert [files.name for files in installed_repositories(tmp_path / "hub")] == ["org/whole"]
    assert installed_repositories(tmp_path / "nothing") == []
