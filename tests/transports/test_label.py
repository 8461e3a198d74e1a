import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.base import Frame
from meshinfer.transports.errors import ProtocolError
from meshinfer.transports.label import LABEL_BYTES, Kind, Label, bare, labelled, unlabelled
from tests.transports.conftest import Ledger

NUMBER = st.integers(0, 2**64 - 1)


@given(st.sampled_from(Kind), NUMBER, NUMBER, NUMBER, st.binary(max_size=40))
def test_a_label_comes_off_as_it_was_put_on(
    kind: Kind, number: int, known: int, more: int, head: bytes
) -> None:
    label, payload = Label(kind, number, known, more), memoryview(b"payload")
    assert unlabelled(labelled(label, Frame(head, (payload,)))) == (label, Frame(head, (payload,)))
    assert unlabelled(bare(label)) == (label, Frame(b""))


def test_the_payload_is_not_copied() -> None:
    payload = bytearray(10)
    sent = labelled(Label(Kind.DATA, 1, 2), Frame(b"head", (memoryview(payload),)))
    assert sent.payload[0].obj is payload


@pytest.mark.parametrize("head", [b"", b"x" * (LABEL_BYTES - 1), b"\xff" * LABEL_BYTES])
def test_what_has_no_label_breaks_the_rules_and_costs_no_memory(head: bytes) -> None:
    ledger = Ledger()
    buffer = ledger.take(4)
    with pytest.raises(ProtocolError, match="without a label"):
        unlabelled(Frame(head, (buffer.view,), buffer))
    assert ledger.out_bytes == 0
