"""Links with real sockets whose other end is not who it should be, or does not prove it."""

import asyncio
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from meshinfer.keys.certificates import Authority, PeerSecret
from meshinfer.keys.keyring import Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.security import MeshSecurity
from meshinfer.transports.base import Address, Frame, Link, LinkLimits, LinkSecurity
from meshinfer.transports.errors import LinkBroken, ProtocolError, Tampered, TransportError
from meshinfer.transports.tcp import TcpTransport
from tests.transports.patience import PATIENCE_S, PATIENT

HERE = Address("tcp://127.0.0.1:0")
KEY, OTHER = MeshKey(b"k" * 32), MeshKey(b"o" * 32)
ANNA, BERT = PeerSecret(b"a" * 32), PeerSecret(b"b" * 32)
QUICK = LinkLimits(dial_timeout_s=0.1)

LONG_AGO = datetime.now(UTC) - timedelta(days=60)


def of(secret: PeerSecret, keyring: Keyring, minted: datetime | None = None) -> MeshSecurity:
    """A member's proof. minted: when its certificate was; it does not notice that this was long ago."""
    now = minted or datetime.now(UTC)
    return MeshSecurity(secret, keyring, lambda: now)


class Credulous(MeshSecurity):
    """Takes whoever the key proves that it does not have itself."""

    def __init__(self, secret: PeerSecret, own: MeshKey, believed: MeshKey) -> None:
        super().__init__(secret, Keyring(own))
        self.client.load_verify_locations(cadata=Authority(believed).pem.decode())

    def peer_of(self, connection: ssl.SSLObject) -> str:
        return "somebody"


def transport(security: LinkSecurity | None, limits: LinkLimits = PATIENT) -> TcpTransport:
    return TcpTransport(limits, security=security)


async def outcomes(near: TcpTransport, far: TcpTransport) -> tuple[str | TransportError, ...]:
    """What each side of a link learns who sends a frame and waits for one: who is there, or why nobody is."""
    listener = await far.listen(HERE)
    dialled = await near.dial(listener.address)
    accepted = await listener.accept()

    async def meet(link: Link) -> str | TransportError:
        with suppress(LinkBroken):  # which `receive` says better
            await link.send(Frame(b"hello"))
        try:
            assert (await link.receive()).head == b"hello"
        except TransportError as error:
            return error
        return link.peer

    met = await asyncio.gather(meet(dialled), meet(accepted))
    await asyncio.gather(dialled.close(), accepted.close(), listener.close())
    return tuple(met)


async def test_both_ends_know_whom_they_speak_with() -> None:
    near, far = transport(of(ANNA, Keyring(KEY))), transport(of(BERT, Keyring(KEY)))
    assert await outcomes(near, far) == (BERT.peer, ANNA.peer)


async def test_without_keys_nobody_is_proved() -> None:
    assert await outcomes(transport(None), transport(None)) == ("", "")


async def test_another_meshs_key_is_refused_and_both_sides_know_why() -> None:
    near, far = await outcomes(transport(of(ANNA, Keyring(OTHER))), transport(of(BERT, Keyring(KEY))))
    assert isinstance(near, ProtocolError)
    assert "made with another mesh's key" in str(near)
    assert isinstance(far, LinkBroken)
    assert "another mesh's key" in str(far)


async def test_a_certificate_of_another_authority_is_refused() -> None:
    # The dialling side takes anybody: it shows a certificate that its own authority made.
    stranger = Credulous(ANNA, OTHER, KEY)
    near, far = await outcomes(transport(stranger), transport(of(BERT, Keyring(KEY))))
    assert isinstance(near, LinkBroken)
    assert "the other side has another mesh's key" in str(near)
    assert isinstance(far, ProtocolError)
    assert "made with another mesh's key" in str(far)


@pytest.mark.parametrize("is_dialled_by_the_late_one", [True, False])
async def test_an_expired_certificate_is_refused_and_both_sides_know_why(
    is_dialled_by_the_late_one: bool,
) -> None:
    late, ours = transport(of(ANNA, Keyring(KEY), LONG_AGO)), transport(of(BERT, Keyring(KEY)))
    near, far = (late, ours) if is_dialled_by_the_late_one else (ours, late)
    met = await outcomes(near, far)
    told = met[::-1] if is_dialled_by_the_late_one else met
    assert isinstance(told[0], ProtocolError)
    assert "its certificate has expired" in str(told[0])
    assert "expired" in str(told[1])


async def test_clear_text_to_a_peer_with_a_key_is_refused_unread() -> None:
    near, far = await outcomes(transport(None), transport(of(BERT, Keyring(KEY))))
    assert isinstance(far, ProtocolError)
    assert "does not speak TLS 1.3: is it an open peer (--open)" in str(far)
    assert isinstance(near, TransportError)


async def test_a_peer_with_a_key_says_nothing_to_an_open_one() -> None:
    near, far = await outcomes(transport(of(ANNA, Keyring(KEY))), transport(None))
    assert isinstance(near, LinkBroken)
    assert "is it an open peer (--open)" in str(near)
    assert isinstance(far, ProtocolError)
    assert "the other side speaks TLS: its mesh has a key, and this link has none" in str(far)


async def test_who_never_shakes_hands_is_cut_off() -> None:
    listener = await transport(of(BERT, Keyring(KEY)), QUICK).listen(HERE)
    with socket.create_connection(("127.0.0.1", int(listener.address.rpartition(":")[2]))):
        link = await listener.accept()
        with pytest.raises(LinkBroken, match=r"no handshake within 0\.1 s"):
            await link.receive()
        await link.close()
    await listener.close()


async def test_what_was_changed_on_its_way_ends_the_link() -> None:
    listener = await transport(of(BERT, Keyring(KEY))).listen(HERE)

    async def tamper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = "127.0.0.1", int(listener.address.rpartition(":")[2])
        onward, back = await asyncio.open_connection(host, port)
        forward = asyncio.create_task(pass_on(reader, back, changes=False))  # awaited below
        await pass_on(onward, writer, changes=True)
        forward.cancel()
        await asyncio.wait([forward])
        writer.close()
        back.close()

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, changes: bool) -> None:
        came = 0
        while data := await source.read(1 << 16):
            came += len(data)
            # The handshake is shorter than this.
            is_changed = changes and came > 50_000
            sink.write(data[:-1] + bytes((data[-1] ^ 1,)) if is_changed else data)

    between = await asyncio.start_server(tamper, "127.0.0.1", 0)
    port = between.sockets[0].getsockname()[1]
    near = await transport(of(ANNA, Keyring(KEY))).dial(Address(f"tcp://127.0.0.1:{port}"))
    far = await listener.accept()
    await near.send(Frame(b"hello"))
    await far.receive()
    sending = asyncio.create_task(far.send(Frame(b"", (memoryview(bytes(1 << 20)),))))  # awaited below
    with pytest.raises(Tampered, match="not what the other side sent"):
        await near.receive()
    await asyncio.wait([sending])
    sending.exception()
    await asyncio.gather(near.close(), far.close(), listener.close())
    between.close()
    await between.wait_closed()


async def test_a_peer_that_runs_for_long_renews_its_certificate() -> None:
    clock = [datetime.now(UTC) - timedelta(days=8)]
    security = MeshSecurity(ANNA, Keyring(KEY), lambda: clock[0])
    first = security.client
    clock[0] += timedelta(days=8)
    async with asyncio.timeout(PATIENCE_S):
        while security.client is first:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.01)
    assert await outcomes(transport(security), transport(of(BERT, Keyring(KEY)))) == (BERT.peer, ANNA.peer)
