"""Several models in one mesh of whole peers in one process, with real (tiny) models."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer import NoRing, NoRoom, Peer, PeerConfig, Snapshot, UnknownModel, WrongModel
from meshinfer.topology.agreement import AgreementTiming
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

HASTE = AgreementTiming(settle_s=0.1, widen_s=0.1, improve_s=0.1, drain_s=60.0)
PROMPT = "Hello world, this"
ROOM_FOR_TWO = 15_000_000


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three models of one size: 0.7 MB of weights, and 6.3 MB that plans reserve for caches and prompts."""
    place = tmp_path_factory.mktemp("models")
    return {name: make_tiny_model(place / name, seed=seed) for seed, name in enumerate(("a", "b", "c"))}


@pytest.fixture
def config(paths: dict[str, Path], tmp_path: Path) -> PeerConfig:
    return PeerConfig(
        model=str(paths["a"]),
        is_mdns_on=False,
        cache_dir=tmp_path,
        memory_bytes=100_000_000,
        stages="all",
        agreement=HASTE,
    )


@asynccontextmanager
async def peers_of(config: PeerConfig, *models: Path | None) -> AsyncIterator[list[Peer]]:
    """A peer for each of the models; all know the first one."""
    async with AsyncExitStack() as stack, asyncio.timeout(150):
        peers: list[Peer] = []
        for number, model in enumerate(models):
            seeds = (peers[0].address.removeprefix("tcp://"),) if peers else ()
            own = replace(config, name=f"p{number}", model=str(model) if model else None, peers=seeds)
            peers.append(await stack.enter_async_context(Peer(own)))
        yield peers


async def answer(peer: Peer, model: str | None = None, max_tokens: int = 12) -> str:
    return "".join([p.text async for p in peer.generate(PROMPT, max_tokens=max_tokens, model=model)])


async def shown(peer: Peer, names: list[str], stages: int = 1) -> Snapshot:
    """Wait until exactly these models are live, over so many peers each."""
    async for seen in peer.watch():
        live = [m.name for m in seen.mesh.models if m.is_live and len(m.ring) == stages]
        if sorted(live) == sorted(names) and len(seen.mesh.models) == len(names):
            return seen
    raise AssertionError("watching never ends by itself")


async def loaded(peer: Peer, model: str | Path) -> None:
    await peer.until_live(await peer.load(str(model), "all"))


async def test_two_models_over_three_peers_are_answered_by_each_of_them(
    config: PeerConfig, paths: dict[str, Path]
) -> None:
    async with peers_of(config, paths["a"], paths["b"], None) as peers:
        for peer in peers:
            await shown(peer, ["a", "b"], 3)
        answers = [answer(peer, name) for peer in peers for name in ("a", "b")]
        texts = await asyncio.gather(*answers)
        assert texts == [greedy_text(paths[name], PROMPT, 12) for _ in peers for name in ("a", "b")]
        # The one that was asked for first is meant where none is named.
        first = peers[0].snapshot().mesh.model
        assert await answer(peers[2]) == greedy_text(paths[first], PROMPT, 12)


async def test_a_model_is_loaded_and_unloaded_and_its_memory_comes_back(
    config: PeerConfig, paths: dict[str, Path]
) -> None:
    async with peers_of(config, paths["a"], None) as (one, other):
        await shown(one, ["a"], 2)
        before = one.snapshot().mesh
        await loaded(other, paths["b"])
        await shown(one, ["a", "b"], 2)
        assert await answer(one, "b") == greedy_text(paths["b"], PROMPT, 12)
        await one.unload("b")
        after = (await shown(one, ["a"], 2)).mesh
        assert after.held == {before.fingerprint}
        assert after.plan == before.plan
        with pytest.raises(WrongModel, match="the mesh runs a, not b"):
            one.served_model("b")
        with pytest.raises(WrongModel, match="does not run b: it runs a"):
            await one.unload("b")


async def test_an_answer_that_is_written_is_finished_before_its_model_goes(
    config: PeerConfig, paths: dict[str, Path]
) -> None:
    async with peers_of(config, paths["a"], None) as (one, other):
        await shown(one, ["a"], 2)
        await loaded(one, paths["b"])
        await shown(other, ["a", "b"], 2)
        text, unloading = "", None
        async for piece in other.generate(PROMPT, max_tokens=200, model="b"):
            text += piece.text
            if unloading is None:
                unloading = asyncio.create_task(one.unload("b"))
        assert text == greedy_text(paths["b"], PROMPT, 200)
        assert unloading is not None
        await unloading


async def test_a_model_on_disk_is_loaded_on_use_in_the_place_of_the_one_used_longest_ago(
    config: PeerConfig, paths: dict[str, Path]
) -> None:
    small = replace(config, memory_bytes=ROOM_FOR_TWO)
    async with peers_of(small, paths["a"]) as (peer,):
        await peer.until_live()
        await loaded(peer, paths["b"])
        # Known on this disk from now on.
        await loaded(peer, paths["c"])
        assert [model.name for model in (await shown(peer, ["a", "c"])).mesh.models] == ["a", "c"]
        # All who ask meanwhile wait as well.
        answers = await asyncio.gather(*(answer(peer, "b") for _ in range(3)))
        assert answers == [greedy_text(paths["b"], PROMPT, 12)] * 3
        assert [model.name for model in peer.snapshot().mesh.models] == ["a", "b"]


async def test_what_peers_were_started_with_stays_and_the_refusal_has_numbers(
    config: PeerConfig, paths: dict[str, Path]
) -> None:
    small = replace(config, memory_bytes=ROOM_FOR_TWO // 2)
    async with peers_of(small, paths["a"]) as (peer,):
        await peer.until_live()
        with pytest.raises(NoRoom, match=r"b needs .* MB with its KV cache; .*a stays"):
            await peer.load(str(paths["b"]))
        assert await answer(peer) == greedy_text(paths["a"], PROMPT, 12)
        await peer.unload("a")
        await loaded(peer, paths["b"])
        assert await answer(peer) == greedy_text(paths["b"], PROMPT, 12)


async def test_nothing_is_loaded_for_a_request_where_that_is_not_allowed(
    config: PeerConfig, paths: dict[str, Path]
) -> None:
    async with peers_of(replace(config, is_load_on_use_allowed=False), paths["a"]) as (peer,):
        await peer.until_live()
        await loaded(peer, paths["b"])
        await peer.unload("b")
        with pytest.raises(WrongModel, match="the mesh runs a, not b: ask for model a; on disk: b"):
            await answer(peer, "b")


async def test_a_model_that_is_nowhere_is_refused_and_changes_nothing(
    config: PeerConfig, paths: dict[str, Path]
) -> None:
    async with peers_of(config, paths["a"]) as (peer,):
        await peer.until_live()
        with pytest.raises(UnknownModel, match="unknown model 'tyni'"):
            await peer.load("tyni")
        with pytest.raises((WrongModel, NoRing), match="tyni"):
            await answer(peer, "tyni")
        assert [model.name for model in peer.snapshot().mesh.models] == ["a"]


async def test_a_peer_that_lacks_a_models_files_says_so_and_serves_the_others(
    config: PeerConfig, paths: dict[str, Path], tmp_path: Path
) -> None:
    lost = make_tiny_model(tmp_path / "lost", seed=7)
    async with peers_of(config, paths["a"], lost) as (one, _):
        await shown(one, ["a", "lost"], 2)
        lost.rename(tmp_path / "moved")
        guest = replace(config, name="guest", model=None, peers=(one.address.removeprefix("tcp://"),))
        async with Peer(guest) as third:
            async for seen in third.watch():
                views = {model.name: model for model in seen.mesh.models}
                if seen.fault and len(views) == 2 and len(views["a"].ring) == 3 and views["a"].is_live:
                    break
            assert "lost" in third.snapshot().fault
            assert await answer(third, "a") == greedy_text(paths["a"], PROMPT, 12)
            with pytest.raises(NoRing, match=r"lost.*another machine"):
                await answer(third, "lost")
