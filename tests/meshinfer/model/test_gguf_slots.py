from pathlib import Path

import pytest

from meshinfer.model.gguf import read_gguf
from meshinfer.model.gguf_slots import FAMILIES, fill_slots, read_shape
from tests.gguf import small_metadata, small_tensors, write_gguf


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_tensor_of_a_family_has_its_place(tmp_path: Path, family: str) -> None:
    metadata = small_metadata(family)
    tensors = small_tensors(metadata)
    gguf = read_gguf(write_gguf(tmp_path / "m.gguf", metadata, tensors))
    filled = fill_slots(gguf, read_shape(gguf))
    assert {tensor.name for tensor in filled.values()} == tensors.keys()
    assert list(filled)[:2] == ["model.embed_tokens.weight", "model.norm.weight"]


@pytest.mark.parametrize(
    ("family", "turned"), [("llama", (4, 2)), ("qwen2", (None, None)), ("qwen3", (None, None))]
)
def test_only_llamas_rows_of_q_and_k_change_places(
    tmp_path: Path, family: str, turned: tuple[int | None, int | None]
) -> None:
    metadata = small_metadata(family)
    shape = read_shape(read_gguf(write_gguf(tmp_path / "m.gguf", metadata, small_tensors(metadata))))
    layer = "model.layers.0.self_attn"
    assert (
        shape.turned_heads(f"{layer}.q_proj.weight"),
        shape.turned_heads(f"{layer}.k_proj.weight"),
    ) == turned
    assert shape.turned_heads(f"{layer}.v_proj.weight") is None
