"""The membership protocol over a simulated network. A failure's text says how to see the same run again."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer.topology.knobs import lan, large
from meshinfer.topology.member import Status
from meshinfer.topology.outbox import Reach
from meshinfer.topology.ring import Run
from tests.simulation.gossip import Air, GossipWorld, peer_id
from tests.simulation.scenarios import Swarm, chaos, death, idle, lossy, slow_members, update

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT
SETTLED_S = 3.0


def world(name: str, count: int, *, air: Air | None = None, is_strange: bool = False) -> GossipWorld:
    """A world that has settled."""
    made = GossipWorld(count, name, lan(), air, is_strange=is_strange)
    made.run(SETTLED_S)
    return made


def thoughts(here: GossipWorld) -> dict[tuple[int, int], Status | None]:
    """What each that is up thinks of each that is up."""
    up = [node.index for node in here.nodes if node.is_up]
    return {(viewer, subject): here.status(viewer, subject) for viewer in up for subject in up}


def is_whole(here: GossipWorld) -> bool:
    return set(thoughts(here).values()) == {ALIVE}


def until(here: GossipWorld, holds: Callable[[GossipWorld], bool], limit_s: float) -> float:
    """Seconds until it holds; asks ten times a second."""
    began_s = here.now_s
    while not holds(here):
        assert here.now_s < began_s + limit_s, f"not within {limit_s} s: {here.replay}: {thoughts(here)}"
        here.run(here.now_s + 0.1)
    return here.now_s - began_s


def knows_gone(index: int, status: Status) -> Callable[[GossipWorld], bool]:
    def holds(here: GossipWorld) -> bool:
        others = [node.index for node in here.nodes if node.is_up and node.index != index]
        return all(here.status(viewer, index) is status for viewer in others)

    return holds


def stays_whole(here: GossipWorld, duration_s: float) -> None:
    here.run(here.now_s + duration_s)
    assert is_whole(here), f"{here.replay}: {thoughts(here)}"
    rebirths = sum(node.core.counts["rebirths"] for node in here.nodes)
    assert rebirths == 0, f"{here.replay}: {rebirths} were wronged"


# --- deaths


@pytest.mark.parametrize("count", [2, 3, 8, 16])
def test_a_killed_process_is_known_to_all_at_once(count: int) -> None:
    for seed in range(5):
        found = death(count, seed, lan(), lambda here: here.kill(0))
        assert (found.all_s < 1.2, found.wronged) == (True, 0), f"death({count}, {seed}, kill): {found}"


@pytest.mark.parametrize(("count", "goal_s", "most_s"), [(3, 3.5, 4.5), (8, 3.5, 5.0), (16, 3.6, 6.0)])
def test_a_silent_host_is_known_to_all_within_the_goal(count: int, goal_s: float, most_s: float) -> None:
    runs = [death(count, seed, lan(), lambda here: here.silence(0)) for seed in range(7)]
    times = [run.all_s for run in runs]
    assert statistics.median(times) <= goal_s, f"death({count}, 0…6, silence): {times}"
    assert max(times) <= most_s, f"death({count}, {times.index(max(times))}, silence): {max(times)}"
    assert [run.wronged for run in runs] == [0] * 7


def test_of_two_the_survivor_waits_until_it_trusts_itself() -> None:
    for seed in range(3):
        found = death(2, seed, lan(), lambda here: here.silence(0))
        assert 10.0 < found.all_s < 13.5, f"death(2, {seed}, silence): {found}"


def test_many_that_die_at_once_are_all_known() -> None:
    here = world("many die", 16)
    for index in range(5):
        here.silence(index)
    until(here, lambda w: all(knows_gone(index, DEAD)(w) for index in range(5)), 40.0)
    assert is_whole(here), here.replay


def test_a_peer_that_leaves_is_never_taken_for_dead() -> None:
    for count in (2, 3, 8):
        here = world("leave", count)
        here.leave(0)
        until(here, knows_gone(0, LEFT), 0.2)
        here.run(here.now_s + 20.0)
        assert knows_gone(0, LEFT)(here), here.replay


# --- nobody is wronged


@pytest.mark.parametrize(("count", "slow", "stall_s"), [(2, 1, 8.0), (3, 1, 8.0), (16, 2, 16.0)])
def test_slow_members_kill_nobody_healthy(count: int, slow: int, stall_s: float) -> None:
    wrongs = slow_members(count, slow, stall_s, 1, lan(), duration_s=60.0)
    assert wrongs.deaths == 0, f"slow_members({count}, {slow}, {stall_s}, 1): {wrongs}"


@pytest.mark.parametrize("count", [2, 3, 8])
def test_loss_of_5_percent_kills_nobody(count: int) -> None:
    wrongs = lossy(count, 0.05, 1, lan(), duration_s=200.0)
    assert wrongs.deaths == 0, f"lossy({count}, 0.05, 1): {wrongs}"


def test_packets_that_come_twice_and_late_change_nothing() -> None:
    stays_whole(world("twice", 8, air=Air(jitter_s=0.15, duplicate=0.3)), 60.0)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_where_no_datagram_passes_links_will_do(count: int) -> None:
    here = world("no datagrams", count)
    for source in range(count):
        for target in range(count):
            here.mute(source, target)
    stays_whole(here, 60.0)
    here.silence(0)
    assert until(here, knows_gone(0, DEAD), 30.0) < (14.0 if count == 2 else 6.0)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_way_that_carries_datagrams_in_one_direction_only_wrongs_nobody(count: int) -> None:
    here = world("one way", count)
    here.mute(0, 1)
    stays_whole(here, 60.0)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_machine_that_moves_is_found_where_it_is(count: int) -> None:
    here = world("move", count)
    here.move(0)
    stays_whole(here, 20.0)


# --- coming back


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_restarted_process_is_there_again_under_a_new_run(count: int) -> None:
    here = world("restart", count)
    here.restart(0)
    until(here, is_whole, 3.0)
    assert {here.nodes[i].core.claim(peer_id(0)).run for i in range(1, count)} == {2}  # type: ignore[union-attr]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_all_may_restart_together(count: int) -> None:
    here = world("all restart", count)
    for index in range(count):
        here.restart(index)
    for index in range(1, count):
        # As seeds would.
        here.link(0, index)
    until(here, is_whole, 3.0)
    stays_whole(here, 10.0)


@pytest.mark.parametrize("asleep_s", [1.0, 10.0, 120.0])
def test_a_sleeping_peer_returns_and_holds_its_sleep_against_nobody(asleep_s: float) -> None:
    for count in (2, 3, 8):
        here = world("sleep", count)
        here.stall(0, freezes=True)
        here.run(here.now_s + asleep_s)
        here.resume(0)
        until(here, is_whole, 5.0)
        others = sum(node.core.counts["rebirths"] for node in here.nodes[1:])
        assert others == 0, f"{here.replay}: {others} were wronged"


@pytest.mark.parametrize(("count", "apart_s"), [(2, 30.0), (8, 2.0), (8, 30.0), (4, 700.0)])
def test_two_halves_that_were_apart_are_one_again(count: int, apart_s: float) -> None:
    here, half = world("split", count), count // 2
    here.split(list(range(half)), list(range(half, count)))
    here.run(here.now_s + apart_s)
    if apart_s >= 30.0:
        lost = {pair for pair, thought in thoughts(here).items() if thought is DEAD}
        assert lost == {(a, b) for a in range(count) for b in range(count) if (a < half) != (b < half)}, (
            here.replay
        )
    here.heal()
    # Each tries one of the dead every 5 s; here any of them will do.
    until(here, is_whole, 12.0)
    # Who was taken for dead began one new life, and no more.
    assert max(node.core.counts["rebirths"] for node in here.nodes) <= 1, here.replay


def test_groups_that_never_met_become_one_through_one_link() -> None:
    here = world("strange", 8, is_strange=True)
    for index in (1, 2, 3):
        here.link(0, index)
        here.link(4, 4 + index)
    here.run(here.now_s + 3.0)
    assert here.status(0, 5) is None
    here.link(3, 6)
    assert until(here, is_whole, 5.0) < 2.0
    until(here, lambda w: len(w.links) == 28, 3.0)


def test_a_peer_alone_lives_on_and_takes_in_the_next() -> None:
    here = world("alone", 2, is_strange=True)
    here.run(30.0)
    assert here.nodes[0].sent_packets == 0
    here.link(0, 1)
    until(here, is_whole, 1.0)


def test_two_machines_with_one_id_do_not_bring_the_others_down() -> None:
    here = world("one id", 4)
    original = here.nodes[3]
    known = tuple(here.nodes[index].core.own for index in range(3))
    twin = here.add(replace(original.core.own, addresses=("tcp://twin:1",)), known)
    here._by_peer[twin.peer] = original
    here.act(twin, twin.core.begin_run(Run(2), here.now_s))
    here.run(63.0)
    assert {here.status(a, b) for a in range(3) for b in range(3)} == {ALIVE}, here.replay
    # They outbid each other ever more rarely, and are not counted on.
    assert 2 <= here.lives < 30, f"{here.replay}: {here.lives} lives in a minute"
    assert [node.core.own.is_eligible for node in (original, twin)] == [False, False]


@pytest.mark.parametrize("seed", range(8))
def test_after_whatever_happened_all_know_the_same_again(seed: int) -> None:
    swarm = Swarm(seed, lan())
    swarm.run()
    until(swarm.world, lambda _: swarm.agrees, 12.0)


# --- what it costs


@pytest.mark.parametrize("count", [2, 8, 16])
def test_a_quiet_mesh_says_no_more_than_its_probes(count: int) -> None:
    quiet = idle(count, 0, lan(), duration_s=10.0)
    assert quiet.packets_per_s < 4.5
    assert quiet.bytes_per_s < 500


def test_after_everything_that_happened_it_is_as_quiet_and_as_small_as_before() -> None:
    here = world("quiet again", 8)
    for round_s in range(6):
        here.split([0, 1, 2, 3], [4, 5, 6, 7])
        here.run(here.now_s + 12.0)
        here.heal()
        here.stall(1)
        here.run(here.now_s + 8.0 + round_s)
        here.resume(1)
    until(here, is_whole, 20.0)
    here.run(here.now_s + 60.0)
    before = sum(node.sent_packets for node in here.nodes)
    here.run(here.now_s + 10.0)
    # Probes, and what little is published as losses are forgiven.
    assert (sum(node.sent_packets for node in here.nodes) - before) / 80 < 6.0, here.replay
    for node in here.nodes:
        state = node.core._state
        assert not state.out.has_news, here.replay
        assert len(state.timers._heap) < 25, here.replay
        assert len(node.core._prober._probes) + len(node.core._prober._relays) < 6, here.replay


def test_one_update_is_with_all_of_64_in_a_moment() -> None:
    took_s = update(64, 0, large())
    assert took_s < 0.6, f"update(64, 0): {took_s}"


def test_a_record_too_long_for_packets_is_with_all_of_64_and_not_all_ask_its_owner() -> None:
    here = GossipWorld(64, "long record", large())
    here.run(SETTLED_S)
    author, dials = here.nodes[0], []
    here.on_effect = lambda node, effect: dials.append(effect) if isinstance(effect, Reach) else None
    long = replace(author.core.own, models=tuple(peer_id(index) for index in range(64)))
    here.act(author, author.core.publish(long, (), here.now_s))

    def all_have_it(w: GossipWorld) -> bool:
        return all((held := n.core.record(author.peer)) and held.models for n in w.nodes)

    until(here, all_have_it, 3.0)
    assert len(dials) < 2 * 64, here.replay
    assert sum(0 in pair for pair in here.links) < 16, here.replay


# --- one seed is one run


@pytest.mark.parametrize("air", [Air(), Air(loss=0.1, duplicate=0.05)])
def test_one_seed_is_one_run_byte_for_byte(air: Air) -> None:
    assert chaos(8, 1, lan(), air) == chaos(8, 1, lan(), air) != chaos(8, 2, lan(), air)


def test_the_order_of_hashes_decides_nothing() -> None:
    script = "from tests.simulation.scenarios import chaos; from meshinfer.topology.knobs import lan"
    traces = {
        subprocess.run(
            [sys.executable, "-c", f"{script}; print(chaos(8, 1, lan()))"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(traces) == 1, traces
