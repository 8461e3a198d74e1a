import contextlib
import math
from dataclasses import dataclass, replace
from typing import Any, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer import freight, handover, wire
from meshinfer import messages as m
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, LinkMeasure, PeerRecord, Phase, Resident, Version
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Frame
from meshinfer.transports.errors import ProtocolError

A, B = PeerId("a" * 32), PeerId("b" * 32)
SESSION = m.SessionId(f"{A}-1-1.1")
TARGET = Target(Epoch(3), Digest("d" * 32))
SAMPLING = m.Sampling(0.8, 0.9, 40, 0.05, 1.1, 0.5, -0.5, 32, ((7, -100.0), (9, 3.5)), 2**63)
OPENING = m.Opening(SAMPLING, 12, 64, (2, 0), 3)
PLAN = Plan(Epoch(3), "tiny", "f" * 32, Ring(4, (Stage(A, Run(1), 0, 1), Stage(B, Run(2), 1, 4))))
RECORD = PeerRecord(
    peer=A,
    run=Run(1),
    version=Version(5),
    name="mac",
    release="0.1",
    addresses=("tcp://h:1",),
    api="http://h:2",
    memory_bytes=99,
    models=("f" * 32,),
    resident=(Resident("f" * 32, 0, 1),),
    links=(LinkMeasure(B, 200, 3000, is_up=False),),
    follows=(Follow("f" * 32, PLAN.target, Phase.READY, 7),),
    fault="!",
)
DESIRED = DesiredModel(0, 1, A, "tiny", "dir:/x", "f" * 32, -1)
LINE = (A, 1, 2, 0, 1, 5)
HIDDEN = m.Tensor("hidden", "bfloat16", (1, 3, 4), memoryview(bytes(range(24))))
SIDE = m.Tensor("side", "float32", (2,), memoryview(bytes(range(8))))

PIECE = m.Tensor("", "uint8", (5,), memoryview(b"bytes"))
HOLDING = m.Holding(A, 0, 1, 12, True, 11)


@dataclass
class LentBuffer:
    """Memory that a payload came in."""

    view: memoryview

    def release(self) -> None:
        """Give it back."""


OTHER = m.SessionId("other.1")
PREFIXED = replace(OPENING, prefix=m.Prefix(OTHER, 20, is_taken=True))
CONSTRAINED = replace(OPENING, constraint=m.Constraint(m.ConstraintKind.REGEX, "é+"), top_logprobs=20)
CHUNK = m.Row(SESSION, A, 0, (1, 2, 3), OPENING, is_sampled=False, is_marked=True)
STEP = m.Row(SESSION, A, 3, (4,), None, is_sampled=True)
OTHER_STEP = m.Row(OTHER, B, 8, (5,), None, is_sampled=True)
LADEN = m.Activation(
    TARGET, (replace(CHUNK, opening=PREFIXED),), 1, (HIDDEN, SIDE), spent_us=30, slowest_us=20
)

ASK_KEY = handover.AskKey("0badcafe", b"p" * 32)

MESSAGES: list[wire.Message] = [
    m.Hello(A, 1, "mac", "home", "0.1", "tcp://h:1"),
    m.Farewell("going", leaving=True),
    m.Pairing(3, 2, 1),
    m.FabricOffer("jaccl", (("cable", "rdma_en5"),)),
    m.FabricAnswer(("rdma_en5", "rdma_en3")),
    m.ClearOffer(b"o" * 32),
    m.ClearAnswer(b"a" * 32),
    m.Relayed(B, m.Hello(A, 1, "mac", "home", "0.1", "tcp://h:1"), 2, b"head", (PIECE,)),
    m.Unreachable(B),
    SyncDigest((LINE,), (DESIRED,)),
    SyncDelta((LINE,), (RECORD,), (DESIRED,), (PLAN,), (B,), (TARGET,)),
    Parcel(b"\x00packet\xff"),
    m.Submit(SESSION, TARGET, A, (1, 2, 3), OPENING),
    m.Submit(SESSION, TARGET, A, (1, 2, 3), OPENING, is_resumed=True),
    m.Submit(SESSION, TARGET, A, (1, 2, 3), CONSTRAINED),
    m.Recall(SESSION, TARGET, A, (HOLDING,)),
    m.Recalled(SESSION, TARGET, (HOLDING,)),
    m.Rebuild(SESSION, TARGET, A, (1, 2), OPENING, (m.Fill(1, 3, B),)),
    m.Rebuilt(SESSION, TARGET),
    m.Activation(TARGET, (CHUNK,), 1, (HIDDEN,), until_layer=3),
    LADEN,
    m.Activation(TARGET, (STEP, OTHER_STEP), 0),
    m.StepDone(TARGET, (m.Stepped(SESSION, 4, 99, m.Finish.STOP),), 30, 20),
    m.StepDone(TARGET, (m.Stepped(SESSION, 4, None, None), m.Stepped(OTHER, 3, 7, None)), 30, 20),
    m.Token(SESSION, TARGET, 4, 99, m.Finish.LENGTH),
    m.Queued(SESSION, TARGET, 3),
    m.Token(SESSION, TARGET, 4, 99, None, m.TokenLogprobs(-0.5, ((7, -0.25), (99, -0.5)))),
    m.Admitted(SESSION, TARGET),
    m.Admitted(SESSION, TARGET, cached_tokens=7),
    m.Advanced(SESSION, TARGET),
    m.Refused(SESSION, TARGET, "full", True),
    m.Cancel(SESSION, TARGET),
    m.Release(SESSION, TARGET),
    m.Release(SESSION, TARGET, is_over=False),
    m.Release(SESSION, TARGET, retained_tokens=40),
    m.WrongEpoch(SESSION, TARGET, None),
    m.Failed(SESSION, TARGET, B, "out of memory", False),
    m.AskTimes(m.request_of(SESSION)),
    m.Times(m.request_of(SESSION), m.LegTimes(1, 2, 3, 4, 5, 6, 7, 8), m.LegTimes(*[0] * 8)),
    freight.AskBlueprint("f" * 32, 5),
    freight.BlueprintPart("f" * 32, 5, 10, (PIECE,)),
    freight.AskHeld("f" * 32, ("norm.weight", "lm_head.weight")),
    freight.Held("f" * 32, ("norm.weight",), ("0" * 64,)),
    freight.AskPiece("f" * 32, "norm.weight", 0, 5),
    freight.PieceOf("f" * 32, "norm.weight", 0, (PIECE,)),
    ASK_KEY,
    handover.GiveKey("0badcafe", b"p" * 32, b"sealed"),
]


@pytest.mark.parametrize("message", [m.Rebuilt(SESSION, TARGET), "laden"], ids=["bare", "laden"])
def test_what_is_passed_on_comes_back_as_it_was(message: wire.Message | str) -> None:
    inner = message if not isinstance(message, str) else LADEN
    sender = m.Hello(A, 1, "mac", "home", "0.1", "tcp://h:1")
    passed_on = received(wire.encode(wire.enclose(inner, B, sender, 3)))
    lent = bytearray(b"".join(passed_on.payload))
    buffer = LentBuffer(memoryview(lent)) if lent else None
    decoded = wire.decode(Frame(passed_on.head, (buffer.view,) if buffer else (), buffer))
    assert isinstance(decoded.message, m.Relayed)
    assert (decoded.message.to, decoded.message.sender) == (B, sender)
    assert wire.disclose(decoded.message, decoded.buffer) == wire.Decoded(inner, buffer)


@pytest.mark.parametrize("inner", [m.Pairing(1), m.Farewell("going"), m.Unreachable(A), ASK_KEY])
def test_what_only_neighbours_say_is_not_taken_from_afar(inner: wire.Message) -> None:
    sender = m.Hello(A, 1, "mac", "home", "0.1", "tcp://h:1")
    with pytest.raises(ProtocolError, match="from mac came over a relay"):
        wire.disclose(wire.enclose(inner, B, sender, 3), None)


def received(frame: Frame) -> Frame:
    """The frame as the other side gets it: one payload."""
    payload = b"".join(frame.payload)
    return Frame(frame.head, (memoryview(payload),) if payload else ())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was(message: wire.Message) -> None:
    assert wire.decode(received(wire.encode(message))).message == message


def test_every_message_has_a_tag_and_is_tried_here() -> None:
    assert {type(message) for message in MESSAGES} == set(wire.TAGS.values())


def test_tags_are_what_they_were() -> None:
    names = [wire.TAGS[tag].__name__ for tag in sorted(wire.TAGS)]
    assert names == [
        "Hello",
        "Farewell",
        "Submit",
        "Activation",
        "StepDone",
        "Token",
        "Admitted",
        "Refused",
        "Cancel",
        "Release",
        "WrongEpoch",
        "Failed",
        "SyncDigest",
        "SyncDelta",
        "Parcel",
        "Recall",
        "Recalled",
        "Rebuild",
        "Rebuilt",
        "Queued",
        "Advanced",
        "Relayed",
        "Unreachable",
        "AskBlueprint",
        "BlueprintPart",
        "AskHeld",
        "Held",
        "AskPiece",
        "PieceOf",
        "AskTimes",
        "Times",
        "Pairing",
        "FabricOffer",
        "FabricAnswer",
        "ClearOffer",
        "ClearAnswer",
        "AskKey",
        "GiveKey",
    ]


def test_tensors_are_lent_on_the_way_out_and_views_on_the_way_in() -> None:
    message = m.Activation(TARGET, (STEP,), 1, (HIDDEN,))
    frame = wire.encode(message)
    assert frame.payload[0].obj is HIDDEN.data.obj
    payload = memoryview(bytearray(HIDDEN.data))
    decoded = wire.decode(Frame(frame.head, (payload,))).message
    assert isinstance(decoded, m.Activation)
    assert decoded.tensors[0].data.obj is payload.obj


class Lent:
    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.releases = 0

    def release(self) -> None:
        self.releases += 1


def head(tag: object, fields: object, tensors: object = ()) -> bytes:
    return cast("bytes", msgpack.packb([tag, fields, tensors]))


TOKEN = {"session": "s", "target": {"epoch": 1, "digest": "d"}, "position": 1, "token": 1, "finish": None}


@pytest.mark.parametrize(
    ("raw", "payload", "words"),
    [
        (b"", b"", "no msgpack"),
        (b"\xc1", b"", "no msgpack"),
        (head(1, {}) + b"\x00", b"", "no msgpack"),
        (b"\x91" * 5000, b"", "no msgpack"),
        (head(1, []), b"", "Hello from a peer is not valid"),
        (b"\x93\xa1\xff\x80\x90", b"", "no msgpack"),
        (b"\x93\x05\x80\x91\x93\xa1\xff\xa5uint8\x90", b"", "tensor descriptors are not valid"),
        (b"\x90", b"", "no msgpack of \\[tag, fields, tensors\\]"),
        (b"\x94" + head(1, {})[1:] + b"\x00", b"", "no msgpack of \\[tag, fields, tensors\\]"),
        (head(999, {}), b"", "unknown message tag 999"),
        (head("1", {}), b"", "unknown message tag '1'"),
        (head(7, {}), b"", "missing required field `session`"),
        (head(7, {**TOKEN, "position": "x"}), b"", "\\$.position"),
        (head(7, {**TOKEN, "finish": "never"}), b"", "\\$.finish"),
        (head(7, TOKEN), b"1234", "tensors of 0 bytes are announced, 4 came"),
        (head(7, TOKEN, [["h", "uint8", [4]]]), b"1234", "Token carries 4 bytes of payload, it takes none"),
        (head(5, {}, [["h", "float32", [1]]]), b"123", "tensors of 4 bytes are announced, 3 came"),
        (head(5, {}, [["h", "float99", [1]]]), b"", "unknown dtype 'float99'"),
        (head(5, {}, [["h", "float32", [-1]]]), b"", "impossible shape"),
        (head(5, {}, [["h", "float32", [1] * 9]]), b"", "impossible shape"),
        (head(5, {}, [["h", "float32", [1 << 50]]]), b"", "impossible shape"),
        (head(5, {}, [["h", "uint8", [0]]] * 17), b"", "17 tensors, limit 16"),
        (head(5, {}, [["h", "float32"]]), b"", "tensor descriptors are not valid"),
    ],
)
def test_what_is_no_message_is_named_and_its_memory_given_back(
    raw: bytes, payload: bytes, words: str
) -> None:
    buffer = Lent(memoryview(bytearray(payload)))
    with pytest.raises(ProtocolError, match=words):
        wire.decode(Frame(raw, (buffer.view,) if payload else (), buffer))
    assert buffer.releases == 1


def test_a_ring_with_a_gap_cannot_come_over_the_wire() -> None:
    frame = wire.encode(SyncDelta(plans=(PLAN,)))
    tag, fields, tensors = msgpack.unpackb(frame.head)
    fields["plans"][0]["ring"]["stages"][1]["first_layer"] = 2
    with pytest.raises(ProtocolError, match="begins at 1"):
        wire.decode(Frame(head(tag, fields, tensors)))


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.binary(max_size=200)
    | JSONISH.map(msgpack.packb)
    | st.tuples(st.integers(0, 1 + max(wire.TAGS)), JSONISH).map(lambda pair: head(pair[0], pair[1]))
)
def test_no_bytes_do_worse_than_a_protocol_error(raw: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        wire.decode(Frame(raw))


@given(st.sampled_from(MESSAGES), st.data())
def test_a_message_with_one_part_exchanged_does_no_worse(message: wire.Message, data: st.DataObject) -> None:
    tag, fields, tensors = msgpack.unpackb(wire.encode(message).head)
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(JSONISH)
    with contextlib.suppress(ProtocolError):
        wire.decode(received(Frame(head(tag, fields, tensors), wire.encode(message).payload)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", -0.1),
        ("top_p", 1.1),
        ("min_p", -1.0),
        ("top_k", -1),
        ("repetition_penalty", 0.0),
        ("presence_penalty", math.nan),
        ("frequency_penalty", math.inf),
        ("penalty_window", -1),
        ("logit_bias", [[1, math.nan]]),
        ("seed", -(2**63) - 1),
    ],
)
def test_sampling_outside_its_range_can_neither_be_made_nor_come_over_the_wire(
    field: str, value: object
) -> None:
    tag, fields, tensors = msgpack.unpackb(wire.encode(m.Submit(SESSION, TARGET, A, (1,), OPENING)).head)
    fields["opening"]["sampling"][field] = value
    if field != "seed":  # msgpack has no such number
        with pytest.raises(ProtocolError, match=f"sampling with {field}"):
            wire.decode(Frame(head(tag, fields, tensors)))
    with pytest.raises(ValueError, match=f"sampling with {field}"):
        replace(SAMPLING, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "constraint",
    [
        {"kind": "regex", "text": "a" * ((256 << 10) + 1)},
        {"kind": "regex", "text": "é" * ((128 << 10) + 1)},
        {"kind": "regex", "text": ""},
        {"kind": "json", "text": "{}"},
        {"kind": "yaml", "text": "a"},
        {"text": "a"},
    ],
)
def test_no_other_constraint_comes_over_the_wire(constraint: dict[str, Any]) -> None:
    refuse(m.Submit(SESSION, TARGET, A, (1,), OPENING), "opening", constraint=constraint)


@pytest.mark.parametrize("top", [-1, 21, "all"])
def test_no_more_alternatives_are_asked_for(top: object) -> None:
    refuse(m.Submit(SESSION, TARGET, A, (1,), OPENING), "opening", top_logprobs=top)


@pytest.mark.parametrize(
    "logprobs",
    [
        {"chosen": math.nan, "top": []},
        {"chosen": 0.1, "top": []},
        {"chosen": -math.inf, "top": []},
        {"chosen": -1.0, "top": [[1, 5.0]]},
        {"chosen": -1.0, "top": [[token, -1.0] for token in range(21)]},
    ],
)
def test_what_are_no_log_probabilities_do_not_come_over_the_wire(logprobs: dict[str, Any]) -> None:
    token = m.Token(SESSION, TARGET, 4, 99, None, m.TokenLogprobs(-1.0))
    refuse(token, "logprobs", **logprobs)


def refuse(message: wire.Message, part: str, **fields: object) -> None:
    """See that a message is refused once some fields of a part are exchanged."""
    tag, content, tensors = msgpack.unpackb(wire.encode(message).head, strict_map_key=False)
    content[part].update(fields)
    with pytest.raises(ProtocolError, match="from a peer is not valid"):
        wire.decode(Frame(head(tag, content, tensors)))


def test_fewer_than_no_tokens_cannot_be_cached() -> None:
    with pytest.raises(ValueError, match="-1 tokens"):
        m.Admitted(SESSION, TARGET, -1)
