import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from meshinfer.errors import BrokenModel, ModelMismatch, UnknownModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.local import (
    complete,
    fetch_blueprint,
    receive_blueprint,
    share_blueprint,
)
from meshinfer.model.manifest import read_manifest
from tests.fakehub import COMMIT, Habits, cache_tree, fake_hub
from tests.meshinfer.model.parts import fill
from tests.meshinfer.model.rings import Ring
from tests.tiny import make_tiny_model

# Below what prepares mlx.
from meshinfer.messages import Sampling  # isort: skip
from meshinfer.model.shard import Shard  # isort: skip
from meshinfer.model.partial import Partial  # isort: skip
from tests.adapters import make_adapter  # isort: skip

SOURCE = f"hf:org/tiny@{COMMIT}"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "whole", file_count=2)


def unheard(what: str, done: int, total: int) -> None:
    pass


def fetched(tmp_path: Path, wanted: str = "org/tiny", endpoint: str | None = None) -> ModelFiles:
    files, card, _ = fetch_blueprint(
        wanted,
        tmp_path / "cache",
        endpoint is not None,
        unheard,
        hub_cache=tmp_path / "hub",
        endpoint=endpoint,
    )
    assert (card.name, card.source) == (files.name, files.source)
    return files


def missing_bytes(files: ModelFiles, layers: range) -> int:
    if read_manifest(files.path) is None:
        return 0
    partial = Partial.open(files.path)
    return partial.missing_bytes(partial.needed(layers))


def test_a_model_that_is_whole_in_the_cache_is_used_as_it_is(whole: Path, tmp_path: Path) -> None:
    snapshot = cache_tree(tmp_path / "hub", "org/tiny", whole)
    files = fetched(tmp_path, endpoint="http://127.0.0.1:9")
    assert files == ModelFiles("org/tiny", SOURCE, snapshot)
    assert missing_bytes(files, range(4)) == 0
    complete(files, range(4), False, unheard, lambda: True)


def test_a_directory_is_hashed_once(whole: Path, tmp_path: Path) -> None:
    reported: list[str] = []
    fetch_blueprint(str(whole), tmp_path / "cache", False, lambda what, *sizes: reported.append(what))
    assert set(reported) == {"checking whole"}
    reported.clear()
    fetch_blueprint(str(whole), tmp_path / "cache", False, lambda what, *sizes: reported.append(what))
    assert reported == []


def test_each_peer_fetches_its_layers_and_together_they_answer(whole: Path, tmp_path: Path) -> None:
    habits, shards, needed_bytes = Habits(), [], 0
    with fake_hub(whole, habits=habits) as endpoint:
        for layers in (range(2), range(2, 3), range(3, 4)):
            home = tmp_path / str(layers.start)
            files, card, _ = fetch_blueprint(
                "org/tiny", home / "cache", True, unheard, hub_cache=home / "hub", endpoint=endpoint
            )
            habits.sent_bytes = 0
            mine = missing_bytes(files, layers)
            complete(files, layers, True, unheard, lambda: True, endpoint=endpoint)
            assert mine <= habits.sent_bytes <= 1.05 * mine
            assert missing_bytes(files, layers) == 0
            needed_bytes += mine
            shards.append(Shard.load(files, card, layers))
    files, card, _ = fetch_blueprint(str(whole), tmp_path / "cache", False, unheard)
    assert needed_bytes == card.total_bytes
    expected = Ring([Shard.load(files, card, range(4))])
    prompt, sampling = (40, 41, 42, 43), Sampling(temperature=1.0, seed=3)
    answer = Ring(shards).answer(prompt, 8, chunk=4, sampling=sampling)
    assert answer == expected.answer(prompt, 8, chunk=4, sampling=sampling)


@pytest.mark.parametrize("wanted", ["org/tiny", "hf:org/tiny", SOURCE])
def test_what_is_partly_here_is_found_again_without_the_hub(whole: Path, tmp_path: Path, wanted: str) -> None:
    with fake_hub(whole) as endpoint:
        files = fetched(tmp_path, endpoint=endpoint)
        complete(files, range(1, 2), True, unheard, lambda: True, endpoint=endpoint)
    again = fetched(tmp_path, wanted)
    assert again == files
    assert missing_bytes(again, range(1, 2)) == 0


@pytest.mark.parametrize(("wanted", "switch"), [("ms:org/tiny", "False"), ("org/tiny", "True")])
def test_what_modelscope_has_comes_from_there_and_whole(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, switch: str
) -> None:
    package: Any = ModuleType("modelscope")
    package.snapshot_download = lambda name, **options: str(
        tmp_path / "nothing" if options.get("local_files_only") else whole
    )
    package.__spec__ = object()
    monkeypatch.setitem(sys.modules, "modelscope", package)
    monkeypatch.setenv("MLXLM_USE_MODELSCOPE", switch)
    files = fetched(tmp_path, wanted, endpoint="http://127.0.0.1:9")
    assert files == ModelFiles("org/tiny", "ms:org/tiny", whole)


@pytest.mark.parametrize("wanted", ["org/tiny", "org/tiny@other", "no-such-model", "./nowhere"])
def test_without_a_network_what_is_not_here_is_unknown(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(UnknownModel):
        fetched(tmp_path, wanted)


def test_layers_that_nobody_may_fetch_are_named(whole: Path, tmp_path: Path) -> None:
    with fake_hub(whole) as endpoint:
        files = fetched(tmp_path, endpoint=endpoint)
    with pytest.raises(
        UnknownModel, match=r"layers 1 to 2, [\d,]+ bytes are not here, and downloading is off"
    ):
        complete(files, range(1, 3), False, unheard, lambda: True)


def test_a_blueprint_goes_from_peer_to_peer(whole: Path, tmp_path: Path) -> None:
    files, card, _ = fetch_blueprint(str(whole), tmp_path / "a", False, unheard)
    content = share_blueprint(files, tmp_path / "a", unheard)
    received, other, _ = receive_blueprint(content, card.fingerprint, card.name, card.source, tmp_path / "b")
    assert other == card
    assert share_blueprint(received, tmp_path / "b", unheard) == content
    with pytest.raises(UnknownModel, match=f"{files.source} is on another machine"):
        complete(received, range(1), True, unheard, lambda: True)
    with pytest.raises(BrokenModel, match="has not been fetched"):
        Shard.load(received, other, range(1))


def test_another_models_blueprint_is_refused(whole: Path, tmp_path: Path) -> None:
    files, card, _ = fetch_blueprint(str(whole), tmp_path / "a", False, unheard)
    content = share_blueprint(files, tmp_path / "a", unheard)
    with pytest.raises(ModelMismatch, match="00000000 was asked for"):
        receive_blueprint(content, "0" * 32, card.name, card.source, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_variant_of_what_is_nowhere_yet_is_fetched_layer_by_layer(whole: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "mine", whole)
    variant = f"dtype=bfloat16&adapter={adapter}"
    shards = []
    with fake_hub(whole) as endpoint:
        for layers in (range(2), range(2, 4)):
            home = tmp_path / str(layers.start)
            files, card, _ = fetch_blueprint(
                f"org/tiny?{variant}",
                home / "cache",
                True,
                unheard,
                hub_cache=home / "hub",
                endpoint=endpoint,
            )
            assert (card.name, card.source) == ("org/tiny+bfloat16+mine", f"{SOURCE}?{variant}")
            complete(files, layers, True, unheard, lambda: True, endpoint=endpoint)
            shards.append(Shard.load(files, card, layers))
    files, expected, _ = fetch_blueprint(f"{whole}?{variant}", tmp_path / "cache", False, unheard)
    assert expected.fingerprint == card.fingerprint
    prompt, sampling = (40, 41, 42, 43), Sampling(temperature=1.0, seed=3)
    answer = Ring([Shard.load(files, expected, range(4))]).answer(prompt, 8, chunk=4, sampling=sampling)
    assert Ring(shards).answer(prompt, 8, chunk=4, sampling=sampling) == answer
    # Asked for again, also by its source, it is there.
    for wanted in (f"org/tiny?{variant}", card.source):
        assert fetched(tmp_path / "0", wanted).path.name == card.fingerprint


def test_a_variant_goes_from_peer_to_peer_with_its_adapter(whole: Path, tmp_path: Path) -> None:
    snapshot = cache_tree(tmp_path / "hub", "org/tiny", whole)
    adapter = make_adapter(tmp_path / "mine", whole)
    files, card, _ = fetch_blueprint(
        f"org/tiny?adapter={adapter}", tmp_path / "a", False, unheard, hub_cache=tmp_path / "hub"
    )
    assert card.source == f"{SOURCE}?adapter={adapter}"
    content = share_blueprint(files, tmp_path / "a", unheard)
    received, other, _ = receive_blueprint(content, card.fingerprint, card.name, card.source, tmp_path / "b")
    assert other == card
    partial = Partial.open(received.path)
    adapted = {name for name in partial.needed(range(2, 4)) if name.startswith("adapter.")}
    assert {name.split(".")[3] for name in adapted} == {"2", "3"}
    # As on another machine.
    adapter.rename(tmp_path / "moved")
    again, _, _ = fetch_blueprint(card.source, tmp_path / "b", True, unheard, hub_cache=tmp_path / "nowhere")
    assert again == received
    with fake_hub(whole) as endpoint:
        with pytest.raises(UnknownModel, match=r"the adapter of hf:org/tiny@\S+ is on another machine"):
            complete(received, range(2, 4), True, unheard, lambda: True, endpoint=endpoint)
        fill(partial, files.path, adapted)
        complete(received, range(2, 4), True, unheard, lambda: True, endpoint=endpoint)
    Shard.load(received, other, range(2, 4))
    with pytest.raises(BrokenModel, match="has not been fetched"):
        Shard.load(received, other, range(1, 4))
    assert (snapshot / "config.json").read_bytes() == (whole / "config.json").read_bytes()


def test_an_adapter_that_is_nowhere_is_named_and_no_hub_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="there is no adapter /nowhere"):
        fetched(tmp_path, "org/tiny?adapter=/nowhere", endpoint="http://127.0.0.1:9")
