"""Measures one ring: prompt after prompt, readers after readers, round after round."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from meshinfer.cli.client import ClientError, PeerClient
from meshinfer.cli.mesh_view import MeshView, read_mesh
from meshinfer.machine.power import PowerMeter, PowerUnreadable

from .asking import ask_together
from .figures import Case, Energy, Figures, RingRun, Round, Setting
from .prompts import Prompts
from .rounds_bar import RoundsBar
from .texts import count_text, number_text

_WARM_UP_TOKENS = 8
_MOST_CHANGES = 3
"""More often than that, a ring does not settle."""


@dataclass(frozen=True, slots=True)
class Target:
    """A ring to measure. view: the mesh as it was when it was chosen."""

    view: MeshView
    model: str
    vocab_size: int


def choose_target(client: PeerClient, setting: Setting) -> Target:
    """Look at the mesh of this peer, and see that it can be measured.

    Raises:
        ClientError: it serves nothing now, or its model's context is too short.
    """
    health = client.health()
    if not health.is_ok:
        raise ClientError(f"{health.peer_name or client.url} cannot answer yet: {health.reason}")
    view, model = read_mesh(client.mesh()), client.model()
    longest = max(setting.prompts)
    if longest + setting.tokens > model.context_tokens:
        raise ClientError(
            f"{model.name} takes {model.context_tokens} tokens, prompt and answer together: "
            f"--prompt {longest} and --tokens {setting.tokens} are {longest + setting.tokens}"
        )
    return Target(view, model.name, model.vocab_size)


class Measuring:
    """One ring, under measurement. done: the cases so far, whatever ends it; a last one may lack rounds.

    meter: this machine's, None where there is none.
    """

    def __init__(
        self, target: Target, client: PeerClient, setting: Setting, meter: PowerMeter | None
    ) -> None:
        self.done: list[Case] = []
        self.model = target.model
        self._view = target.view
        self._client = client
        self._setting = setting
        self._meter = meter
        self._prompts = Prompts(target.vocab_size, Random())
        self._changes_left = _MOST_CHANGES
        self._untold: set[str] = set()

    @property
    def run_so_far(self) -> RingRun:
        """What is done, of the ring as it is now."""
        return RingRun(self._view.epoch, self._view.ring, tuple(self.done))

    def run(self, bar: RoundsBar, tell: Callable[[str], None]) -> None:
        """Measure all of it. tell: takes a line for each case that is done, and for what went on meanwhile.

        Raises:
            ClientError: an answer failed, or the ring does not stay as it is.
        """
        peers = count_text(len(self._view.ring), "peer")
        for prompt_tokens in self._setting.prompts:
            bar.show(f"{peers}, prompt {prompt_tokens}, warming up")
            self._ask(prompt_tokens, 1, min(self._setting.tokens, _WARM_UP_TOKENS))
            for readers in self._setting.readers:
                what = f"{peers}, prompt {prompt_tokens}, {count_text(readers, 'reader')}"
                bar.show(what)
                self._measure(prompt_tokens, readers, bar, tell)
                tell(f"{what}: {_pace(self.done[-1].figures)}")

    def _measure(self, prompt_tokens: int, readers: int, bar: RoundsBar, tell: Callable[[str], None]) -> None:
        rounds: list[Round] = []
        epoch = self._view.epoch
        try:
            while len(rounds) < self._setting.rounds:
                done = self._ask(prompt_tokens, readers, self._setting.tokens)
                if changed := self._ring_change():
                    tell(f"{changed}: these rounds are measured anew")
                    bar.advance(-len(rounds))
                    rounds.clear()
                    epoch = self._view.epoch
                else:
                    rounds.append(done)
                    bar.advance(1)
        finally:
            if rounds:
                self.done.append(Case(prompt_tokens, readers, epoch, tuple(rounds)))

    def _ask(self, prompt_tokens: int, readers: int, tokens: int) -> Round:
        prompts = [self._prompts.draw(prompt_tokens) for _ in range(readers)]
        energy = _EnergyOfRound(self._meter)
        answers = ask_together(self._client.url, prompts, tokens, on_first=energy.first_token)
        taken = energy.taken()
        return Round(prompt_tokens, answers, self._weigh(), taken)

    def _ring_change(self) -> str:
        """What became of the ring since the last look, empty if it is the same.

        Peers move layers among them once they know how fast they are. That settles.

        Raises:
            ClientError: it has another size now, or does not settle.
        """
        before, now = self._view, read_mesh(self._client.mesh())
        if (now.epoch, now.digest) == (before.epoch, before.digest):
            return ""
        changed = f"the ring changed while it was measured, from epoch {before.epoch} to {now.epoch}"
        sizes = len(before.ring), len(now.ring)
        if sizes[0] != sizes[1]:
            raise ClientError(f"{changed} and from {count_text(sizes[0], 'peer')} to {sizes[1]}")
        if not self._changes_left:
            raise ClientError(
                f"{changed}, and so for the {_MOST_CHANGES + 1}th time: let the mesh come to rest"
            )
        self._changes_left -= 1
        self._view = now
        return changed

    def _weigh(self) -> dict[str, int]:
        """The memory that each peer's process takes now; who cannot be asked is not asked again."""
        weighed: dict[str, int] = {}
        seats = {seat.name for seat in self._view.ring} - self._untold
        for member in self._view.members:
            if member.name in seats:
                resident_bytes = _resident_bytes(member.api)
                if resident_bytes is None:
                    self._untold.add(member.name)
                else:
                    weighed[member.name] = resident_bytes
        return weighed


def _resident_bytes(url: str) -> int | None:
    """What the peer there takes; None if it has no API, cannot be reached or does not tell."""
    if not url:
        return None
    try:
        with PeerClient(url) as client:
            return client.health().resident_bytes
    except ClientError:
        return None


def _pace(figures: Figures) -> str:
    first, decode = number_text(figures.first_token_s), number_text(figures.decode_tokens_per_s)
    return f"first token {first} s, then {decode} tok/s"


class _EnergyOfRound:
    """What this machine takes from now on, before and after the first token."""

    def __init__(self, meter: PowerMeter | None) -> None:
        self._meter = meter
        self._began = self._read()
        self._first: float | None = None

    def first_token(self) -> None:
        """Note a reader's first token; the earliest one counts."""
        if self._first is None:
            self._first = self._read()

    def taken(self) -> Energy | None:
        """What it took until now, None where the meter does not tell."""
        ended = self._read()
        if self._began is None or self._first is None or ended is None:
            return None
        return Energy(self._first - self._began, ended - self._first)

    def _read(self) -> float | None:
        if self._meter is None:
            return None
        try:
            return self._meter.joules()
        except PowerUnreadable:
            return None
