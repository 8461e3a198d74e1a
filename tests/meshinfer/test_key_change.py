"""Whole peers, with real sockets, whose mesh changes its key while they run."""

import asyncio
import base64
import logging
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer import ConfigError, Peer, PeerConfig
from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keyring import Keyring, KeyStore
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.sealing import DatagramSeal
from meshinfer.keys.security import MeshSecurity
from meshinfer.topology import knobs
from meshinfer.topology.record import KeyWord
from meshinfer.transports.base import Address, DatagramLimits
from meshinfer.transports.errors import TransportError
from meshinfer.transports.tcp import TcpTransport
from meshinfer.transports.udp import open_udp
from tests.meshinfer.actors.mailbag import tapped_log

MESH = "meshinfer"
DATAGRAMS = 50
PATIENT = replace(knobs.test(), suspicion_mult=40)
"""As quick as they can be, but nobody is taken for dead as soon as the machine stalls."""


def config(tmp_path: Path, name: str, *peers: str, invite: str | None = None) -> PeerConfig:
    return PeerConfig(
        name=name,
        is_mdns_on=False,
        peers=peers,
        invite=invite,
        membership=PATIENT,
        cache_dir=tmp_path / "cache",
        config_dir=tmp_path / name,
    )


def seed(peer: Peer) -> str:
    return peer.address.removeprefix("tcp://")


def invitation(peer: Peer) -> str:
    return peer.belonging.invitation((peer.address,))


def keyring(tmp_path: Path, name: str) -> Keyring:
    kept = KeyStore(tmp_path / name).read(MESH)
    assert kept is not None
    return kept


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - no event tells of another peer's keys
            await asyncio.sleep(0.01)


def present(peer: Peer) -> set[str]:
    return {member.name for member in peer.snapshot().mesh.members if member.is_present}


async def until_met(*peers: Peer) -> None:
    await until(lambda: all(len(present(peer)) == len(peers) for peer in peers))


async def until_used(label: str, *peers: Peer) -> None:
    """Until all of them use a key."""

    def is_used(peer: Peer) -> bool:
        return peer.keys is not None and peer.keys.label == label and peer.keys.is_used

    await until(lambda: all(map(is_used, peers)))


async def until_over(*peers: Peer) -> None:
    """Until all of them accept one key alone."""
    await until(lambda: all(peer.keys is not None and not peer.keys.former for peer in peers))


async def link_outcome(to: Peer, keyring: Keyring) -> str:
    """What becomes of a link that a keyring is to prove: `greeted`, or why not."""
    link = await TcpTransport(security=MeshSecurity(PeerSecret.draw(), keyring)).dial(to.address)
    try:
        await link.receive()
    except TransportError as error:
        return str(error)
    else:
        return "greeted"
    finally:
        await link.close()


async def send_datagrams(to: Peer, key: MeshKey) -> None:
    seal, port = DatagramSeal(Keyring(key)), await open_udp(Address("udp://127.0.0.1:0"), DatagramLimits())
    for _ in range(DATAGRAMS):
        assert port.send(Address(to.address.replace("tcp://", "udp://")), seal.seal(b"a replayed packet"))
    await port.close()


def refused(peer: Peer) -> int:
    return peer.numbers.gossip.get("not_sealed", 0)


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + repr(record.args) + "\n"


@contextmanager
def all_that_is_logged() -> Iterator[Lines]:
    lines, logger = Lines(), logging.getLogger("meshinfer")
    level = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)


async def test_a_mesh_changes_its_key_and_then_the_former_one_opens_nothing(tmp_path: Path) -> None:
    with all_that_is_logged() as logged:
        async with Peer(config(tmp_path, "desk")) as desk:
            old_invitation, old = invitation(desk), keyring(tmp_path, "desk").newest
            async with Peer(config(tmp_path, "mini", invite=old_invitation)) as mini:
                await until_met(desk, mini)
                begun = await desk.rotate_key()
                assert (begun.former, begun.is_used, begun.lacking) == (old.label, False, ("mini",))
                await until_used(begun.label, desk, mini)

                new = keyring(tmp_path, "mini").newest
                assert new == keyring(tmp_path, "desk").newest != old
                path = KeyStore(tmp_path / "mini").path(MESH)
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                # Until it is over both open everything.
                assert [await link_outcome(mini, Keyring(key)) for key in (old, new)] == ["greeted"] * 2
                before, came = refused(desk), desk.numbers.packets["in"]
                await send_datagrams(desk, old)
                await until(lambda: desk.numbers.packets["in"] >= came + DATAGRAMS)
                assert refused(desk) == before

                assert (await mini.finish_key()).former == ""
                await until_over(desk, mini)
                assert "another mesh's key" in await link_outcome(desk, Keyring(old))
                assert await link_outcome(desk, Keyring(new)) == "greeted"
                before = refused(desk)
                await send_datagrams(desk, old)
                await until(lambda: refused(desk) >= before + DATAGRAMS)

                with tapped_log() as log:
                    async with Peer(config(tmp_path, "late", invite=old_invitation)) as late:
                        told = await log.line_with("another mesh's key")
                        assert "the invitation that `meshinfer key show` there prints" in told
                        assert present(late) <= {"late"}
                async with Peer(config(tmp_path, "late", invite=invitation(mini))) as late:
                    await until_met(desk, mini, late)
                assert present(mini) >= {"desk", "mini"}
    for key in (old, new):
        for shown in (key.secret.hex(), base64.b64encode(key.secret).decode(), repr(key.secret)[2:-1]):
            assert shown not in logged.text


async def test_who_was_away_gets_the_new_key_as_it_comes_back(tmp_path: Path) -> None:
    async with Peer(config(tmp_path, "desk")) as desk:
        async with Peer(config(tmp_path, "mini", invite=invitation(desk))) as mini:
            await until_met(desk, mini)
            old = keyring(tmp_path, "mini")
        await until(lambda: present(desk) == {"desk"})
        begun = await desk.rotate_key()
        await until_used(begun.label, desk)
        assert keyring(tmp_path, "mini") == old
        async with Peer(config(tmp_path, "mini", seed(desk))) as mini:
            await until_used(begun.label, desk, mini)
            assert desk.keys is not None
            assert desk.keys.former == old.newest.label
            # And in the middle of the change it is there after a restart.
            assert keyring(tmp_path, "mini").accepted == keyring(tmp_path, "desk").accepted


async def test_who_was_invited_during_a_change_meets_who_came_back(tmp_path: Path) -> None:
    async with Peer(config(tmp_path, "desk")) as desk:
        KeyStore(tmp_path / "mini").write(MESH, keyring(tmp_path, "desk"))
        begun = await desk.rotate_key()
        await until_used(begun.label, desk)
        async with (
            Peer(config(tmp_path, "late", invite=invitation(desk))) as late,
            Peer(config(tmp_path, "mini", seed(desk))) as mini,
        ):
            await until_met(desk, late, mini)
            await until_used(begun.label, desk, late, mini)


async def test_a_member_that_is_put_out_is_out(tmp_path: Path) -> None:
    async with Peer(config(tmp_path, "desk")) as desk:
        invite = invitation(desk)
        async with (
            Peer(config(tmp_path, "mini", invite=invite)) as mini,
            Peer(config(tmp_path, "oldmac", invite=invite)) as oldmac,
        ):
            await until_met(desk, mini, oldmac)
            begun = await desk.rotate_key(without=("oldmac",))
            assert begun.put_out == ("oldmac",)
            await until_used(begun.label, desk, mini)
            await until_over(desk, mini)
            await until(lambda: [link.name for link in desk.numbers.links] == ["mini"])
            assert oldmac.keys is not None
            assert oldmac.keys.label == begun.former
            assert "another mesh's key" in await link_outcome(mini, keyring(tmp_path, "oldmac"))


async def test_two_that_change_it_at_once_have_one_key_in_the_end(tmp_path: Path) -> None:
    async with Peer(config(tmp_path, "desk")) as desk:
        invite = invitation(desk)
        async with (
            Peer(config(tmp_path, "mini", invite=invite)) as mini,
            Peer(config(tmp_path, "shelf", invite=invite)) as shelf,
        ):
            await until_met(desk, mini, shelf)
            one, other = await asyncio.gather(desk.rotate_key(), mini.rotate_key())
            await until_used(max(one.label, other.label), desk, mini, shelf)
            assert len({keyring(tmp_path, peer.name).newest for peer in (desk, mini, shelf)}) == 1


async def test_a_key_that_was_put_on_the_disk_meanwhile_is_there_at_the_next_start(tmp_path: Path) -> None:
    replaced = Keyring(MeshKey.draw())
    async with Peer(config(tmp_path, "desk")) as desk:
        await until_met(desk)
        begun = await desk.rotate_key()
        await until_used(begun.label, desk)
        KeyStore(tmp_path / "desk").write(MESH, replaced)
        with tapped_log() as log:
            assert (await desk.finish_key()).label == begun.label
            await log.line_with(f"was replaced (label {replaced.newest.label})")
        await until_over(desk)
    async with Peer(config(tmp_path, "desk")) as desk:
        assert desk.belonging.keyring == replaced


async def test_two_peers_of_one_machine_change_the_key_that_they_share(tmp_path: Path) -> None:
    async with (
        Peer(config(tmp_path, "desk")) as desk,
        Peer(replace(config(tmp_path, "second", seed(desk)), config_dir=tmp_path / "desk")) as second,
    ):
        await until_met(desk, second)
        for one in (desk, second):
            begun = await one.rotate_key()
            await until_used(begun.label, desk, second)
            assert keyring(tmp_path, "desk").newest.label == begun.label
            await one.finish_key()
            await until_over(desk, second)
            assert keyring(tmp_path, "desk").word == KeyWord(begun.label, begun.former, is_over=True)


async def test_what_cannot_be_changed_says_what_to_do(tmp_path: Path) -> None:
    async with Peer(replace(config(tmp_path, "open"), is_open=True)) as peer:
        assert peer.keys is None
        with pytest.raises(
            ConfigError, match="runs open, and has no key to change: restart its peers without"
        ):
            await peer.rotate_key()
    async with Peer(config(tmp_path, "desk")) as desk:
        await until_met(desk)
        with pytest.raises(ConfigError, match="no change of keys goes on: `meshinfer key rotate` begins one"):
            await desk.finish_key()
        with pytest.raises(ConfigError, match="no member is called oldmac; nobody is there"):
            await desk.rotate_key(without=["oldmac"])
        with pytest.raises(ConfigError, match="desk is the peer that you ask: ask one that is to stay"):
            await desk.rotate_key(without=["desk"])
        path = KeyStore(tmp_path / "desk").path(MESH)
        kept = path.read_bytes()
        path.unlink()
        path.mkdir()
        with pytest.raises(ConfigError, match="cannot be kept"):
            await desk.rotate_key()
        assert desk.keys is not None
        assert desk.keys.former == ""
        path.rmdir()
        path.write_bytes(kept)
