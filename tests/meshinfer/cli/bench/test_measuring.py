from dataclasses import replace
from types import TracebackType
from typing import Self

import pytest

from meshinfer.cli.bench.figures import Setting
from meshinfer.cli.bench.measuring import Measuring, choose_target
from meshinfer.cli.bench.rounds_bar import RoundsBar
from meshinfer.cli.client import ClientError, PeerClient
from meshinfer.cli.terminal import Terminal
from meshinfer.machine.power import PowerMeter, PowerUnreadable

from .stand_in import StandIn

SETTING = Setting(prompts=(4, 8), tokens=3, readers=(1, 2), rounds=2)


class Clockwork:
    """A meter on which every reading takes one joule; None of it once it is broken."""

    source = "clockwork"
    covers = "all of it"

    def __init__(self, is_broken: bool = False) -> None:
        self._joules = 0.0
        self._is_broken = is_broken

    def joules(self) -> float:
        if self._is_broken:
            raise PowerUnreadable("it broke")
        self._joules += 1
        return self._joules

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


def measured(
    peer: StandIn, setting: Setting = SETTING, meter: PowerMeter | None = None
) -> tuple[Measuring, list[str], ClientError | None]:
    """Measure until it is done, or fails; and what was told meanwhile."""
    told: list[str] = []
    with PeerClient(peer.url) as client, RoundsBar(Terminal(), setting.rounds_at_a_ring) as bar:
        measuring = Measuring(choose_target(client, setting), client, setting, meter)
        try:
            measuring.run(bar, told.append)
        except ClientError as error:
            return measuring, told, error
    return measuring, told, None


def test_every_prompt_is_measured_with_every_number_of_readers() -> None:
    with StandIn() as peer:
        measuring, told, error = measured(peer)
    assert error is None
    cases = [(case.prompt_tokens, case.readers, len(case.rounds)) for case in measuring.done]
    assert cases == [(4, 1, 2), (4, 2, 2), (8, 1, 2), (8, 2, 2)]
    # A warm-up, two rounds of one and two rounds of two.
    assert [len(prompt) for prompt in peer.asked] == [4] * 7 + [8] * 7
    assert len({prompt[0] for prompt in peer.asked}) == 14
    assert [line.partition(":")[0] for line in told][1] == "2 peers, prompt 4, 2 readers"
    run = measuring.run_so_far
    assert [(seat.name, seat.layers) for seat in run.seats] == [("mac-1", (0, 1)), ("mac-2", (1, 2))]


def test_the_memory_of_each_peer_is_asked_for() -> None:
    with StandIn() as peer:
        measuring, _, _ = measured(peer)
    assert measuring.run_so_far.memory == {"mac-1": 500_000_000, "mac-2": 500_000_000}


def test_peers_that_do_not_tell_their_memory_have_none() -> None:
    with StandIn(resident_bytes=None) as peer:
        measuring, _, error = measured(peer)
    assert (error, measuring.run_so_far.memory) == (None, {})


def test_energy_is_read_before_the_first_token_at_it_and_at_the_end() -> None:
    with StandIn() as peer:
        measuring, _, _ = measured(peer, meter=Clockwork())
        broken, _, error = measured(peer, meter=Clockwork(is_broken=True))
    energies = {done.energy for case in measuring.done for done in case.rounds}
    assert [(energy.prefill_joules, energy.decode_joules) for energy in energies if energy] == [(1, 1)]
    assert (error, broken.done[0].figures.watts) == (None, None)


def test_rounds_under_another_plan_are_measured_anew() -> None:
    with StandIn() as peer:

        def change(count: int) -> None:
            # In the second round of the first case.
            peer.epoch = 2 if count >= 3 else 1

        peer.before_answer = change
        measuring, told, error = measured(peer)
    assert error is None
    assert told[0].startswith("the ring changed while it was measured, from epoch 1 to 2")
    assert [(case.epoch, len(case.rounds)) for case in measuring.done] == [(2, 2)] * 4
    assert measuring.run_so_far.epoch == 2


def test_a_ring_that_never_settles_is_not_measured_for_ever() -> None:
    with StandIn() as peer:

        def change(count: int) -> None:
            peer.epoch = count

        peer.before_answer = change
        measuring, told, error = measured(peer)
    assert "for the 4th time: let the mesh come to rest" in str(error)
    assert (measuring.done, len(told)) == ([], 3)


def test_a_ring_that_lost_a_peer_ends_it_with_what_was_measured_before() -> None:
    with StandIn() as peer:

        def lose(count: int) -> None:
            if count == 3:
                peer.peers, peer.epoch = 1, 2

        peer.before_answer = lose
        measuring, _, error = measured(peer)
    assert "from epoch 1 to 2 and from 2 peers to 1" in str(error)
    assert [(case.epoch, len(case.rounds)) for case in measuring.done] == [(1, 1)]
    assert measuring.run_so_far.peers == 2


def test_a_mesh_that_cannot_answer_says_why() -> None:
    with (
        StandIn(reason="shelf loads its layers") as peer,
        PeerClient(peer.url) as client,
        pytest.raises(ClientError, match="mac-1 cannot answer yet: shelf loads its layers"),
    ):
        choose_target(client, SETTING)


def test_what_the_model_has_no_room_for_is_told_before_anything_is_asked() -> None:
    with StandIn(context_tokens=10) as peer, PeerClient(peer.url) as client:
        with pytest.raises(ClientError, match=r"takes 10 tokens.*--prompt 8 and --tokens 3 are 11"):
            choose_target(client, SETTING)
        choose_target(client, replace(SETTING, tokens=2))
    assert peer.asked == []
