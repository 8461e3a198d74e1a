import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from meshinfer.errors import BrokenModel, ModelError, UnknownModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.hub import Repository
from meshinfer.model.modelscope import check_modelscope, is_modelscope_on, resolve_modelscope
from tests.tiny import make_tiny_model

TINY = Repository("org/tiny")


class Hub:
    """ModelScope's package as mlx-lm calls it: one function, files from a directory."""

    def __init__(self, cache: Path, source: Path | None) -> None:
        self.cache, self.source = cache, source
        self.calls: list[dict[str, Any]] = []

    def snapshot_download(
        self,
        model_id: str,
        revision: str | None = None,
        *,
        local_files_only: bool = False,
        allow_patterns: list[str] | None = None,
    ) -> str:
        self.calls.append({"revision": revision, "local": local_files_only, "patterns": allow_patterns})
        path = self.cache / model_id
        if local_files_only:
            if not path.exists():
                raise ValueError("Cannot find the requested files in the cached path")
            return str(path)
        if self.source is None:
            raise OSError("The specified branch or tag does not exist")
        self.source.rename(path)
        return str(path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A stand-in for their package, with a model to be had."""
    hub = Hub(tmp_path / "cache", make_tiny_model(tmp_path / "remote", layers=1))
    (tmp_path / "cache" / "org").mkdir(parents=True)
    package: Any = ModuleType("modelscope")
    package.snapshot_download = hub.snapshot_download
    package.__spec__ = object()
    monkeypatch.setitem(sys.modules, "modelscope", package)
    return hub


def resolved(repository: Repository = TINY, *, online: bool = True) -> ModelFiles:
    return resolve_modelscope(repository, is_download_allowed=online, progress=lambda *report: None)


def test_a_repository_is_downloaded_once_and_without_its_code(hub: Hub) -> None:
    files = resolved()
    assert (files.name, files.source, files.path) == ("org/tiny", "ms:org/tiny", hub.cache / "org" / "tiny")
    assert hub.calls[-1]["patterns"] is not None
    assert not any(pattern.endswith(".py") for pattern in hub.calls[-1]["patterns"])
    assert resolved() == files
    assert [call["local"] for call in hub.calls] == [True, False, True]


def test_a_revision_is_asked_for_since_the_cache_does_not_tell_which_it_holds(hub: Hub) -> None:
    assert resolved(Repository("org/tiny", "v2")).source == "ms:org/tiny@v2"
    assert [(call["revision"], call["local"]) for call in hub.calls] == [("v2", False)]


def test_offline_only_the_cache_is_asked(hub: Hub) -> None:
    with pytest.raises(
        UnknownModel, match=r"not in ModelScope's cache .*downloading is off: allow it, or run"
    ):
        resolved(online=False)
    assert [call["local"] for call in hub.calls] == [True]


def test_half_a_download_is_downloaded_on(hub: Hub, tmp_path: Path) -> None:
    (hub.cache / "org" / "tiny").mkdir()
    assert resolved().path == hub.cache / "org" / "tiny"


def test_a_failure_is_named(hub: Hub) -> None:
    hub.source = None
    with pytest.raises(
        ModelError, match=r"org/tiny could not be had from ModelScope \(OSError: The specified"
    ):
        resolved()


def test_a_repository_in_another_format_is_broken(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "remote" / "model.safetensors").unlink()
    with pytest.raises(BrokenModel, match=r"no model\*\.safetensors"):
        resolved()


@pytest.mark.parametrize(
    ("value", "expected"), [("True", True), ("true", True), ("False", False), ("1", False), (None, False)]
)
def test_the_switch_is_read_as_mlx_lm_reads_it(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: bool
) -> None:
    monkeypatch.delenv("MLXLM_USE_MODELSCOPE", raising=False)
    if value is not None:
        monkeypatch.setenv("MLXLM_USE_MODELSCOPE", value)
    assert is_modelscope_on() is expected


@pytest.mark.parametrize("asked", [check_modelscope, resolved])
def test_without_the_package_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, asked: Callable[[], object]
) -> None:
    monkeypatch.setenv("MLXLM_USE_MODELSCOPE", "True")
    monkeypatch.setattr("meshinfer.model.modelscope.find_spec", lambda name: None)
    with pytest.raises(
        ModelError, match="ModelScope's package is not installed: run `pip install modelscope`"
    ):
        asked()
