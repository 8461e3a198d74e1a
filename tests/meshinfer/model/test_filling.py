import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshinfer.errors import CorruptTensor, DiskFull, NoLongerWanted
from meshinfer.model import pieces as cutting
from meshinfer.model.filling import Filling
from meshinfer.model.partial import Partial
from meshinfer.model.pieces import Piece, cut
from tests.meshinfer.model.parts import content_of, fill, part_of
from tests.tiny import make_tiny_model

ONE = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def partial(whole: Path, tmp_path: Path) -> Partial:
    return part_of(whole, tmp_path / "part")


@pytest.fixture
def filling(partial: Partial) -> Iterator[Filling]:
    with partial.filling(lambda: True) as filling:
        yield filling


@pytest.fixture
def pieces(partial: Partial, monkeypatch: pytest.MonkeyPatch) -> list[Piece]:
    """Of one tensor, cut small."""
    monkeypatch.setattr(cutting, "PIECE_BYTES", 5000)
    return list(cut([partial.tensors[ONE]]))


def sha256(whole: Path, partial: Partial) -> str:
    tensor = partial.tensors[ONE]
    content = (whole / tensor.file.name).read_bytes()[tensor.offset : tensor.end]
    return hashlib.sha256(content).hexdigest()


def test_a_tensor_counts_once_it_is_finished_and_right(
    whole: Path, partial: Partial, filling: Filling, pieces: list[Piece]
) -> None:
    for piece in pieces:
        filling.write(piece, content_of(whole, piece))
    assert not partial.has(ONE)
    filling.finish(ONE, sha256(whole, partial), "peer b")
    assert partial.sha256_of(ONE) == sha256(whole, partial)


@given(order=st.permutations(range(7)), again=st.lists(st.integers(0, 6), max_size=4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_may_come_in_any_order_and_twice(
    whole: Path, partial: Partial, filling: Filling, pieces: list[Piece], order: list[int], again: list[int]
) -> None:
    assert len(pieces) == 7
    filling.forget([partial.tensors[ONE]])
    for number in again:
        filling.write(pieces[number], b"\xff" * pieces[number].size_bytes)
    for number in [*order, *again]:
        filling.write(pieces[number], memoryview(content_of(whole, pieces[number])))
    filling.finish(ONE, sha256(whole, partial), "peer b")


def test_pieces_may_come_from_several_threads(
    whole: Path, partial: Partial, filling: Filling, pieces: list[Piece]
) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda piece: filling.write(piece, content_of(whole, piece)), pieces * 3))
    filling.finish(ONE, sha256(whole, partial), "peer b")


def test_other_bytes_than_announced_are_named_with_their_giver_and_forgotten(
    whole: Path, partial: Partial, filling: Filling, pieces: list[Piece]
) -> None:
    for piece in pieces:
        filling.write(piece, content_of(whole, piece))
    filling.write(pieces[3], b"\xff" * pieces[3].size_bytes)
    with pytest.raises(CorruptTensor, match=f"{ONE} from peer b has the SHA-256") as raised:
        filling.finish(ONE, sha256(whole, partial), "peer b")
    assert (raised.value.tensor, raised.value.giver) == (ONE, "peer b")
    assert not partial.has(ONE)
    for piece in pieces:
        filling.write(piece, content_of(whole, piece))
    filling.finish(ONE, sha256(whole, partial), "peer c")
    assert partial.has(ONE)


def test_a_tensor_that_is_there_is_not_written_again(
    whole: Path, partial: Partial, filling: Filling, pieces: list[Piece]
) -> None:
    for piece in pieces:
        filling.write(piece, content_of(whole, piece))
    filling.finish(ONE, None, "peer b")
    filling.write(pieces[0], b"\xff" * pieces[0].size_bytes)
    filling.finish(ONE, "0" * 64, "peer c")
    assert content_of(partial.files.path, pieces[0]) == content_of(whole, pieces[0])


def test_a_tensor_with_a_gap_is_not_finished(whole: Path, filling: Filling, pieces: list[Piece]) -> None:
    for piece in pieces[:2] + pieces[3:]:
        filling.write(piece, content_of(whole, piece))
    with pytest.raises(ValueError, match="not all have come"):
        filling.finish(ONE, None, "peer b")


@pytest.mark.parametrize(
    "change", [{"offset": 0}, {"file": "config.json"}, {"size_bytes": 4999}, {"size_bytes": 1 << 40}]
)
def test_a_piece_that_is_none_is_a_mistake_of_ours(
    filling: Filling, pieces: list[Piece], change: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match="are no Piece"):
        filling.write(replace(pieces[0], **change), bytes(5000))  # type: ignore[arg-type]


def test_a_disk_that_runs_full_is_named_and_the_rest_stays(
    whole: Path, partial: Partial, filling: Filling, pieces: list[Piece], monkeypatch: pytest.MonkeyPatch
) -> None:
    filling.write(pieces[0], content_of(whole, pieces[0]))

    def refuse(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse)
        with pytest.raises(DiskFull, match="tiny needs 5,000 bytes"):
            filling.write(pieces[1], content_of(whole, pieces[1]))
    for piece in pieces[1:]:
        filling.write(piece, content_of(whole, piece))
    filling.finish(ONE, sha256(whole, partial), "peer b")


def test_nobody_writes_behind_the_back_of_the_next(
    whole: Path, partial: Partial, pieces: list[Piece]
) -> None:
    with partial.filling(lambda: True) as filling:
        filling.write(pieces[0], content_of(whole, pieces[0]))
    with pytest.raises(NoLongerWanted, match="is no longer filled"):
        filling.write(pieces[0], bytes(pieces[0].size_bytes))
    with pytest.raises(NoLongerWanted, match="is no longer filled"):
        filling.finish(ONE, None, "peer b")
    assert content_of(partial.files.path, pieces[0]) == content_of(whole, pieces[0])


def test_a_file_that_came_whole_but_wrong_is_fetched_again(whole: Path, partial: Partial) -> None:
    fill(partial, whole, partial.tensors)
    tensor = partial.tensors[ONE]
    with tensor.file.open("r+b") as stream:
        stream.seek(tensor.offset)
        stream.write(b"\xa5\xa5")
    with (
        partial.filling(lambda: True) as filling,
        pytest.raises(CorruptTensor, match=r"all of model\.safetensors came, the last from peer b"),
    ):
        filling.check_files("peer b", lambda *report: None)
    assert not any(partial.has(name) for name in partial.tensors)
    fill(partial, whole, partial.tensors)
    with partial.filling(lambda: True) as filling:
        filling.check_files("peer c", lambda *report: None)
    assert partial.is_whole
