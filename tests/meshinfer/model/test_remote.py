from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel, CorruptTensor, DiskFull, ModelError, NoLongerWanted, UnknownModel
from meshinfer.model import remote
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.hub import Repository
from meshinfer.model.partial import Partial, lay_out
from meshinfer.model.ranges import HubFiles, Patience
from meshinfer.model.remote import fetch_from_hub, remote_blueprint
from tests.fakehub import COMMIT, Habits, cache_tree, fake_hub
from tests.meshinfer.model.parts import blueprint_from
from tests.ports import absent_server
from tests.tiny import make_tiny_model

PATIENCE = Patience(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "whole", file_count=2, hidden=128)


def hub_at(endpoint: str) -> HubFiles:
    return HubFiles(Repository("org/tiny"), endpoint, PATIENCE)


def laid_out(endpoint: str, tmp_path: Path) -> Partial:
    blueprint, commit = remote_blueprint(hub_at(endpoint), tmp_path / "hub")
    return lay_out(blueprint, tmp_path / "part", commit.name, f"hf:{commit.named}")


def fetch(
    partial: Partial,
    endpoint: str,
    tensors: frozenset[str],
    reported: list[tuple[str, int, int]] | None = None,
    wanted_for: int = 1 << 30,
) -> None:
    left = iter(range(wanted_for))
    fetch_from_hub(
        partial,
        tensors,
        hub_at(endpoint),
        lambda *report: reported.append(report) if reported is not None else None,
        lambda: next(left, None) is not None,
    )


@pytest.mark.parametrize("habits", [Habits(), Habits(is_lfs=False), Habits(knows_ranges=False)], ids=str)
def test_a_repositorys_blueprint_is_that_of_its_files(whole: Path, tmp_path: Path, habits: Habits) -> None:
    (whole / "evil.py").write_text("raise SystemExit")
    with fake_hub(whole, habits=habits) as endpoint:
        blueprint, commit = remote_blueprint(hub_at(endpoint), tmp_path / "hub")
    assert commit == Repository("org/tiny", COMMIT)
    assert blueprint == blueprint_from(whole)


def test_only_headers_are_read_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_HEADER_GUESS_BYTES", 1000)
    whole, habits = make_tiny_model(tmp_path / "whole"), Habits()
    with fake_hub(whole, habits=habits) as endpoint:
        blueprint, _ = remote_blueprint(hub_at(endpoint), tmp_path / "hub")
    assert habits.sent_bytes == len(blueprint.weight_files[0].header)


def test_it_has_the_fingerprint_of_a_copy_in_the_cache(whole: Path, tmp_path: Path) -> None:
    cached = cache_tree(tmp_path / "hub", "org/tiny", whole)
    with fake_hub(whole) as endpoint:
        blueprint, _ = remote_blueprint(hub_at(endpoint), tmp_path / "other")
    assert blueprint.fingerprint == read_card(ModelFiles("tiny", "dir:x", cached)).fingerprint


@pytest.mark.parametrize("refusal", ["gated", "missing", "no revision", "failing"])
def test_a_hub_that_refuses_is_named(whole: Path, tmp_path: Path, refusal: str) -> None:
    with fake_hub(whole, refusal) as endpoint, pytest.raises(ModelError, match="org/tiny"):
        remote_blueprint(hub_at(endpoint), tmp_path / "hub")


def test_a_repository_in_another_format_is_named(whole: Path, tmp_path: Path) -> None:
    for file in whole.glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    with fake_hub(whole) as endpoint, pytest.raises(BrokenModel, match=r"no model\*\.safetensors there"):
        remote_blueprint(hub_at(endpoint), tmp_path / "hub")


@pytest.mark.parametrize("layers", [range(1), range(1, 3), range(3, 4), range(4)])
def test_what_is_fetched_is_what_was_asked_for_and_little_else(
    whole: Path, tmp_path: Path, layers: range
) -> None:
    habits, reported = Habits(), list[tuple[str, int, int]]()
    with fake_hub(whole, habits=habits) as endpoint:
        partial = laid_out(endpoint, tmp_path)
        needed_bytes = partial.missing_bytes(partial.needed(layers))
        habits.sent_bytes = 0
        fetch(partial, endpoint, partial.needed(layers), reported)
    assert needed_bytes <= habits.sent_bytes <= 1.05 * needed_bytes
    for name in partial.needed(layers):
        tensor = partial.tensors[name]
        here = tensor.file.read_bytes()[tensor.offset : tensor.end]
        assert here == (whole / tensor.file.name).read_bytes()[tensor.offset : tensor.end]
    downloads = [report for report in reported if report[0] == "downloading org/tiny"]
    assert downloads[0][1:] == (0, habits.sent_bytes)
    assert downloads[-1][1:] == (habits.sent_bytes, habits.sent_bytes)


def test_neighbours_are_asked_for_together(tmp_path: Path) -> None:
    whole, habits = make_tiny_model(tmp_path / "whole"), Habits()
    with fake_hub(whole, habits=habits) as endpoint:
        partial = laid_out(endpoint, tmp_path)
        habits.ranges.clear()
        # In the file, a layer's tensors lie side by side, the norm far behind them.
        fetch(partial, endpoint, partial.needed(range(1, 2)) | {"model.norm.weight"})
    assert len(habits.ranges) == 2


def test_a_file_that_is_needed_nearly_whole_is_fetched_and_checked_whole(whole: Path, tmp_path: Path) -> None:
    with fake_hub(whole) as endpoint:
        partial = laid_out(endpoint, tmp_path)
        fetch(partial, endpoint, frozenset(partial.tensors) - {"model.norm.weight"})
    assert partial.is_whole


def test_a_whole_file_that_is_not_what_the_hub_says_is_named(whole: Path, tmp_path: Path) -> None:
    with fake_hub(whole) as endpoint:
        partial = laid_out(endpoint, tmp_path)
        file = whole / partial.tensors["model.norm.weight"].file.name
        file.write_bytes(file.read_bytes()[:-1] + b"\xa5")
        with pytest.raises(CorruptTensor, match=rf"all of {file.name} came, the last from the hub"):
            fetch(partial, endpoint, frozenset(partial.tensors))
    assert not partial.is_whole
    assert not partial.has("model.norm.weight")


def test_given_up_halfway_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, habits = make_tiny_model(tmp_path / "whole", hidden=256), Habits()
    monkeypatch.setattr(remote, "_SPAN_BYTES", 100_000)
    monkeypatch.setattr(remote, "_CONNECTIONS", 1)
    with fake_hub(whole, habits=habits) as endpoint:
        partial = laid_out(endpoint, tmp_path)
        total_bytes = partial.missing_bytes(partial.tensors)
        with pytest.raises(NoLongerWanted, match="org/tiny is no longer wanted"):
            fetch(partial, endpoint, frozenset(partial.tensors), wanted_for=20)
        left_bytes = partial.missing_bytes(partial.tensors)
        assert 0 < left_bytes < total_bytes
        habits.sent_bytes = 0
        fetch(partial, endpoint, frozenset(partial.tensors))
    assert habits.sent_bytes == left_bytes
    assert partial.is_whole


@pytest.mark.parametrize(
    "habits",
    [Habits(failing=2), Habits(torn=6), Habits(knows_ranges=False), Habits(is_redirecting=True)],
    ids=str,
)
def test_a_troubled_hub_gives_the_same(whole: Path, tmp_path: Path, habits: Habits) -> None:
    with fake_hub(whole) as endpoint:
        partial = laid_out(endpoint, tmp_path)
    with fake_hub(whole, habits=habits) as endpoint:
        fetch(partial, endpoint, frozenset(partial.tensors))
    assert partial.is_whole


def test_a_hub_that_is_gone_leaves_what_came(whole: Path, tmp_path: Path) -> None:
    with fake_hub(whole) as endpoint:
        partial = laid_out(endpoint, tmp_path)
        fetch(partial, endpoint, partial.needed(range(1, 2)))
    with absent_server() as endpoint, pytest.raises(ModelError, match="what came is kept"):
        fetch(partial, endpoint, frozenset(partial.tensors))
    assert Partial.open(partial.files.path).layers == (range(1, 2),)


def test_a_disk_without_room_is_said_before_anything_is_asked_for(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    habits = Habits()
    with fake_hub(whole, habits=habits) as endpoint:
        partial = laid_out(endpoint, tmp_path)
        habits.ranges.clear()
        monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
        with pytest.raises(DiskFull, match=r"org/tiny needs [\d,]+ bytes"):
            fetch(partial, endpoint, frozenset(partial.tensors))
    assert habits.ranges == []


def test_offline_nothing_is_asked_for(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    habits = Habits()
    with fake_hub(whole, habits=habits) as endpoint:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(UnknownModel, match="HF_HUB_OFFLINE"):
            remote_blueprint(hub_at(endpoint), tmp_path / "hub")
    assert habits.ranges == []
