"""What one machine's stock gives, another one takes in."""

import hashlib
from pathlib import Path

import pytest

from meshinfer.errors import CorruptTensor, NoLongerWanted, UnknownModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.blueprint import decode
from meshinfer.model.local import fetch_blueprint, receive_blueprint
from meshinfer.model.stock import ModelStock
from tests.tiny import make_tiny_model


def quiet(what: str, done: int, total: int) -> None:
    """Hear nothing."""


def always() -> bool:
    return True


class Pair:
    """A machine that has a model whole, and one that has its blueprint."""

    def __init__(self, scratch: Path) -> None:
        path = make_tiny_model(scratch / "model", file_count=2)
        files, card, _ = fetch_blueprint(str(path), scratch / "a", False, quiet)
        self.fingerprint = card.fingerprint
        self.giver = ModelStock(scratch / "a", False, quiet)
        self.giver.put(self.fingerprint, files)
        content = self.giver.blueprint(self.fingerprint)
        assert content is not None
        self.taken, self.card, _ = receive_blueprint(
            content, self.fingerprint, "tiny", f"dir:{path}", scratch / "b"
        )
        self.taker = ModelStock(scratch / "b", False, quiet)
        self.taker.put(self.fingerprint, self.taken)

    def bring(self, layers: range, sha256: str = "", *, is_lying: bool = False) -> list[str]:
        """Carry over what is missing; return the tensors that were not what they should be.

        is_lying: the giver vouches for whatever it reads.
        """
        missing = self.taker.missing(self.fingerprint, layers)
        hashes = dict(self.giver.held(self.fingerprint, tuple(missing)))
        bad = []
        with self.taker.intake(self.fingerprint, layers, always) as intake:
            for name, size_bytes in missing.items():
                whole = self.giver.read(self.fingerprint, name, 0, size_bytes)
                assert whole is not None
                told = hashlib.sha256(whole).hexdigest() if is_lying else sha256 or hashes[name]
                for begin in range(0, size_bytes, 1000):
                    data = self.giver.read(self.fingerprint, name, begin, min(1000, size_bytes - begin))
                    assert data is not None
                    intake.write(name, begin, data)
                if not intake.finish(name, told, "the giver"):
                    bad.append(name)
        return bad


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_layers_come_over_and_are_given_on(pair: Pair) -> None:
    assert pair.taker.held(pair.fingerprint, ("model.norm.weight",)) == ()
    assert pair.bring(range(1, 3)) == []
    assert pair.taker.missing(pair.fingerprint, range(1, 3)) == {}
    name = "model.layers.1.mlp.up_proj.weight"
    assert pair.taker.held(pair.fingerprint, (name,)) == pair.giver.held(pair.fingerprint, (name,))
    assert pair.taker.read(pair.fingerprint, name, 4, 40) == pair.giver.read(pair.fingerprint, name, 4, 40)


def test_only_what_the_layers_need_is_missing(pair: Pair) -> None:
    inside = sum(pair.taker.missing(pair.fingerprint, range(1, 3)).values())
    assert inside == sum(pair.card.layer_bytes[1:3])
    head = sum(pair.taker.missing(pair.fingerprint, range(1)).values())
    assert head == pair.card.layer_bytes[0] + pair.card.embedding_bytes


def test_what_is_not_here_is_not_given(pair: Pair) -> None:
    other = "0" * 32
    for stock in (pair.giver, pair.taker):
        assert stock.blueprint(other) is None
        assert stock.held(other, ("model.norm.weight",)) == ()
        assert stock.read(other, "model.norm.weight", 0, 4) is None
    assert pair.taker.read(pair.fingerprint, "model.norm.weight", 0, 4) is None
    assert pair.giver.read(pair.fingerprint, "nothing", 0, 4) is None
    assert pair.giver.read(pair.fingerprint, "model.norm.weight", 0, 1 << 20) is None


def test_a_partial_model_gives_the_blueprint_that_it_came_from(pair: Pair) -> None:
    content = pair.taker.blueprint(pair.fingerprint)
    assert content == pair.giver.blueprint(pair.fingerprint)
    assert content is not None
    assert decode(content, pair.fingerprint).fingerprint == pair.fingerprint


def test_what_hashes_to_something_else_is_not_kept(pair: Pair) -> None:
    missing = pair.taker.missing(pair.fingerprint, range(1, 2))
    assert pair.bring(range(1, 2), sha256="0" * 64) == list(missing)
    assert pair.taker.missing(pair.fingerprint, range(1, 2)) == missing


def test_an_intake_takes_nothing_after_its_end(pair: Pair) -> None:
    with pair.taker.intake(pair.fingerprint, range(1), always) as intake:
        pass
    with pytest.raises(NoLongerWanted):
        intake.write("model.layers.0.mlp.up_proj.weight", 0, memoryview(b"1234"))
    with pytest.raises(NoLongerWanted):
        intake.finish("model.layers.0.mlp.up_proj.weight", "0" * 64, "the giver")


def test_a_whole_file_that_is_not_what_it_must_be_is_thrown_away(pair: Pair, tmp_path: Path) -> None:
    # The giver's disk has turned a bit since it was hashed.
    file = tmp_path / "model" / "model-00001-of-00002.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    assert len(pair.bring(range(4))) == 1
    with pytest.raises(CorruptTensor, match="model-00001-of-00002"):
        pair.bring(range(4), is_lying=True)


def test_what_no_peer_has_and_no_hub_is_said(pair: Pair) -> None:
    with pytest.raises(UnknownModel, match="on another machine"):
        pair.taker.complete(pair.fingerprint, range(2), quiet, always)


def test_a_model_that_is_here_whole_misses_nothing(pair: Pair) -> None:
    assert pair.giver.missing(pair.fingerprint, range(4)) == {}
    assert isinstance(pair.taken, ModelFiles)
