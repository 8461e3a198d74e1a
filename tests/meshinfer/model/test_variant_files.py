import json
from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel, UnknownModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.partial import Partial, partials_directory
from meshinfer.model.safetensors import read_header, read_tensors
from meshinfer.model.variant import Variant, read_variant, split_variant
from meshinfer.model.variant_files import make_partial_variant, make_variant
from tests.adapters import make_adapter
from tests.meshinfer.model.parts import fill, part_of
from tests.tiny import make_tiny_model


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    path = make_tiny_model(tmp_path / "tiny")
    return ModelFiles("tiny", f"dir:{path}", path)


def test_a_plain_variant_is_the_model_itself(files: ModelFiles, tmp_path: Path) -> None:
    assert make_variant(files, Variant(), tmp_path / "cache") is files


def test_a_variant_says_in_its_config_what_it_is_and_links_to_the_rest(
    files: ModelFiles, tmp_path: Path
) -> None:
    made = make_variant(files, Variant("bfloat16", 8), tmp_path / "cache")
    assert (made.name, made.source) == ("tiny+bfloat16+kv8", f"{files.source}?dtype=bfloat16&kv_bits=8")
    config = json.loads((made.path / "config.json").read_text())
    assert read_variant(config) == Variant("bfloat16", 8)
    assert config.pop("meshinfer")
    assert config == json.loads((files.path / "config.json").read_text())
    weights = made.path / "model.safetensors"
    assert weights.is_symlink()
    assert weights.samefile(files.path / "model.safetensors")
    assert make_variant(files, Variant("bfloat16", 8), tmp_path / "cache") == made


def test_an_adapter_is_copied_and_another_one_makes_another_variant(
    files: ModelFiles, tmp_path: Path
) -> None:
    path = make_adapter(tmp_path / "my adapter", files.path)
    made = make_variant(files, Variant(adapter=str(path)), tmp_path / "cache")
    assert (made.name, made.source) == ("tiny+my-adapter", f"{files.source}?adapter={path}")
    assert split_variant(made.source) == (files.source, Variant(adapter=str(path)))
    names = {name for name in read_tensors(made.path) if name.startswith("adapter.")}
    assert names == {f"adapter.{tensor.name}" for tensor in read_header(path / "adapters.safetensors")}
    content = (made.path / "adapters.safetensors").read_bytes()
    make_adapter(path, files.path, seed=2)
    again = make_variant(files, Variant(adapter=str(path)), tmp_path / "cache")
    assert again.path != made.path
    assert (made.path / "adapters.safetensors").read_bytes() == content


def test_an_adapter_that_lies_beside_a_model_by_chance_is_none_of_it(files: ModelFiles) -> None:
    tensors = read_tensors(files.path)
    make_adapter(files.path, files.path)
    assert read_tensors(files.path) == tensors


def test_where_an_adapter_lies_makes_no_difference(files: ModelFiles, tmp_path: Path) -> None:
    here, there = (make_adapter(tmp_path / path, files.path) for path in ("mine", "there/mine"))
    made = [make_variant(files, Variant(adapter=str(path)), tmp_path / "cache") for path in (here, there)]
    assert made[0].path == made[1].path


def test_a_relative_path_is_told_whole(
    files: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_adapter(tmp_path / "mine", files.path))
    made = make_variant(files, Variant(adapter="."), tmp_path / "cache")
    assert (made.name, made.source) == ("tiny+mine", f"{files.source}?adapter={tmp_path / 'mine'}")


def test_a_model_that_has_other_files_now_makes_another_variant(files: ModelFiles, tmp_path: Path) -> None:
    made = make_variant(files, Variant("float32"), tmp_path / "cache")
    (files.path / "chat_template.jinja").write_text("{{ messages }}")
    again = make_variant(files, Variant("float32"), tmp_path / "cache")
    assert again.path != made.path
    assert (again.path / "chat_template.jinja").is_file()


def test_what_is_no_adapter_is_refused(files: ModelFiles, tmp_path: Path) -> None:
    def refused(path: Path, error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            make_variant(files, Variant(adapter=str(path)), tmp_path / "cache")
        assert not list((tmp_path / "cache" / "models").iterdir())

    refused(tmp_path / "nowhere", UnknownModel, r"mlx_lm\.lora")
    torn = make_adapter(tmp_path / "torn", files.path) / "adapters.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    refused(tmp_path / "torn", BrokenModel, r"torn/adapters\.safetensors: truncated")
    torn.unlink()
    refused(tmp_path / "torn", BrokenModel, r"adapters\.safetensors is missing")


def test_a_variant_of_what_is_partly_here_has_that_part(files: ModelFiles, tmp_path: Path) -> None:
    base = part_of(files.path, partials_directory(tmp_path / "cache") / "base")
    fill(base, files.path, base.needed(range(1, 3)))
    with pytest.raises(BrokenModel, match="holds only some of tiny"):
        make_variant(base.files, Variant("bfloat16"), tmp_path / "cache")
    adapter = make_adapter(tmp_path / "mine", files.path)
    wanted = Variant("bfloat16", adapter=str(adapter))
    made = make_partial_variant(base, wanted, tmp_path / "cache")
    assert (made.name, made.source) == (
        "tiny+bfloat16+mine",
        f"{base.files.source}?dtype=bfloat16&adapter={adapter}",
    )
    partial = Partial.open(made.path)
    assert partial.layers == (range(1, 3),)
    assert not partial.missing(name for name in partial.tensors if name.startswith("adapter."))
    whole = make_variant(files, wanted, tmp_path / "cache")
    assert partial.fingerprint == read_card(whole).fingerprint
    fill(partial, whole.path, partial.tensors)
    with partial.filling(lambda: True) as filling:
        filling.check_files("a copy", lambda what, done, total: None)
    assert partial.is_whole
    assert make_partial_variant(base, wanted, tmp_path / "cache") == made
