"""Whole peers in virtual time: a few seeds of the swarm; and what must be found is found."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from meshinfer.transports.weather import Weather
from tests.simulation.chance import Chance
from tests.simulation.mesh import Outcome, play
from tests.simulation.mutants import mutated
from tests.simulation.run import main, play_seed, story_of
from tests.simulation.story import Setting, Story, Trouble, draw_story

SEEDS = range(1, 4)
CALM = Setting(
    memory_shares=(1200, 1200, 1200),
    paces=(1.0, 1.0, 1.0),
    late=frozenset(),
    layers=6,
    stages="all",
    min_peers=1,
    piece_s=0.05,
    step_s=0.001,
    think_s=0.001,
    request_every_s=1.0,
    prefill_chunk_tokens=5,
    max_running=4,
    max_waiting=64,
    flap_limit=1000,
    drain_s=3.0,
    is_parted=False,
    is_hybrid=False,
    weather=Weather(delay_s=0.001, jitter_s=0.0001),
    chaos_s=10.0,
)


def troubled(*troubles: Trouble, setting: Setting = CALM, seed: int = 1) -> Outcome:
    return play(seed, Story(setting, troubles))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_befalls_a_mesh_nothing_happens_that_must_not(seed: int) -> None:
    outcome = play_seed(seed, chaos_s=10.0)
    assert not outcome.violations, f"python -m tests.simulation.run --seed {seed} --chaos 10 -v"


def test_two_models_are_read_from_the_same_machines_and_no_request_meets_the_others_plan() -> None:
    setting = replace(CALM, models=2, memory_shares=(1200, 1200, 1200))
    outcome = troubled(
        Trouble(4.0, "crash", 1, 0, 2.0, 0.5), Trouble(7.0, "leave", 2, 0, 2.0, 0.5), setting=setting
    )
    assert not outcome.violations
    # Machines take up a plan of one model while they compute under one of the other.
    assert outcome.counts["models"] >= 3
    assert [(peace.is_live, len(peace.live)) for peace in outcome.peace] == [(True, 2)]


def test_where_there_is_room_for_one_the_first_model_runs_and_the_other_says_why_not() -> None:
    outcome = troubled(setting=replace(CALM, models=2, memory_shares=(250, 250, 250)), seed=3)
    assert not outcome.violations
    assert [(peace.is_live, len(peace.live)) for peace in outcome.peace] == [(False, 1)]


def test_without_troubles_everybody_reads_from_one_ring_all_the_time() -> None:
    outcome = troubled(seed=4)
    assert not outcome.violations
    assert outcome.counts["installs"] == outcome.counts["activations"] == 3
    (peace,) = outcome.peace
    assert (peace.peers, peace.is_live, peace.settled_s) == (3, True, 0.0)
    ended = outcome.counts["answered"] + outcome.counts["abandoned"] + outcome.counts["NoRing"]
    assert ended == outcome.counts["begun"] > 30


def test_where_nothing_fits_that_is_said_and_nothing_is_loaded() -> None:
    outcome = troubled(setting=replace(CALM, memory_shares=(200, 200, 200)))
    assert not outcome.violations
    assert outcome.counts["installs"] == 0
    assert not outcome.peace[0].is_live


def test_two_parts_of_a_mesh_serve_each_by_itself() -> None:
    outcome = troubled(setting=replace(CALM, is_parted=True))
    assert not outcome.violations
    assert [(peace.peers, peace.is_live) for peace in outcome.peace] == [(2, True), (1, True)]


def test_a_process_that_dies_is_replaced_within_seconds() -> None:
    outcome = troubled(Trouble(9.0, "crash", 1, 0, 60.0, 0.0))
    assert not outcome.violations
    assert outcome.troubles["crash"] == 1
    assert outcome.peace[0].peers == 2
    assert outcome.peace[0].settled_s < 3.0


def test_the_same_seed_is_the_same_run_and_another_is_not() -> None:
    first, again, other = (play_seed(seed, chaos_s=5.0).digest for seed in (9, 9, 10))
    assert first == again != other


def test_a_run_is_the_same_under_every_hash_seed() -> None:
    words = ("-m", "tests.simulation.run", "--seed", "9", "--chaos", "5")
    traces = set()
    for number in ("1", "2"):
        done = subprocess.run(
            [sys.executable, *words],
            env=os.environ | {"PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            timeout=150,
            check=True,
        )
        traces.add(done.stdout.splitlines()[-1])
    assert traces == {f"trace {play_seed(9, chaos_s=5.0).digest}"}


QUICK = replace(CALM, chaos_s=6.0)
BUSY = replace(CALM, memory_shares=(1500, 1500, 1500), request_every_s=0.2, step_s=0.02, chaos_s=14.0)
# setting, troubles, what is broken then, and the first seed to try
MUTANTS = {
    # What a sleeper had sent comes when the others follow another plan.
    "no-fence": (
        BUSY,
        [Trouble(4.0, "freeze", 0, 0, 4.0, 0.5), Trouble(10.0, "freeze", 1, 0, 3.9, 0.5)],
        {"I2", "I4", "I7"},
        2,
    ),
    "no-unanimity": (QUICK, [], {"I4"}, 1),
    # They think for unlike times, and propose the same under unlike epochs.
    "no-adoption": (replace(QUICK, think_s=0.3), [], {"I8"}, 1),
    # Who slept so long that it was taken for dead begins a new run in the same process.
    "no-run": (
        replace(QUICK, memory_shares=(1200, 300), chaos_s=20.0),
        [Trouble(3.0, "sleep", 0, 0, 16.0, 0.5)],
        {"I8"},
        1,
    ),
    "no-demotion": (QUICK, [Trouble(4.0, "crash", 1, 0, 1.0, 0.0)], {"I8"}, 1),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_safeguard_taken_away_is_missed_at_once(mutant: str) -> None:
    setting, troubles, names, first = MUTANTS[mutant]
    for seed in range(first, first + 4):
        with mutated(mutant):
            found = troubled(*troubles, setting=setting, seed=seed).violations
        if found:
            assert {violation.name for violation in found} & names
            assert not troubled(*troubles, setting=setting, seed=seed).violations
            return
    pytest.fail(f"four meshes live well with {mutant}")


def test_a_story_without_troubles_keeps_its_setting_and_its_numbers() -> None:
    story = next(story for seed in range(1, 99) if len((story := story_of(seed)).troubles) > 4)
    kept = story.without(frozenset({0, 2}))
    assert kept.setting == story.setting
    assert kept.troubles == (story.troubles[1], *story.troubles[3:])
    assert draw_story(Chance(5).below("story")) == story_of(5)


def test_a_failure_is_told_with_the_command_that_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "300..300", "--jobs", "1", "--mutate", "no-unanimity"]) == 1
    told = capsys.readouterr().out
    assert "FAILED seed 300: I4 at " in told
    assert "replay: python -m tests.simulation.run --seed 300 --mutate no-unanimity -v" in told
    assert "1 runs, 0.0 virtual hours; 1 failed" in told
