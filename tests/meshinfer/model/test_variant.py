import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.errors import BrokenModel, UnknownModel, UnsupportedModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.variant import DTYPES, KV_BITS, Variant, make_variant, read_variant, split_variant
from tests.tiny import make_tiny_model


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    path = make_tiny_model(tmp_path / "tiny")
    return ModelFiles("tiny", f"dir:{path}", path)


def adapter(path: Path) -> Path:
    path.mkdir()
    (path / "adapter_config.json").write_text("{}")
    (path / "adapters.safetensors").write_bytes(b"weights")
    return path


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
    path = adapter(tmp_path / "my adapter")
    made = make_variant(files, Variant(adapter=str(path)), tmp_path / "cache")
    assert made.name == "tiny+my-adapter"
    assert (made.path / "adapters.safetensors").read_bytes() == b"weights"
    (path / "adapters.safetensors").write_bytes(b"trained further")
    again = make_variant(files, Variant(adapter=str(path)), tmp_path / "cache")
    assert again.path != made.path
    assert (made.path / "adapters.safetensors").read_bytes() == b"weights"


def test_where_an_adapter_lies_makes_no_difference(files: ModelFiles, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    here, there = (adapter(tmp_path / path) for path in ("mine", "there/mine"))
    made = [make_variant(files, Variant(adapter=str(path)), tmp_path / "cache") for path in (here, there)]
    assert made[0].path == made[1].path


def test_what_is_no_adapter_is_refused(files: ModelFiles, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"mlx_lm\.lora"):
        make_variant(files, Variant(adapter=str(tmp_path / "nowhere")), tmp_path / "cache")
    (adapter(tmp_path / "torn") / "adapters.safetensors").unlink()
    with pytest.raises(BrokenModel, match=r"adapters\.safetensors is missing"):
        make_variant(files, Variant(adapter=str(tmp_path / "torn")), tmp_path / "cache")


VARIANTS = st.builds(
    Variant,
    st.sampled_from(("", *DTYPES)),
    st.sampled_from((0, *KV_BITS)),
    st.sampled_from(("", "./a+b", "/x y")),
)


@given(VARIANTS)
def test_what_a_source_says_is_read_again(variant: Variant) -> None:
    text = f"org/name@v1?{variant}" if str(variant) else "org/name@v1"
    assert split_variant(text) == ("org/name@v1", variant)


@pytest.mark.parametrize(
    "wanted", ["m?dtype=int8", "m?kv_bits=5", "m?kv_bits=-8", "m?kv_bits=x", "m?adaptor=x"]
)
def test_what_is_no_variant_is_refused(wanted: str) -> None:
    with pytest.raises(UnsupportedModel, match=r"give one of|question mark"):
        split_variant(wanted)


@pytest.mark.parametrize("said", [1, {"dtype": "float32"}, {"dtype": 1, "kv_bits": 0, "adapter": ""}])
def test_a_config_that_says_nonsense_is_broken(said: object) -> None:
    with pytest.raises(BrokenModel, match="meshinfer"):
        read_variant({"meshinfer": said})
