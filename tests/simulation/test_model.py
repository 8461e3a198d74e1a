import pytest

from meshinfer.actors.mail import LocalModel
from tests.simulation.model import fake_model


def test_the_same_arguments_make_the_same_model() -> None:
    model = LocalModel(*fake_model(3))
    assert model.card == fake_model(3)[1]
    assert model.card.layer_count == 3
    assert model.card.total_bytes == 400_000_000
    assert len(model.card.fingerprint) == 32
    assert model.card.fingerprint != fake_model(4)[1].fingerprint
    assert model.files.name == model.card.name


def test_layers_may_differ_in_size() -> None:
    assert fake_model(2, [10, 20])[1].layer_bytes == (10, 20)
    with pytest.raises(ValueError, match="2 sizes for 3 layers"):
        fake_model(3, [10, 20])


def test_texts_become_tokens_and_tokens_texts() -> None:
    tokenizer = fake_model()[2]
    assert tokenizer.encode("Hé") == (72, 195, 169)
    assert tokenizer.encode_chat([{"role": "user", "content": "Hi"}]) == tuple(b"user: Hi\n")
    detokenizer = tokenizer.detokenizer()
    assert detokenizer.add(7) + detokenizer.add(999) + detokenizer.finish() == tokenizer.decode((7, 999))
