"""What befalls a mesh, drawn from a seed before anything happens: a setting, and troubles with their times.

A swarm (Groce et al., 2012): which kinds of trouble there are at all is drawn too, so that a few of them
meet alone and often.
"""

from dataclasses import dataclass, replace
from random import Random

from meshinfer.transports.weather import Weather
from tests.simulation.chance import Chance

KINDS = (
    "crash",
    "power",
    "freeze",
    "sleep",
    "part",
    "block",
    "sever",
    "cut",
    "storm",
    "slow",
    "far",
    "memory",
    "leave",
    "join",
    "torn",
)
_ON = 0.4
_TWO_MODELS = 0.4
_SIZES = (1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happens to a machine, or between two, and is over after a while.

    amount: from 0 to 1, how bad it is.
    """

    at_s: float
    kind: str
    who: int
    other: int
    for_s: float
    amount: float

    def __str__(self) -> str:
        return f"{self.kind} {self.who}/{self.other} for {self.for_s:.2f} s, {self.amount:.2f}"


@dataclass(frozen=True, slots=True)
class Setting:
    """How the mesh is made.

    memory_shares: of each machine, in thousandths of what the whole model needs. paces: how many times as
    long as step_s each machine takes. late: those that join later only. piece_s: a layer's load; step_s: a
    frame's compute. weather: when nothing is wrong. request_every_s: pause between two readers of one peer.
    is_hybrid: caches cannot be cut. is_parted: the mesh stays in two parts at the end. flap_limit, drain_s,
    min_peers: as in the configuration. chaos_s: how long troubles begin for. models: how many the mesh is
    asked for, by different peers.
    """

    memory_shares: tuple[int, ...]
    paces: tuple[float, ...]
    late: frozenset[int]
    layers: int
    stages: str
    min_peers: int
    piece_s: float
    step_s: float
    think_s: float
    request_every_s: float
    prefill_chunk_tokens: int
    max_running: int
    max_waiting: int
    flap_limit: int
    drain_s: float
    is_parted: bool
    is_hybrid: bool
    weather: Weather
    chaos_s: float
    models: int = 1

    @property
    def count(self) -> int:
        """Machines, those that come late included."""
        return len(self.memory_shares)


@dataclass(frozen=True, slots=True)
class Story:
    """A setting, and what happens in it, in order."""

    setting: Setting
    troubles: tuple[Trouble, ...]

    def without(self, dropped: frozenset[int]) -> "Story":
        """The same with some troubles left out; the others keep their numbers."""
        kept = (each for number, each in enumerate(self.troubles) if number not in dropped)
        return replace(self, troubles=tuple(kept))


def draw_story(chance: Chance, chaos_s: float | None = None) -> Story:
    """Make the story of a seed. chaos_s: None draws how long troubles begin for."""
    setting = _draw_setting(chance.stream("setting"), chaos_s)
    if setting.count > 2 and chance.stream("models").random() < _TWO_MODELS:
        setting = replace(setting, models=2)
    random = chance.stream("troubles")
    kinds = [kind for kind in KINDS if random.random() < _ON] or [random.choice(KINDS)]
    if setting.late and "join" not in kinds:
        kinds.append("join")
    count = random.randint(0, max(1, round(setting.chaos_s / 2.0)))
    troubles = [_draw_trouble(random, random.choice(kinds), setting) for _ in range(count)]
    joins = [
        Trouble(random.uniform(0.0, setting.chaos_s), "join", who, who, 0.0, 0.0)
        for who in sorted(setting.late)
    ]
    return Story(setting, tuple(sorted([*troubles, *joins], key=lambda each: each.at_s)))


def _draw_setting(random: Random, chaos_s: float | None) -> Setting:
    count = random.choice(_SIZES)
    spread = random.choice(["auto", "auto", "all", str(random.randint(1, count))])
    lowest, highest = random.choice(
        [
            (2200, 3000),  # two whole models
            (1050, 1300),  # one
            (2300 // count + 200, 3000 // count + 300),  # two shares
            (1200 // count + 50, 1500 // count + 100),  # one share, and little more
            (1000 // count - 50, 2000),
        ]
    )
    late = {who for who in range(1, count) if random.random() < 0.25}
    weather = Weather(
        delay_s=random.choice([0.0002, 0.001, 0.005]),
        jitter_s=random.choice([0.0001, 0.001, 0.01]),
    )
    return Setting(
        memory_shares=tuple(random.randint(lowest, highest) for _ in range(count)),
        paces=tuple(random.choice([1.0, 1.0, 1.5, 3.0]) for _ in range(count)),
        late=frozenset(late),
        layers=random.randint(2, 10),
        stages=spread,
        min_peers=random.choice([1, 1, 1, 2]) if count > 1 else 1,
        piece_s=random.choice([0.01, 0.05, 0.3]),
        step_s=random.choice([0.001, 0.005, 0.02]),
        think_s=random.choice([0.001, 0.02, 0.3]),
        request_every_s=random.choice([1.0, 3.0, 10.0]),
        prefill_chunk_tokens=random.choice([2, 5, 2048]),
        max_running=random.choice([2, 4, 16]),
        max_waiting=random.choice([2, 64]),
        flap_limit=random.choice([3, 1000]),
        drain_s=random.choice([3.0, 30.0]),
        is_parted=count > 1 and random.random() < 0.1,
        is_hybrid=random.random() < 0.3,
        weather=weather,
        chaos_s=chaos_s or random.choice([10.0, 20.0, 40.0]),
    )


def _draw_trouble(random: Random, kind: str, setting: Setting) -> Trouble:
    longest_s = random.choice([0.3, 2.0, 6.0, 15.0])
    return Trouble(
        at_s=random.uniform(0.0, setting.chaos_s),
        kind=kind,
        who=random.randrange(setting.count),
        other=random.randrange(setting.count),
        for_s=random.uniform(0.05, longest_s),
        amount=random.random(),
    )
