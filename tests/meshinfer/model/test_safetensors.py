import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshinfer.errors import BrokenModel
from meshinfer.model.safetensors import read_header, read_tensors, write_file
from tests.tiny import make_tiny_model


def write_raw(file: Path, header: object, data: bytes = b"", announced: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if announced is None else announced
    file.write_bytes(length.to_bytes(8, "little") + text + data)
    return file


def entry(dtype: str = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_what_was_written_is_read_back_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    contents = [memoryview(b"12345678"), memoryview(b"ab")]
    write_file(file, [("a", "F32", (2,)), ("b", "U8", (2, 1))], iter(contents))
    a, b = read_header(file)
    assert (a.name, a.dtype, a.shape, a.size_bytes) == ("a", "F32", (2,), 8)
    assert (b.name, b.dtype, b.shape, b.size_bytes) == ("b", "U8", (2, 1), 2)
    raw = file.read_bytes()
    assert raw[a.offset :][:8] == b"12345678"
    assert raw[b.offset :] == b"ab"


def test_the_reference_implementation_reads_what_we_write(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    file = tmp_path / "model.safetensors"
    write_file(file, [("a", "I32", (2, 1))], iter([memoryview(b"\1\0\0\0\2\0\0\0")]))
    assert load_file(file)["a"].tolist() == [[1], [2]]


def test_a_header_that_announces_more_than_was_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"announces 8 bytes, 2 were written"):
        write_file(tmp_path / "x", [("a", "F32", (2,))], iter([memoryview(b"ab")]))


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (b"{not json", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": \xff}', "not JSON"),
        ([], "object is expected"),
        ({"a": 1}, "lacks dtype"),
        ({"a": {"dtype": "F32", "shape": [2]}}, "lacks dtype"),
        ({"a": entry(dtype="F33")}, "unknown type F33"),
        ({"a": entry(shape=(-1,))}, "impossible shape"),
        ({"a": entry(shape=(True, 2))}, "impossible shape"),
        ({"a": entry(shape=[1] * 40)}, "impossible shape"),
        ({"a": entry(offsets=(0, 4))}, "needs 8 bytes; its place has 4"),
        ({"a": entry(offsets=(-8, 0))}, "its place has 8"),
        ({"a": entry(offsets=(8, 16))}, "truncated: a ends at byte"),
    ],
)
def test_a_torn_header_is_named(tmp_path: Path, header: object, complaint: str) -> None:
    file = write_raw(tmp_path / "model.safetensors", header, b"12345678")
    with pytest.raises(BrokenModel, match=complaint):
        read_header(file)


@pytest.mark.parametrize("length", [0, 3, 7])
def test_a_file_shorter_than_its_length_field_is_torn(tmp_path: Path, length: int) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"\1" * length)
    with pytest.raises(BrokenModel, match="torn header"):
        read_header(file)


def test_a_header_longer_than_the_file_is_not_read(tmp_path: Path) -> None:
    file = write_raw(tmp_path / "model.safetensors", {}, announced=2**63)
    with pytest.raises(BrokenModel, match="9223372036854775808 bytes announced"):
        read_header(file)


@given(
    cut=st.integers(0, 4000), flips=st.lists(st.tuples(st.integers(0, 3999), st.integers(1, 255)), max_size=4)
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_does_worse_than_broken_model(
    tmp_path: Path, cut: int, flips: list[tuple[int, int]]
) -> None:
    file = make_tiny_model(tmp_path / "whole", layers=1, hidden=16) / "model.safetensors"
    raw = bytearray(file.read_bytes()[:4000])
    for place, mask in flips:
        raw[place] ^= mask
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(raw[:cut])
    with pytest.raises(BrokenModel):
        read_header(damaged)


def test_tensors_of_several_files_come_as_one_table(tmp_path: Path) -> None:
    one = read_tensors(make_tiny_model(tmp_path / "one"))
    three = read_tensors(make_tiny_model(tmp_path / "three", file_count=3))
    assert one.keys() == three.keys()
    assert {tensor.file.name for tensor in three.values()} == {
        f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)
    }


def test_a_file_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path, file_count=3)
    (path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(BrokenModel, match=r"model-00002-of-00003\.safetensors is missing"):
        read_tensors(path)


def test_without_an_index_the_file_names_still_tell_how_many_there_are(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path, file_count=3)
    (path / "model.safetensors.index.json").unlink()
    (path / "model-00003-of-00003.safetensors").unlink()
    with pytest.raises(BrokenModel, match=r"model-00003-of-00003\.safetensors is missing"):
        read_tensors(path)


def test_a_tensor_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path, file_count=2)
    index = path / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.ghost"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(content))
    with pytest.raises(BrokenModel, match=r"model\.ghost"):
        read_tensors(path)


def test_a_directory_without_weights_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(BrokenModel, match=r"no model\*\.safetensors"):
        read_tensors(tmp_path)


def test_a_tensor_in_two_files_is_named(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path, layers=1)
    (path / "model-extra.safetensors").write_bytes((path / "model.safetensors").read_bytes())
    with pytest.raises(BrokenModel, match=r"is both in model-extra\.safetensors and in model\.safetensors"):
        read_tensors(path)
