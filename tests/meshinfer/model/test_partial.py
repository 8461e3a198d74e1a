import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from meshinfer.errors import BrokenModel, DiskFull, ModelMismatch, NoLongerWanted
from meshinfer.model import partial as partials
from meshinfer.model.base import ModelFiles
from meshinfer.model.blueprint import SmallFile
from meshinfer.model.card import read_card
from meshinfer.model.journal import Journal
from meshinfer.model.manifest import NOTES
from meshinfer.model.partial import Partial, lay_out, partial_models, partials_directory
from tests.meshinfer.model.parts import blueprint_from, fill, part_of
from tests.tiny import make_tiny_model

ONE = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "whole", file_count=2)


@pytest.fixture
def partial(whole: Path, tmp_path: Path) -> Partial:
    return part_of(whole, tmp_path / "part")


def test_an_empty_one_has_the_same_card_as_the_whole(whole: Path, partial: Partial) -> None:
    card = read_card(partial.files)
    assert card == replace(
        read_card(ModelFiles("tiny", "dir:x", whole)), name="tiny", source="hf:org/tiny@main"
    )
    assert partial.fingerprint == card.fingerprint
    assert partial.layers == ()


def test_its_weight_files_have_their_true_size_and_take_no_room(whole: Path, tmp_path: Path) -> None:
    large = make_tiny_model(tmp_path / "large", hidden=512, layers=2)
    partial = part_of(large, tmp_path / "part")
    (file,) = partial.files.path.glob("*.safetensors")
    assert file.stat().st_size == (large / file.name).stat().st_size
    assert file.stat().st_blocks * 512 < 200_000 < file.stat().st_size


def test_it_appears_whole_or_not_at_all(whole: Path, tmp_path: Path) -> None:
    good = blueprint_from(whole)
    bad = replace(good, small_files=tuple(file for file in good.small_files if file.name != "config.json"))
    with pytest.raises(BrokenModel, match=r"config\.json"):
        lay_out(bad, tmp_path / "part", "tiny", "hf:org/tiny")
    assert not (tmp_path / "part").exists()
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".part")] == ["whole"]


def test_several_may_lay_it_out_at_once(whole: Path, tmp_path: Path) -> None:
    blueprint = blueprint_from(whole)
    with ThreadPoolExecutor(4) as threads:
        made = [
            threads.submit(lay_out, blueprint, tmp_path / "part", "tiny", "hf:org/tiny") for _ in range(8)
        ]
        assert {part.result().fingerprint for part in made} == {blueprint.fingerprint}


def test_another_model_in_the_same_place_is_named(whole: Path, partial: Partial) -> None:
    blueprint = blueprint_from(whole)
    other = replace(blueprint, small_files=(*blueprint.small_files, SmallFile("vocab.txt", b"x")))
    with pytest.raises(ModelMismatch, match=partial.fingerprint[:8]):
        lay_out(other, partial.files.path, "tiny", "hf:org/tiny")


def test_layers_show_once_all_their_tensors_are_there(whole: Path, partial: Partial) -> None:
    names = [name for name in partial.tensors if ".layers.1." in name or ".layers.2." in name]
    fill(partial, whole, names[:-1])
    assert partial.layers == (range(1, 2),) or partial.layers == (range(2, 3),)
    fill(partial, whole, names)
    assert partial.layers == (range(1, 3),)
    assert Partial.open(partial.files.path).layers == (range(1, 3),)


def test_what_is_there_is_not_missing_and_can_be_vouched_for(whole: Path, partial: Partial) -> None:
    before_bytes = partial.missing_bytes(partial.tensors)
    fill(partial, whole, [ONE])
    again = Partial.open(partial.files.path)
    assert again.has(ONE)
    assert again.sha256_of(ONE) is not None
    assert again.missing([ONE]) == []
    assert again.missing_bytes(partial.tensors) == before_bytes - partial.tensors[ONE].size_bytes
    assert again.sha256_of("model.norm.weight") is None


def test_a_whole_one_is_the_model(whole: Path, partial: Partial) -> None:
    fill(partial, whole, partial.tensors)
    assert not partial.is_whole
    with partial.filling(lambda: True) as filling:
        filling.check_files("a copy", lambda *report: None)
    assert Partial.open(partial.files.path).is_whole
    for file in whole.glob("*"):
        assert (partial.files.path / file.name).read_bytes() == file.read_bytes()


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    whole: Path, partial: Partial, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(partial, whole, [ONE])
    needed_bytes = partial.missing_bytes(partial.tensors)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": needed_bytes}))
    partial.require_room(partial.tensors)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": needed_bytes - 1}))
    with pytest.raises(DiskFull, match=f"tiny needs {needed_bytes:,} bytes"):
        partial.require_room(partial.tensors)


def test_one_fills_it_at_a_time_and_others_may_give_up_waiting(
    partial: Partial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partials, "_ASK_EVERY_S", 0.01)
    with partial.filling(lambda: True), ThreadPoolExecutor(1) as other:

        def wait() -> None:
            with Partial.open(partial.files.path).filling(lambda: False):
                raise AssertionError("two fill it")

        with pytest.raises(NoLongerWanted, match="tiny is no longer wanted"):
            other.submit(wait).result()


def test_who_waited_sees_what_came_meanwhile(
    whole: Path, partial: Partial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partials, "_ASK_EVERY_S", 0.01)
    late, is_asked = Partial.open(partial.files.path), Event()

    def is_wanted() -> bool:
        is_asked.set()
        return True

    def wait() -> bool:
        with late.filling(is_wanted):
            return late.has(ONE)

    with ThreadPoolExecutor(1) as other:
        with partial.filling(lambda: True) as filling:
            has_it = other.submit(wait)
            is_asked.wait()
            for piece in partial.missing([ONE]):
                filling.write(piece, (whole / piece.file).read_bytes()[piece.offset : piece.end])
            filling.finish(ONE, None, "a copy")
        assert has_it.result()


KILLED = """
import os, signal, sys
from pathlib import Path
from meshinfer.model.partial import Partial
from tests.meshinfer.model.parts import content_of
partial, whole = Partial.open(Path(sys.argv[1])), Path(sys.argv[2])
with partial.filling(lambda: True) as filling:
    for piece in partial.missing([sys.argv[3]]):
        filling.write(piece, content_of(whole, piece))
    filling.finish(sys.argv[3], None, "a copy")
    for piece in partial.missing(["lm_head.weight"]):
        filling.write(piece, content_of(whole, piece))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_takes_nothing_that_was_finished_and_leaves_nothing_half(
    whole: Path, partial: Partial
) -> None:
    command = [sys.executable, "-c", KILLED, str(partial.files.path), str(whole), ONE]
    assert subprocess.run(command, timeout=150, check=False).returncode == -9
    after = Partial.open(partial.files.path)
    assert after.has(ONE)
    assert not after.has("lm_head.weight")
    fill(after, whole, after.tensors)
    assert after.missing(after.tensors) == []


def test_what_a_loss_of_power_took_counts_as_missing(whole: Path, partial: Partial) -> None:
    fill(partial, whole, [ONE])
    journal = Journal(partial.files.path)
    journal.add([("tensor", "model.norm.weight", "0" * 64), ("tensor", "of another release", "0" * 64)])
    journal.close()
    after = Partial.open(partial.files.path)
    assert after.has(ONE)
    assert not after.has("model.norm.weight")


def test_a_whole_one_that_a_loss_of_power_tore_is_whole_no_longer(whole: Path, partial: Partial) -> None:
    fill(partial, whole, partial.tensors)
    with partial.filling(lambda: True) as filling:
        filling.check_files("a copy", lambda *report: None)
    file, journal = partial.tensors[ONE].file, Journal(partial.files.path)
    journal.add([("tensor", ONE, "0" * 64)])
    journal.close()
    after = Partial.open(partial.files.path)
    assert (after.is_whole, after.has(ONE)) == (False, False)
    fill(after, whole, [ONE])
    with after.filling(lambda: True) as filling:
        filling.check_files("a copy", lambda *report: None)
    assert after.is_whole
    assert file.read_bytes() == (whole / file.name).read_bytes()


def test_dropped_it_is_gone(partial: Partial) -> None:
    partial.drop()
    assert not partial.files.path.exists()


def test_a_damaged_manifest_says_what_to_do(partial: Partial) -> None:
    (partial.files.path / NOTES / "manifest").write_bytes(b"torn")
    with pytest.raises(BrokenModel, match=r"is torn .* remove"):
        Partial.open(partial.files.path)


def test_an_ordinary_directory_is_none(whole: Path) -> None:
    with pytest.raises(BrokenModel, match="holds no part of a model"):
        Partial.open(whole)


def test_those_in_the_cache_are_listed_but_for_damaged_ones(whole: Path, tmp_path: Path) -> None:
    place = partials_directory(tmp_path)
    good, bad = part_of(whole, place / "good"), part_of(whole, place / "bad")
    (bad.files.path / NOTES / "manifest").write_bytes(b"torn")
    (place / "other").mkdir()
    assert list(partial_models(tmp_path)) == [good.files]
