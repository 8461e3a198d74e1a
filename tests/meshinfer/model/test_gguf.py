import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshinfer.errors import BrokenModel, ModelError, UnsupportedModel
from meshinfer.model.gguf import first_parts, read_gguf
from tests.gguf import packed_text, small_metadata, small_tensors, write_gguf, write_split_gguf

HIDDEN = 32


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    metadata = small_metadata(layers=1, hidden=HIDDEN, heads=2)
    return write_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf", metadata, small_tensors(metadata))


def header(*parts: bytes, tensors: int = 0, keys: int = 0) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, keys) + b"".join(parts)


def described(shape: tuple[int, ...], kind: int, offset: int = 0, name: str = "t") -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return packed_text(name) + sizes + struct.pack("<IQ", kind, offset)


def key(name: str, kind: int, raw: bytes) -> bytes:
    return packed_text(name) + struct.pack("<I", kind) + raw


def test_metadata_and_tensors_are_read_back(small: Path) -> None:
    gguf = read_gguf(small)
    assert gguf.need("general.architecture", str) == "llama"
    assert gguf.need("llama.attention.layer_norm_rms_epsilon", float) == 1e-5
    assert gguf.need("tokenizer.ggml.merges", list) == ["t h", "th e"]
    assert gguf.get("no.such.key", int, 7) == 7
    tensor = gguf.tensors["blk.0.ffn_gate.weight"]
    assert (tensor.type.name, tensor.shape, tensor.size_bytes) == ("Q4_1", (64, HIDDEN), 64 * 20)
    assert (
        tensor.read()
        == small_tensors(small_metadata(layers=1, hidden=HIDDEN, heads=2))["blk.0.ffn_gate.weight"][2]
    )


def test_mlx_sees_the_same_tensors(small: Path) -> None:
    from meshinfer.model.runtime import prepare_mlx

    prepare_mlx()
    import mlx.core as mx

    theirs: Any = mx.load(str(small))
    ours = read_gguf(small).tensors
    assert {name.removesuffix(".weight") for name in ours} == {name.rpartition(".")[0] for name in theirs}


@pytest.mark.parametrize("kind", [str, list, bool])
def test_metadata_of_another_type_are_not_taken(small: Path, kind: type[Any]) -> None:
    with pytest.raises(BrokenModel, match=r"llama\.block_count is missing or not of type"):
        read_gguf(small).need("llama.block_count", kind)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "torn"),
        (b"GGML" + bytes(40), "not a GGUF file"),
        (header(keys=200_000), "200000 metadata keys"),
        (header(struct.pack("<Q", 2**60), keys=1), "a text of 1152921504606846976 bytes"),
        (header(struct.pack("<Q", 1000), keys=1), "torn"),
        (header(struct.pack("<Q", 2), b"\xff\xfe", keys=1), "not UTF-8"),
        (header(key("a", 77, b""), keys=1), "unknown type 77"),
        (header(key("a", 9, struct.pack("<IQ", 4, 2**40)), keys=1), "array of 1099511627776 items"),
        (header(key("a", 9, struct.pack("<IQ", 4, 1000)), keys=1), "torn"),
        (header(key("a", 9, struct.pack("<IQIQ", 9, 1, 9, 1)), keys=1), "unknown type 9"),
        (header(key("a", 7, b"\1"), key("a", 7, b"\1"), keys=2), "stands there twice"),
        (header(key("general.alignment", 4, struct.pack("<I", 0)), keys=1), "alignment of 0"),
        (header(key("general.alignment", 8, packed_text("x")), keys=1), "alignment of x"),
        (header(described((1,) * 5, 0), tensors=1), "5 dimensions"),
        (header(described((), 0), tensors=1), "0 dimensions"),
        (header(described((0,), 0), tensors=1), "impossible shape"),
        (header(described((2**50,), 0), tensors=1), "impossible shape"),
        (header(described((33,), 2), tensors=1), "33 columns"),
        (header(described((32,), 0), tensors=1), "truncated: t ends at byte"),
        (header(described((1,), 0, offset=2**63), tensors=1), "truncated: t ends at byte"),
        (header(described((1,), 0), described((1,), 0), bytes(99), tensors=2), "tensor t stands there twice"),
    ],
)
def test_a_hostile_header_is_a_broken_model(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    with pytest.raises(BrokenModel, match=complaint):
        read_gguf(file)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), "version 1"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "version 50331648"),
        (
            header(described((256,), 12), tensors=1),
            "t is stored as Q4_K: take a file of type Q4_0, Q4_1, Q8_0, F16, BF16 or F32, or a model in mlx",
        ),
        (header(described((256,), 14), tensors=1), "t is stored as Q6_K"),
        (header(described((256,), 99), tensors=1), "stored as type 99"),
    ],
)
def test_what_is_not_read_here_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    with pytest.raises(UnsupportedModel, match=complaint):
        read_gguf(file)


def test_what_to_use_instead_goes_by_the_models_name(tmp_path: Path) -> None:
    metadata = small_metadata() | {"general.name": "Llama 3.2 1B Instruct"}
    tensors = {"blk.0.ffn_up.weight": ("Q4_K", (1, 256), bytes(144))}
    with pytest.raises(
        UnsupportedModel, match=r"look for mlx-community/Llama-3\.2-1B-Instruct-4bit on Hugging"
    ):
        read_gguf(write_gguf(tmp_path / "m.gguf", metadata, tensors))


def test_six_bits_are_read_where_llama_cpp_puts_them_in_files_of_four(tmp_path: Path) -> None:
    tensors = {"output.weight": ("Q6_K", (2, 256), bytes(420))}
    gguf = read_gguf(write_gguf(tmp_path / "m.gguf", {}, tensors))
    assert gguf.tensors["output.weight"].size_bytes == 420


def test_a_model_may_be_split_over_several_files(tmp_path: Path) -> None:
    metadata = small_metadata()
    tensors = small_tensors(metadata)
    first = write_split_gguf(tmp_path, metadata, tensors, 3)
    gguf = read_gguf(first)
    assert {name: tensor.read() for name, tensor in gguf.tensors.items()} == {
        name: content for name, (_, _, content) in tensors.items()
    }
    assert gguf.need("llama.block_count", int) == 2
    assert first_parts(tmp_path) == [first]


def test_a_split_model_that_lacks_a_file_is_broken_and_the_file_named(tmp_path: Path) -> None:
    first = write_split_gguf(tmp_path, small_metadata(), small_tensors(small_metadata()), 3)
    (tmp_path / "m-00002-of-00003.gguf").unlink()
    with pytest.raises(
        BrokenModel, match=r"m-00002-of-00003\.gguf is missing: m-00001.* the first of 3 files"
    ):
        read_gguf(first)


def test_of_a_split_model_the_first_file_is_to_be_named(tmp_path: Path) -> None:
    first = write_split_gguf(tmp_path, small_metadata(), small_tensors(small_metadata()), 2)
    with pytest.raises(BrokenModel, match=r"is not the first of its 2 files: name m-00001-of-00002\.gguf"):
        read_gguf(tmp_path / "m-00002-of-00002.gguf")
    first.rename(tmp_path / "renamed.gguf")
    with pytest.raises(BrokenModel, match=r"one of 2 files, which must end in -00001-of-00002\.gguf"):
        read_gguf(tmp_path / "renamed.gguf")


def test_files_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    metadata = small_metadata()
    first = write_split_gguf(tmp_path, metadata, small_tensors(metadata), 2)
    second = tmp_path / "m-00002-of-00002.gguf"
    second.write_bytes(first.read_bytes())
    with pytest.raises(BrokenModel, match=r"tensor token_embd\.weight stands in m-00001-of-00002\.gguf too"):
        read_gguf(first)
    write_gguf(second, {"split.no": 1, "split.count": 2}, {})
    with pytest.raises(BrokenModel, match="20 tensors are announced, its 2 files hold 10"):
        read_gguf(first)


@given(
    cut=st.integers(0, 20_000),
    flips=st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), max_size=4),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_does_no_worse_than_a_model_error(
    small: Path, tmp_path: Path, cut: int, flips: list[tuple[int, int]]
) -> None:
    raw = bytearray(small.read_bytes())
    for place, mask in flips:
        raw[place] ^= mask
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(raw[:cut])
    try:
        gguf = read_gguf(damaged)
        for tensor in gguf.tensors.values():
            tensor.read()
    except ModelError:
        pass
