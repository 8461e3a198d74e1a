"""A short run of everything that is fuzzed, without a fuzzer: inputs as they are drawn blindly."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from . import __main__ as command
from .farm import Farm, Terms
from .mutating import exchanged, inputs, mutated
from .target import JSON, MAX_INPUT_BYTES, Target
from .targets import TARGETS, chosen
from .watch import Finding, State, Watch, keep, watching_time

_INPUTS = 150


@pytest.fixture(autouse=True)
def _watching_time() -> Iterator[None]:
    with watching_time():
        yield


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_no_input_does_what_none_may(target: Target) -> None:
    watch, drawn = Watch(target), inputs(target, Random(1))
    for _ in range(_INPUTS):
        watch.attempt(next(drawn))


@settings(max_examples=300)
@given(st.sampled_from(sorted(TARGETS)), st.binary(max_size=300))
def test_no_noise_does_what_none_may(name: str, data: bytes) -> None:
    Watch(TARGETS[name]).attempt(data)


def test_seeds_are_real_ones() -> None:
    # A target whose seeds are all refused tries nothing but the first check.
    barren = []
    for name, target in TARGETS.items():
        taken = [seed for seed in target.seeds() if _is_taken(target, seed)]
        if not taken:
            barren.append(name)
    # An index tells of files that are not there.
    assert barren == ["file.index"]


def _is_taken(target: Target, seed: bytes) -> bool:
    try:
        target.run(seed)
    except target.allowed:
        return False
    return True


def test_what_is_found_is_kept_and_can_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fragile(data: bytes) -> None:
        if b"!" in data:
            raise KeyError(data)

    target = Target("fragile", fragile, (ValueError,), lambda: [b"a"])
    with pytest.raises(Finding, match="KeyError") as found:
        Watch(target).attempt(b"oh!")
    file = keep(found.value, target, tmp_path)
    assert file.read_bytes() == b"oh!"
    monkeypatch.setitem(TARGETS, "fragile", target)
    assert command.main(["--target", "fragile", "--replay", str(file)]) == 1
    assert "KeyError" in capsys.readouterr().out
    file.write_bytes(b"ah")
    assert command.main(["--target", "fragile", "--replay", str(file)]) == 0


def test_an_input_that_takes_too_long_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_: bytes) -> None:
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.watch.LIMIT_S", 0.05)
    with pytest.raises(Finding, match="of processor time"):
        Watch(Target("endless", endless, (), lambda: [b""])).attempt(b"")


def test_a_process_fuzzes_and_tells_how_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--target", "address", "--inputs", "500", "--engine", "blind", "--jobs", "1"]
    assert command.main([*options, "--folder", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "address: 500 inputs" in out
    assert "500 inputs to 1 targets" in out
    assert "0 findings, no process grew by more than" in out


def test_what_a_process_finds_is_told_at_the_end_with_its_input(tmp_path: Path) -> None:
    farm = Farm([TARGETS["address"]], Terms(1, 1.0, 1, "blind", 1, tmp_path), lambda _: None)
    state = State(tmp_path / "state")
    state.note(3, b"tcp://" + b"!" * 500)
    farm._take(TARGETS["address"], -11, "", "Segmentation fault", state)
    told = farm.report()
    assert "the process ended with -11 at input 3\nSegmentation fault" in told
    assert f"input: {b'tcp://' + b'!' * 394!r} and 106 bytes more" in told
    assert "replay: python -m tests.fuzz --target address --replay" in told


def test_targets_are_chosen_by_the_beginning_of_their_names() -> None:
    assert [target.name for target in chosen("gossip")] == [name for name in TARGETS if name[:7] == "gossip."]
    assert chosen("") == list(TARGETS.values())
    with pytest.raises(ValueError, match="no target 'gossi'"):
        chosen("gossi")


@given(st.integers(), st.binary(max_size=40))
def test_mutations_come_from_their_seed_alone(seed: int, data: bytes) -> None:
    assert mutated(data, Random(seed), [data]) == mutated(data, Random(seed), [data])
    text = b'{"a": [1, {"b": "c"}], "d": null}'
    assert exchanged(text, JSON, Random(seed)) == exchanged(text, JSON, Random(seed))
    assert exchanged(b"[]", JSON, Random(seed)) == b"[]"


def test_inputs_have_a_length_that_is_worth_it() -> None:
    drawn = inputs(TARGETS["frame"], Random(2))
    assert all(len(next(drawn)) <= 4 * MAX_INPUT_BYTES for _ in range(200))
