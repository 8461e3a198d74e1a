"""Whole peers that have not the same key, with real sockets."""

import asyncio
from pathlib import Path

import pytest

from meshinfer import Peer, PeerConfig
from tests.meshinfer.actors.mailbag import tapped_log


def config(tmp_path: Path, name: str, *peers: str, home: str = "", is_open: bool = False) -> PeerConfig:
    return PeerConfig(
        name=name,
        is_mdns_on=False,
        is_open=is_open,
        peers=peers,
        cache_dir=tmp_path / "cache",
        config_dir=tmp_path / (home or name),
    )


def names(peer: Peer) -> set[str]:
    return {member.name for member in peer.snapshot().mesh.members}


async def until_they_meet(*peers: Peer) -> None:
    async with asyncio.timeout(60):
        for peer in peers:
            async for snapshot in peer.watch():
                if len(snapshot.mesh.members) == len(peers):
                    break


@pytest.mark.parametrize(
    ("is_open", "said"),
    [(False, "another mesh's key"), (True, "the other side speaks TLS: its mesh has a key")],
)
async def test_meshes_of_one_name_with_different_keys_never_mix(
    tmp_path: Path, is_open: bool, said: str
) -> None:
    async with Peer(config(tmp_path, "desk")) as desk:
        seed = desk.address.removeprefix("tcp://")
        with tapped_log() as log:
            async with (
                Peer(config(tmp_path, "laptop", seed, is_open=is_open)) as laptop,
                Peer(config(tmp_path, "shelf", seed, home="desk")) as shelf,
            ):
                await log.line_with(said)
                await until_they_meet(desk, shelf)
                await until_they_meet(laptop)
                assert names(desk) == names(shelf) == {"desk", "shelf"}
                assert names(laptop) == {"laptop"}
                assert laptop.snapshot().mesh.is_open is is_open


async def test_whoever_is_invited_is_in(tmp_path: Path) -> None:
    async with Peer(config(tmp_path, "desk")) as desk:
        invite = desk.belonging.invitation((desk.address,))
        there = PeerConfig(
            name="laptop", is_mdns_on=False, invite=invite, cache_dir=tmp_path, config_dir=tmp_path / "x"
        )
        async with Peer(there) as laptop:
            await until_they_meet(desk, laptop)
            assert laptop.config.peers == (desk.address.removeprefix("tcp://"),)


async def test_a_peers_id_is_the_one_that_it_proves(tmp_path: Path) -> None:
    async with Peer(config(tmp_path, "desk")) as desk, Peer(config(tmp_path, "shelf", home="desk")) as shelf:
        assert desk.snapshot().peer != shelf.snapshot().peer
        assert len(desk.snapshot().peer) == 32
