import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from meshinfer.model.pieces import PIECE_BYTES, cut
from meshinfer.model.safetensors import StoredTensor


@given(sizes=st.lists(st.integers(0, 3 * PIECE_BYTES), max_size=5))
def test_pieces_cover_each_tensor_once_in_order(sizes: list[int]) -> None:
    tensors, offset = [], 100
    for number, size_bytes in enumerate(sizes):
        tensors.append(StoredTensor(str(number), "U8", (size_bytes,), Path("m"), offset, size_bytes))
        offset += size_bytes
    pieces = list(cut(reversed(tensors)))
    assert [piece.offset for piece in pieces] == sorted(piece.offset for piece in pieces)
    for tensor in tensors:
        mine = [piece for piece in pieces if piece.tensor == tensor.name]
        assert sum(piece.size_bytes for piece in mine) == tensor.size_bytes
        assert all(0 < piece.size_bytes <= PIECE_BYTES for piece in mine)
        assert all(one.end == next_one.offset for one, next_one in itertools.pairwise(mine))
