"""Whole peers in one process, over real sockets, with a real (tiny) model."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from meshinfer import (
    ApiConfig,
    ConfigError,
    DeadlineExceeded,
    Finish,
    NoRing,
    Overloaded,
    Peer,
    PeerConfig,
    Prompt,
    PromptTooLong,
    RequestError,
    RingBroken,
    Sampling,
    Snapshot,
    WrongModel,
)
from meshinfer.actors.actor import Mailbox
from meshinfer.composition import compose
from meshinfer.config import RequestLimits
from meshinfer.topology import knobs
from meshinfer.topology.agreement import AgreementTiming
from meshinfer.topology.member import Status
from meshinfer.topology.record import Phase
from meshinfer.transports.trunk import TrunkLimits
from tests.adapters import make_adapter
from tests.reference import adapted_text, greedy_text
from tests.tiny import make_tiny_model

HASTE = AgreementTiming(settle_s=0.1, widen_s=0.1, improve_s=0.1)

PROMPTS = ["Hello world, this", "abc", "The quick brown fox jumps over the lazy dog. " * 4]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=4)


@pytest.fixture
def config(tiny: Path, tmp_path: Path) -> PeerConfig:
    return PeerConfig(
        model=str(tiny),
        is_mdns_on=False,
        cache_dir=tmp_path,
        memory_bytes=100_000_000,
        stages="all",
        agreement=HASTE,
        membership=knobs.lan(),
        # A machine that stalls again and again breaks no ring.
        trunks=TrunkLimits(silence_s=60.0),
    )


def seed_of(peer: Peer) -> str:
    return peer.address.removeprefix("tcp://")


@asynccontextmanager
async def mesh(config: PeerConfig, count: int) -> AsyncIterator[list[Peer]]:
    """`count` peers whose ring is live on each of them."""
    async with AsyncExitStack() as stack:
        peers: list[Peer] = []
        for number in range(count):
            seeds = (seed_of(peers[0]),) if peers else ()
            own = replace(config, name=f"p{number}", peers=seeds, min_peers=count)
            peers.append(await stack.enter_async_context(Peer(own)))
        async with asyncio.timeout(60):
            for peer in peers:
                await peer.until_live()
        yield peers


def has_stages(snapshot: Snapshot, count: int) -> bool:
    plan = snapshot.mesh.plan
    return plan is not None and len(plan.ring.stages) == count


async def answer(peer: Peer, prompt: Prompt, max_tokens: int = 16, sampling: Sampling | None = None) -> str:
    async with asyncio.timeout(60):
        return "".join(
            [piece.text async for piece in peer.generate(prompt, max_tokens=max_tokens, sampling=sampling)]
        )


async def shown(peer: Peer, is_wanted: Callable[[Snapshot], bool]) -> Snapshot:
    """The first snapshot of `peer` that is as wanted."""
    async with asyncio.timeout(60):
        async for snapshot in peer.watch():
            if is_wanted(snapshot):
                return snapshot
    raise AssertionError("watching never ends by itself")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
async def test_rings_of_any_size_answer_as_one_process_does_from_every_peer(
    config: PeerConfig, tiny: Path, count: int
) -> None:
    async with mesh(config, count) as peers:
        assert has_stages(peers[0].snapshot(), count)
        for prompt in PROMPTS:
            expected = greedy_text(tiny, prompt, 16)
            for peer in peers:
                assert await answer(peer, prompt) == expected


async def test_a_token_makes_no_task(config: PeerConfig) -> None:
    made: list[Any] = []

    def make(loop: asyncio.AbstractEventLoop, coro: Any, **how: Any) -> asyncio.Task[Any]:
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **how)

    async with mesh(config, 3) as peers, aclosing(peers[0].generate("abc", max_tokens=120)) as pieces:
        await anext(pieces)
        asyncio.get_running_loop().set_task_factory(make)
        tokens = sum([1 async for _ in pieces])
        asyncio.get_running_loop().set_task_factory(None)
    assert tokens > 60
    # Gossip makes some, now and then, and the planner more the longer it takes: on a busy machine, many.
    kinds = Counter(each.__qualname__ for each in made)
    del kinds["Placement._think_about"]
    assert all(count < tokens / 2 for count in kinds.values()), kinds


async def test_a_seeded_draw_is_the_same_whatever_the_ring(config: PeerConfig) -> None:
    warm = Sampling(temperature=0.8, top_p=0.95, repetition_penalty=1.1, presence_penalty=0.2, seed=1234)
    drawn = set()
    for count in (1, 2, 4):
        async with mesh(config, count) as peers:
            for peer in (peers[0], peers[-1]):
                drawn.add(await answer(peer, PROMPTS[0], sampling=warm))
    assert len(drawn) == 1


async def test_another_seed_draws_another_answer(config: PeerConfig) -> None:
    async with mesh(config, 1) as (peer,):
        texts = {await answer(peer, "abc", sampling=Sampling(temperature=1.0, seed=s)) for s in range(4)}
    assert len(texts) > 1


async def test_eight_readers_at_once_each_get_their_own_answer(config: PeerConfig, tiny: Path) -> None:
    prompts = [f"{number} is the number that I like" for number in range(8)]
    async with mesh(config, 2) as peers:
        answers = await asyncio.gather(*(answer(peers[i % 2], prompt) for i, prompt in enumerate(prompts)))
    assert answers == [greedy_text(tiny, prompt, 16) for prompt in prompts]


async def test_a_long_prompt_goes_round_in_pieces_and_changes_nothing(config: PeerConfig, tiny: Path) -> None:
    pieces = replace(config, requests=RequestLimits(prefill_chunk_tokens=2048))
    prompt = "Tell me of the mesh and of its peers. " * 8
    async with mesh(pieces, 2) as (peer, _):
        assert await answer(peer, prompt) == greedy_text(tiny, prompt, 16)


async def test_all_peers_show_the_same_mesh(config: PeerConfig) -> None:
    async with mesh(config, 3) as peers:
        for peer in peers:
            await shown(peer, lambda s: all(m.phase is Phase.ACTIVE for m in s.mesh.members))
        # In the end: one may hear a moment later than the others that somebody was slow.
        async with asyncio.timeout(60):
            while not all(peer.snapshot().mesh == peers[0].snapshot().mesh for peer in peers):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_stop_string_ends_the_answer_and_is_not_shown(config: PeerConfig, tiny: Path) -> None:
    whole = greedy_text(tiny, PROMPTS[0], 16)
    stop = whole[5:8]
    async with mesh(config, 2) as (peer, _), asyncio.timeout(60):
        pieces = [piece async for piece in peer.generate(PROMPTS[0], max_tokens=16, stop=(stop,))]
    assert "".join(piece.text for piece in pieces) == whole[: whole.index(stop)]
    assert pieces[-1].finish is Finish.STOP


async def test_an_answer_goes_on_behind_stop_tokens_where_they_are_ignored(
    config: PeerConfig, tmp_path: Path
) -> None:
    ending = replace(config, model=str(make_tiny_model(tmp_path / "ending", ends=True)))
    async with mesh(ending, 2) as (peer, _), asyncio.timeout(60):
        stopped = [piece async for piece in peer.generate(PROMPTS[0], max_tokens=32)][-1]
        ignored = [piece async for piece in peer.generate(PROMPTS[0], max_tokens=32, ignores_stops=True)][-1]
    assert stopped.finish is Finish.STOP
    assert (ignored.finish, ignored.answer_tokens) == (Finish.LENGTH, 32)


async def test_a_reader_that_leaves_frees_its_place_on_every_peer(config: PeerConfig) -> None:
    only_one = replace(config, requests=RequestLimits(max_running=1))
    async with mesh(only_one, 2) as peers:
        async with asyncio.timeout(60), aclosing(peers[1].generate("abc", max_tokens=100)) as pieces:
            async for _ in pieces:
                break
        # Only one may run: this one runs if the other is gone.
        assert await answer(peers[0], "abc", max_tokens=4)


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_when_a_peer_leaves_in_the_middle_of_an_answer_it_goes_on(
    config: PeerConfig, tiny: Path, gone: int
) -> None:
    expected = greedy_text(tiny, PROMPTS[0], 40)
    async with mesh(replace(config, min_peers=1), 2) as peers:
        third = Peer(replace(config, name="p9", peers=(seed_of(peers[0]),)))
        async with third:
            await shown(third, lambda s: s.mesh.is_live and has_stages(s, 3))
            text, pieces = "", peers[0].generate(PROMPTS[0], max_tokens=40)
            async with asyncio.timeout(60), aclosing(pieces):
                async for piece in pieces:
                    text += piece.text
                    if piece.answer_tokens == 5 + gone:
                        await third.__aexit__(None, None, None)
    assert text == expected


async def test_a_peer_without_a_model_follows_the_mesh_where_it_can_and_says_why_not(
    config: PeerConfig, tmp_path: Path
) -> None:
    path = make_tiny_model(tmp_path / "elsewhere")
    async with mesh(replace(config, model=str(path)), 1) as (peer,):
        # As on another machine, where nothing lies at this path.
        path.rename(tmp_path / "moved")
        guest = Peer(replace(config, name="guest", model=None, peers=(seed_of(peer),)))
        async with guest:
            assert "directory of another machine" in (await shown(guest, lambda s: bool(s.fault))).fault
            with pytest.raises(NoRing, match="directory of another machine"):
                await answer(guest, "abc")


async def test_a_model_is_run_cast_and_adapted_by_all_that_follow(
    config: PeerConfig, tiny: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "poems", tiny)
    own = replace(config, dtype="bfloat16", adapter=str(adapter), name="p0", min_peers=2)
    guest = replace(config, model=None, name="p1", cache_dir=tmp_path / "another")
    async with Peer(own) as first, Peer(replace(guest, peers=(seed_of(first),))) as second:
        for peer in (first, second):
            seen = await shown(peer, lambda s: s.mesh.is_live and has_stages(s, 2))
            assert [model.name for model in seen.mesh.models] == ["tiny+bfloat16+poems"]
        expected = adapted_text(tiny, adapter, PROMPTS[0], 16)
        assert [await answer(peer, PROMPTS[0]) for peer in (first, second)] == [expected] * 2
    assert expected != greedy_text(tiny, PROMPTS[0], 16)


async def test_the_same_name_with_other_content_holds_no_layers_and_is_told(
    config: PeerConfig, tmp_path: Path, tiny: Path
) -> None:
    other = make_tiny_model(tmp_path / "other" / "tiny", layers=4, seed=99)
    async with mesh(config, 1) as (peer,):
        impostor = Peer(replace(config, name="impostor", model=str(other), peers=(seed_of(peer),)))
        async with impostor:
            fault = (await shown(impostor, lambda s: bool(s.fault))).fault
            assert "differs from the one that the mesh runs" in fault
            assert await answer(peer, "abc") == greedy_text(tiny, "abc", 16)
            assert has_stages(peer.snapshot(), 1)


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        ({"prompt": ""}, RequestError, "prompt is empty"),
        ({"prompt": []}, RequestError, "prompt is empty"),
        ({"prompt": "x" * 20_000}, PromptTooLong, "tokens, tiny takes"),
        ({"prompt": "x", "max_tokens": 0}, RequestError, "max_tokens is 0"),
        ({"prompt": "x", "max_tokens": -3}, RequestError, "max_tokens is -3"),
        ({"prompt": [10**9]}, RequestError, "outside the model's vocabulary"),
        ({"prompt": "x", "model": "huge"}, WrongModel, "the mesh runs tiny, not huge"),
        ({"prompt": "x", "deadline_s": 0}, RequestError, "deadline_s is 0"),
        ({"prompt": "x", "deadline_s": float("nan")}, RequestError, "deadline_s is nan"),
    ],
)
async def test_what_cannot_be_asked_is_refused_and_the_peer_lives_on(
    config: PeerConfig, tiny: Path, request_: dict[str, object], error: type[Exception], words: str
) -> None:
    async with mesh(config, 1) as (peer,):
        with pytest.raises(error, match=words):
            async for _ in peer.generate(**request_):  # type: ignore[arg-type]
                pass
        assert await answer(peer, "abc") == greedy_text(tiny, "abc", 16)


async def test_more_answers_than_a_peer_writes_at_once_are_refused(config: PeerConfig) -> None:
    one_reader = replace(config, requests=RequestLimits(max_open=1))
    async with mesh(one_reader, 1) as (peer,), aclosing(peer.generate("abc", max_tokens=100)) as pieces:
        await anext(pieces)
        with pytest.raises(Overloaded, match="writes 1 answers already"):
            await answer(peer, "abc")


@pytest.mark.parametrize(("asked_s", "configured_s"), [(0.05, 3600.0), (3600.0, 0.05), (None, 0.05)])
async def test_an_answer_that_takes_too_long_is_cancelled_everywhere(
    config: PeerConfig, asked_s: float | None, configured_s: float
) -> None:
    hasty = replace(config, requests=RequestLimits(deadline_s=configured_s, max_running=1))
    async with mesh(hasty, 2) as (peer, other):
        with pytest.raises(DeadlineExceeded, match=r"not whole within 0\.05 s"):
            async for _ in peer.generate("abc", max_tokens=2000, deadline_s=asked_s):
                pass
        # Only one may run, and its reader has less time than the first answer would have taken.
        if asked_s == 0.05:
            assert await answer(other, "abc", max_tokens=4)


async def test_a_model_that_does_not_fit_is_refused_with_numbers(config: PeerConfig) -> None:
    small = replace(config, memory_bytes=100_000)
    async with Peer(small) as peer:
        await shown(peer, lambda s: "tiny needs" in s.mesh.reason)
        with pytest.raises(NoRing, match="tiny needs"):
            await answer(peer, "abc")


async def test_an_interface_that_does_not_exist_is_an_error_that_lists_those_that_do(
    config: PeerConfig,
) -> None:
    with pytest.raises(ConfigError, match=r"--clear-on-cables 'nosuch7' is no interface .*: it has .*lo"):
        async with Peer(replace(config, clear_on_cables=("nosuch7",))):
            pass


async def test_a_taken_port_is_named(config: PeerConfig) -> None:
    async with Peer(config) as peer:
        with pytest.raises(ConfigError, match="already in use"):
            async with Peer(replace(config, name="other", listen=seed_of(peer))):
                pass


async def test_a_name_in_use_on_this_machine_is_refused_and_a_default_one_is_numbered(
    config: PeerConfig,
) -> None:
    async with Peer(config) as first, Peer(config) as second:
        assert second.name == f"{first.name}-2"
        with pytest.raises(ConfigError, match="runs on this machine already"):
            async with Peer(replace(config, name=first.name)):
                pass


async def test_when_a_peer_stops_its_readers_are_told(config: PeerConfig) -> None:
    async with mesh(config, 1) as (peer,):
        pieces = peer.generate("abc", max_tokens=2000)
        await anext(pieces)
        await peer.__aexit__(None, None, None)
        with pytest.raises(RingBroken, match="this peer stopped"):
            async for _ in pieces:
                pass


async def test_a_peer_that_left_is_shown_as_such(config: PeerConfig) -> None:
    async with mesh(replace(config, min_peers=1), 1) as (peer,):
        async with Peer(replace(config, name="guest", peers=(seed_of(peer),))) as guest:
            async with asyncio.timeout(60):
                await guest.until_live()
        await shown(peer, lambda s: ("guest", Status.LEFT) in [(m.name, m.status) for m in s.mesh.members])


async def test_a_peer_that_is_asked_to_leave_tells_who_waits_for_it(config: PeerConfig) -> None:
    async with mesh(config, 1) as (peer,), asyncio.timeout(60):
        assert not peer.ask_to_leave()
        async with asyncio.TaskGroup() as group:
            group.create_task(peer.wait())
            await asyncio.sleep(0)
            assert peer.ask_to_leave()
        await peer.wait()


async def test_leaving_finishes_the_answers_of_the_api_before_others_take_over(config: PeerConfig) -> None:
    with_api = replace(config, api=ApiConfig(), requests=RequestLimits(finish_timeout_s=120.0))
    async with mesh(with_api, 2) as (peer, _), httpx2.AsyncClient(timeout=60) as client:
        body = {"prompt": "abc", "max_tokens": 200, "stream": True}
        async with client.stream("POST", f"{peer.api_url}/v1/completions", json=body) as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            async with asyncio.TaskGroup() as group:
                group.create_task(peer.__aexit__(None, None, None))
                assert [line async for line in lines][-2] == "data: [DONE]"


async def test_answers_that_take_too_long_do_not_keep_a_peer_from_leaving(config: PeerConfig) -> None:
    hasty = replace(config, api=ApiConfig(), requests=RequestLimits(finish_timeout_s=0.0))
    async with mesh(hasty, 1) as (peer,), httpx2.AsyncClient(timeout=60) as client:
        body = {"prompt": "abc", "max_tokens": 2000, "stream": True}
        async with client.stream("POST", f"{peer.api_url}/v1/completions", json=body) as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            async with asyncio.TaskGroup() as group:
                group.create_task(peer.__aexit__(None, None, None))
                assert '"code":"stopping"' in [line async for line in lines][-2]


async def test_a_reader_whose_peer_goes_away_gets_the_same_text_from_another_under_its_key(
    config: PeerConfig,
) -> None:
    hasty = replace(config, min_peers=1, api=ApiConfig(), requests=RequestLimits(finish_timeout_s=0.0))
    body, key = {"prompt": "abc", "max_tokens": 300, "stream": True}, {"Idempotency-Key": "a reader's"}
    async with mesh(hasty, 2) as (goes, stays), httpx2.AsyncClient(timeout=60) as client:
        texts = []
        for peer in (goes, stays):
            text = ""
            async with client.stream(
                "POST", f"{peer.api_url}/v1/completions", json=body, headers=key
            ) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith('data: {"id"'):
                        text += json.loads(line.removeprefix("data: "))["choices"][0]["text"]
                    if peer is goes and len(text) > 10:
                        break
            texts.append(text)
            if peer is goes:
                await goes.__aexit__(None, None, None)
                await shown(stays, lambda s: s.mesh.is_live and has_stages(s, 1))
    assert texts[1].startswith(texts[0])
    assert len(texts[1]) > len(texts[0])


async def test_a_drained_peer_hands_its_layers_over_and_answers_from_the_others(config: PeerConfig) -> None:
    async with mesh(config, 2) as (one, other), asyncio.timeout(60):
        before = await text_of(other)
        await other.drain()
        async for seen in one.watch():
            drained = {member.name: member.drain for member in seen.mesh.members}
            if drained["p1"] == "drained" and seen.mesh.is_live:
                break
        assert [stage.name for stage in one.snapshot().mesh.models[0].ring] == ["p0"]
        assert await text_of(other) == before
        await other.drain(False)
        async for seen in other.watch():
            if len(seen.mesh.models[0].ring) == 2 and seen.mesh.is_live:
                break
        assert await text_of(other) == before


async def text_of(peer: Peer) -> str:
    return "".join([piece.text async for piece in peer.generate("Hello", max_tokens=8)])


async def test_a_peer_knows_its_machine_soon_and_holds_up_nothing_for_it(config: PeerConfig) -> None:
    async with Peer(replace(config, model=None)) as peer:
        async for _ in peer.watch():
            if peer.machine is not None:
                break
        assert peer.machine is not None
        assert peer.machine.hardware.cores >= 1
        # Nothing is made up where no meter can be read.
        assert peer.watts is None or peer.watts.watts >= 0


@pytest.mark.parametrize("actor", ["requests", "head"])
async def test_an_actor_that_is_made_anew_learns_at_once_how_models_are_served(
    config: PeerConfig, actor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: dict[str, Mailbox[Any]] = {}

    def make(name: str, capacity: int) -> Mailbox[Any]:
        boxes[name] = Mailbox(name, capacity)
        return boxes[name]

    monkeypatch.setattr("meshinfer.peer.compose", partial(compose, make_mailbox=make))
    async with mesh(config, 1) as (peer,):
        whole = await answer(peer, "abc")
        # No actor can take this.
        await boxes[actor].tell("nonsense")
        assert await answer(peer, "abc") == whole
