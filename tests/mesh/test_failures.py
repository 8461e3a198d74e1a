"""What goes wrong between processes: peers that die, leave, differ, babble, or cannot even begin."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from meshinfer.keys.certificates import PeerSecret
from meshinfer.messages import Cancel, Hello, SessionId
from meshinfer.model.safetensors import read_header, write_file
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Address, Frame, LinkLimits
from meshinfer.transports.errors import VersionMismatch
from meshinfer.transports.frame import PROTOCOL_VERSION, encode_prefix
from meshinfer.transports.tcp import TcpTransport
from meshinfer.wire import Message, encode
from tests.mesh.processes import PeerProcess, ProcessMesh, ring, until, wait_for_exit, wait_for_ring
from tests.ports import deaf_port
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.mesh

PROMPT = "Hello world, this"
STRANGE_VERSION = 99
WRONG_USE, FAILED = 2, 1
MEMBER = PeerSecret(b"m" * 32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=4)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[ProcessMesh]:
    with ProcessMesh(tmp_path) as mesh:
        yield mesh


def check_answers(tiny: Path, *peers: PeerProcess) -> None:
    """Each of them still answers as mlx-lm does."""
    for peer in peers:
        assert peer.answer(PROMPT, 16).text == greedy_text(tiny, PROMPT, 16)


def wire_mismatch(*, ours: int, theirs: int) -> str:
    """What a peer says of one that speaks another version of the wire protocol."""
    return f"the other peer speaks wire protocol {theirs}, this one speaks {ours}: run the same release"


# --- peers that go


@pytest.mark.parametrize("gone", [0, 1, 2], ids=["head", "middle", "tail"])
def test_when_a_peer_is_killed_in_the_middle_of_an_answer_the_others_finish_it(
    tiny: Path, tmp_path: Path, gone: int
) -> None:
    with ring(3, tiny, tmp_path, min_peers=1) as peers:
        others = [peer for peer in peers if peer is not peers[gone]]
        text = ""
        with others[-1].stream(PROMPT, 400) as pieces:
            for number, piece in enumerate(pieces):
                text += piece
                if number == 5:
                    peers[gone].kill()
        assert text == greedy_text(tiny, PROMPT, 400)
        mesh = wait_for_ring(others)
        held = [layer for stage in mesh["ring"] for layer in range(*stage["layers"])]
        assert held == list(range(mesh["plan"]["layer_count"]))
        others[0].stderr.wait_for(f"^warning: p{gone} is gone$")
        check_answers(tiny, *others)


def test_a_peer_that_is_interrupted_says_goodbye_and_ends_well(tiny: Path, tmp_path: Path) -> None:
    with ring(2, tiny, tmp_path, min_peers=1) as (stays, leaves):
        leaves.interrupt()
        assert wait_for_exit(leaves) == 0
        stays.stdout.wait_for("^p1 left$")
        wait_for_ring([stays])
        until(lambda: stays.members() == {"p0": "alive"}, "p0 alone")
        check_answers(tiny, stays)
        assert "Traceback" not in leaves.stderr.wait_for_end()


def test_a_peer_that_was_killed_and_started_again_takes_its_place(tiny: Path, tmp_path: Path) -> None:
    with ProcessMesh(tmp_path) as mesh:
        stays = mesh.start("p0", tiny)
        goes = mesh.start("p1", tiny, seeds=[stays])
        wait_for_ring([stays, goes])
        goes.kill()
        back = mesh.start("p1", tiny, seeds=[stays])
        wait_for_ring([stays, back])
        until(lambda: stays.members() == {"p0": "alive", "p1": "alive"}, "both alive")
        check_answers(tiny, stays, back)


# --- peers that cannot be reached, or should not be


def test_a_seed_that_does_not_answer_is_named_and_joined_when_it_comes_up(
    mesh: ProcessMesh, tiny: Path
) -> None:
    with deaf_port() as port:
        address = f"127.0.0.1:{port}"
        early = mesh.start("early", tiny, seeds=[address], min_peers=2)
        early.stderr.wait_for(f"cannot reach tcp://{address}: .*nothing listens on that port.*; trying again")
        late = mesh.start("late", tiny, listen=address, min_peers=2)
        wait_for_ring([early, late])
        check_answers(tiny, early, late)


def test_the_same_name_with_other_content_is_refused_by_fingerprint_and_the_ring_goes_on(
    mesh: ProcessMesh, tiny: Path, tmp_path: Path
) -> None:
    other = make_tiny_model(tmp_path / "other" / "tiny", layers=4, seed=9)
    good = mesh.start("good", tiny)
    wait_for_ring([good])
    impostor = mesh.start("impostor", other, seeds=[good])
    words = "this peer's tiny differs from the one that the mesh runs: its files have the fingerprint"
    impostor.stderr.wait_for(words)
    until(lambda: good.members().get("impostor") == "alive" or None, "the impostor as a member")
    until(lambda: words in impostor.health_reason(), words)
    assert impostor.get("/health").status_code == 503
    assert [stage["name"] for stage in good.mesh()["ring"]] == ["good"]
    check_answers(tiny, good)
    assert impostor.process.poll() is None


async def test_a_peer_of_another_version_that_dials_is_told_and_so_is_the_peer(
    mesh: ProcessMesh, tiny: Path
) -> None:
    peer = mesh.start("peer", tiny)
    transport = TcpTransport(version=STRANGE_VERSION, security=mesh.member(MEMBER))
    stranger = await transport.dial(Address(f"tcp://{peer.address}"))
    await stranger.send(Frame(b"hello"))
    with pytest.raises(VersionMismatch, match=wire_mismatch(ours=STRANGE_VERSION, theirs=PROTOCOL_VERSION)):
        await stranger.receive()
    await stranger.close()
    peer.stderr.wait_for(wire_mismatch(ours=PROTOCOL_VERSION, theirs=STRANGE_VERSION))
    wait_for_ring([peer])
    check_answers(tiny, peer)


async def test_a_peer_of_another_version_that_is_dialled_is_told_and_so_is_the_peer(
    mesh: ProcessMesh, tiny: Path
) -> None:
    transport = TcpTransport(version=STRANGE_VERSION, security=mesh.member(MEMBER))
    listener = await transport.listen(Address("tcp://127.0.0.1:0"))
    peer = mesh.start("peer", tiny, seeds=[listener.address.removeprefix("tcp://")])
    stranger = await listener.accept()
    with pytest.raises(VersionMismatch, match=wire_mismatch(ours=STRANGE_VERSION, theirs=PROTOCOL_VERSION)):
        await stranger.receive()
    words = wire_mismatch(ours=PROTOCOL_VERSION, theirs=STRANGE_VERSION)
    await asyncio.to_thread(peer.stderr.wait_for, words)
    await stranger.close()
    await listener.close()
    wait_for_ring([peer])
    check_answers(tiny, peer)


@dataclass(frozen=True, slots=True)
class Loner:
    """A ring of one that strangers and members talk to."""

    peer: PeerProcess
    mesh: ProcessMesh


@pytest.fixture(scope="module")
def loner(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loner]:
    with ProcessMesh(tmp_path_factory.mktemp("ring")) as mesh:
        peer = mesh.start("p0", tiny)
        wait_for_ring([peer])
        yield Loner(peer, mesh)


def framed(head: bytes) -> bytes:
    return encode_prefix(len(head), 0, LinkLimits()) + head


def encoded(message: Message) -> bytes:
    return framed(bytes(encode(message).head))


UNASKED = Cancel(SessionId("1-1-1.1"), Target(Epoch(1), Digest("00" * 16)))
OF_ANOTHER_MESH = Hello(MEMBER.peer, 1, "member", "another-mesh", "0.1.0", "tcp://127.0.0.1:1")
WITH_ANOTHERS_ID = replace(OF_ANOTHER_MESH, peer=PeerId("00" * 16))
NOT_TLS = r"the other side does not speak TLS 1\.3: is it an open peer \(--open\), or no peer at all"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n", id="http"),
        pytest.param(bytes(range(256)) * 40, id="noise"),
        pytest.param(encoded(OF_ANOTHER_MESH), id="hello"),
    ],
)
def test_what_strangers_send_to_the_link_port_is_refused_unread(
    loner: Loner, tiny: Path, sent: bytes
) -> None:
    host, port = loner.peer.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(sent)
        loner.peer.stderr.wait_for(NOT_TLS)
    check_answers(tiny, loner.peer)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n", "not a peer of meshinfer.*GET / HT", id="http"),
        pytest.param(framed(b"")[:12] + b"\xff" * 8, "frame payload of [0-9,]+ bytes, limit", id="endless"),
        pytest.param(framed(b"\xc1"), "a frame's head of 1 bytes is no msgpack", id="no-msgpack"),
        pytest.param(encoded(UNASKED), "began with Cancel, not with a greeting", id="no-hello"),
        pytest.param(encoded(OF_ANOTHER_MESH), "member belongs to the mesh 'another-mesh'", id="other-mesh"),
        pytest.param(
            encoded(WITH_ANOTHERS_ID),
            f"says that it is member .0{{32}}., but its certificate proves that it is {MEMBER.peer}",
            id="another's id",
        ),
    ],
)
async def test_what_members_send_that_break_the_rules_is_refused_by_name_and_harms_nothing(
    loner: Loner, tiny: Path, sent: bytes, words: str
) -> None:
    transport = TcpTransport(security=loner.mesh.member(MEMBER))
    link = await transport.dial(Address(f"tcp://{loner.peer.address}"))
    link._wire.write([sent])
    await asyncio.to_thread(loner.peer.stderr.wait_for, words)
    await link.close()
    await asyncio.to_thread(check_answers, tiny, loner.peer)


# --- bad input


@dataclass(frozen=True, slots=True)
class Place:
    """What a case may use: a whole model, room for another, and ports that somebody else holds."""

    tiny: Path
    scratch: Path
    held: ExitStack

    def broken(self, breaking: Callable[[Path], None], *, file_count: int = 1) -> Path:
        """A model of which something was broken."""
        path = make_tiny_model(self.scratch / "broken", layers=4, file_count=file_count)
        breaking(path)
        return path

    def taken_port(self) -> int:
        holder = self.held.enter_context(socket.create_server(("127.0.0.1", 0)))
        return int(holder.getsockname()[1])


@dataclass(frozen=True, slots=True)
class BadInput:
    """How a peer is started, the words that it has for it, and the status that it ends with.

    status None: it lives on, tells the reason at /health, and would join a ring with usable files.
    """

    name: str
    start: Callable[[ProcessMesh, Place], PeerProcess]
    words: str
    status: int | None = None


def without_tensor(path: Path, name: str) -> None:
    """Write the model's weights again, one tensor short."""
    file = path / "model.safetensors"
    whole = file.read_bytes()
    kept = [tensor for tensor in read_header(file) if tensor.name != name]
    contents = [memoryview(whole[t.offset : t.offset + t.size_bytes]) for t in kept]
    write_file(file, [(t.name, t.dtype, t.shape) for t in kept], iter(contents))


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def unknown_architecture(path: Path) -> None:
    file = path / "config.json"
    file.write_text(file.read_text().replace('"llama"', '"nonesuch"'))


def run_model(
    breaking: Callable[[Path], None], file_count: int = 1
) -> Callable[[ProcessMesh, Place], PeerProcess]:
    return lambda mesh, place: mesh.start("peer", place.broken(breaking, file_count=file_count))


MISSING = "model.layers.2.mlp.up_proj.weight"

BAD_INPUTS = [
    BadInput(
        "unknown model",
        lambda mesh, place: mesh.start("peer", "no-such-model"),
        "unknown model 'no-such-model': .*built-in.*repository.*directory",
    ),
    BadInput(
        "repository that is not here",
        lambda mesh, place: mesh.start("peer", "nobody/no-such-model"),
        "nobody/no-such-model is not in this machine's Hugging Face cache and downloading is off",
    ),
    BadInput(
        "directory without a model",
        lambda mesh, place: mesh.start("peer", place.scratch),
        "config.json is missing",
    ),
    BadInput(
        "missing tokenizer", run_model(lambda path: (path / "tokenizer.json").unlink()), "no tokenizer there"
    ),
    BadInput(
        "missing weights",
        run_model(lambda path: (path / "model.safetensors").unlink()),
        "no model.*safetensors there",
    ),
    BadInput(
        "missing file of the index",
        run_model(lambda path: (path / "model-00002-of-00003.safetensors").unlink(), 3),
        "model-00002-of-00003.safetensors is missing, though the index names it",
    ),
    BadInput("missing tensor", run_model(lambda path: without_tensor(path, MISSING)), MISSING),
    BadInput(
        "truncated file",
        run_model(lambda path: truncated(path / "model.safetensors")),
        "truncated: .* fetch the model again",
    ),
    BadInput(
        "unknown architecture",
        run_model(unknown_architecture),
        "nonesuch",
    ),
    BadInput(
        "model too big",
        lambda mesh, place: mesh.start("peer", place.tiny, memory_gb=0.0001),
        r"tiny needs [0-9.]+ MB .* 1 peer offers 0.1 MB \(peer 0.1 MB\), [0-9.]+ MB too little: .*--memory",
    ),
    BadInput(
        "more stages than peers",
        lambda mesh, place: mesh.start("peer", place.tiny, stages="3"),
        "tiny is to be spread over 3 peers, 1 can hold layers",
    ),
    BadInput(
        "link port taken",
        lambda mesh, place: mesh.start("peer", place.tiny, listen=f"127.0.0.1:{place.taken_port()}"),
        "cannot listen on tcp://127.0.0.1:[0-9]+: the port is already in use.*choose another port",
        FAILED,
    ),
    BadInput(
        "API port taken",
        lambda mesh, place: mesh.start("peer", place.tiny, api_port=place.taken_port()),
        "the HTTP API cannot listen on 127.0.0.1:[0-9]+: the port is taken.*choose another --api-port",
        FAILED,
    ),
    BadInput(
        "wrong number of stages",
        lambda mesh, place: mesh.start("peer", place.tiny, stages="some"),
        "--stages 'some': give auto, all, or a number of peers",
        WRONG_USE,
    ),
    BadInput(
        "no stages",
        lambda mesh, place: mesh.start("peer", place.tiny, stages="0"),
        "--stages '0': give auto, all, or a number of peers",
        WRONG_USE,
    ),
    BadInput(
        "no memory",
        lambda mesh, place: mesh.start("peer", place.tiny, memory_gb=0),
        "--memory 0: give gigabytes above 0",
        WRONG_USE,
    ),
    BadInput(
        "seed without a port",
        lambda mesh, place: mesh.start("peer", place.tiny, seeds=["192.168.1.4"]),
        "--peer '192.168.1.4': give HOST:PORT",
        WRONG_USE,
    ),
    BadInput(
        "listening nowhere",
        lambda mesh, place: mesh.start("peer", place.tiny, listen="everywhere"),
        "--listen 'everywhere': give HOST:PORT",
        WRONG_USE,
    ),
]


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.name.replace(" ", "-"))
def test_bad_input_is_told_in_words_that_help(
    mesh: ProcessMesh, tiny: Path, tmp_path: Path, case: BadInput
) -> None:
    scratch = tmp_path / "models"
    scratch.mkdir()
    with ExitStack() as held:
        peer = case.start(mesh, Place(tiny, scratch, held))
        if case.status is not None:
            assert wait_for_exit(peer) == case.status
            errors = peer.stderr.wait_for_end()
            assert re.search(case.words, errors)
            assert "Traceback" not in errors
            return
        until(lambda: re.search(case.words, peer.health_reason()), case.words)
        assert peer.get("/health").status_code == 503
        assert peer.get("/mesh").json()["state"] == "waiting"
        assert peer.process.poll() is None
        assert "Traceback" not in peer.stderr.tail()


def test_a_peer_with_broken_files_joins_a_ring_as_one_that_holds_nothing(
    mesh: ProcessMesh, tiny: Path, tmp_path: Path
) -> None:
    broken = make_tiny_model(tmp_path / "tiny", layers=4)
    without_tensor(broken, MISSING)
    good = mesh.start("good", tiny)
    wait_for_ring([good])
    mesh.start("peer", broken, seeds=[good])
    good.stderr.wait_for("peer holds no layers: ")
    assert [stage["name"] for stage in good.mesh()["ring"]] == ["good"]
    check_answers(tiny, good)


def test_two_peers_of_one_name_on_a_machine_are_told_apart(mesh: ProcessMesh, tiny: Path) -> None:
    first = mesh.start("twin", tiny)
    wait_for_ring([first])
    second = mesh.start("twin", tiny, seeds=[first])
    assert wait_for_exit(second) == FAILED
    assert re.search("twin runs on this machine already", second.stderr.wait_for_end())
    check_answers(tiny, first)
