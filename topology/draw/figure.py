"""One model's ring as all drawings show it: who holds what, how the ways between them are, who stands by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from meshinfer.topology.equipment import Carrier
from meshinfer.topology.member import Status
from meshinfer.topology.record import LinkMeasure, Phase
from meshinfer.topology.ring import PeerId

_STATES = {
    Phase.PREPARE: "loading",
    Phase.ACTIVE: "serving",
    Phase.READY: "loaded",
    Phase.DRAIN: "draining",
    Phase.WATCH: "stands by",
    Phase.IDLE: "idle",
}
"""Of several models the first of these is shown."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A stage of the ring.

    layers: first, end. state: `serving`, `loading`, …, or how its peer is missed. need_bytes: what it takes
    for this model, 0 while unknown; taken_bytes: for all of them; memory_bytes: what its peer offers.
    """

    peer: PeerId
    name: str
    layers: tuple[int, int]
    state: str
    need_bytes: int
    taken_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Way:
    """From one stage to the next. rtt_us, mb_s: 0 where they were not measured.

    by: what carries it, such as `Thunderbolt 5 en7, jaccl`, as its beginning tells; empty where it does not.
    """

    rtt_us: int
    mb_s: int
    is_up: bool
    by: str = ""


@dataclass(frozen=True, slots=True)
class Spare:
    """A member that holds no layers of this model. fault: why not, empty where nothing is wrong."""

    peer: PeerId
    name: str
    state: str
    memory_bytes: int
    fault: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A model's ring. ways: one behind each seat, the last one leads back to the head; none for one peer.

    epoch and layer_count are 0 without a plan; reason: why it is not live. token_us: one reader's token, 0
    where that was not measured.
    """

    mesh: str
    model: str
    is_live: bool
    reason: str
    epoch: int
    digest: str
    layer_count: int
    token_us: int
    seats: tuple[Seat, ...]
    ways: tuple[Way, ...]
    spares: tuple[Spare, ...]

    @property
    def headline(self) -> str:
        """`30 layers over 3 peers, 12.4 tokens/s`, or why there is no ring."""
        if not self.is_live:
            return f"no ring yet: {self.reason}"
        return f"{layers_over(self.layer_count, len(self.seats))}{speed_text(self.token_us, ', ')}"


def state_text(status: Status, phases: Iterable[Phase]) -> str:
    """How a member is: what it does for the models, or that it is missed."""
    if status is not Status.ALIVE:
        return str(status.value)
    held = set(phases)
    return next((text for phase, text in _STATES.items() if phase in held), "idle")


def ways_round(
    peers: Sequence[PeerId],
    links: Mapping[PeerId, tuple[LinkMeasure, ...]],
    carriers: Mapping[PeerId, tuple[Carrier, ...]],
) -> tuple[Way, ...]:
    """The ways from each peer to the next one and from the last to the first.

    links, carriers: what each published.
    """
    if len(peers) < 2:
        return ()
    return tuple(
        replace(_way(here, there, links), by=_by(there, carriers.get(here, ())))
        for here, there in zip(peers, (*peers[1:], peers[0]), strict=True)
    )


def _by(there: PeerId, carriers: tuple[Carrier, ...]) -> str:
    return next((each.text for each in carriers if there in each.peers), "")


def _way(here: PeerId, there: PeerId, links: Mapping[PeerId, tuple[LinkMeasure, ...]]) -> Way:
    """By the worse of what its two ends published, as planners price it."""
    told = [link for link in links.get(here, ()) if link.peer == there]
    told += [link for link in links.get(there, ()) if link.peer == here]
    return Way(
        max((link.rtt_us for link in told), default=0),
        min((link.mb_s for link in told if link.mb_s), default=0),
        all(link.is_up for link in told),
    )


def layers_text(first_layer: int, end_layer: int) -> str:
    """`0–14` for layers 0 to 14, `7` for one."""
    return f"{first_layer}–{end_layer - 1}" if end_layer - first_layer > 1 else str(first_layer)


def layers_over(layer_count: int, peers: int) -> str:
    """`30 layers over 3 peers`."""
    return f"{layer_count} layer{'s' if layer_count > 1 else ''} over {peers} peer{'s' if peers > 1 else ''}"


def speed_text(token_us: int, before: str = "") -> str:
    """`12.4 tokens/s` behind `before`; empty where it was not measured."""
    return f"{before}{1e6 / token_us:.3g} tokens/s" if token_us else ""


def way_text(way: Way) -> str:
    """`0.21 ms`, `0.21 ms, 1.2 GB/s`, `down`, or empty where nothing was measured."""
    if not way.is_up:
        return "down"
    width = f"{way.mb_s / 1000:.2g} GB/s" if way.mb_s >= 1000 else f"{way.mb_s} MB/s" if way.mb_s else ""
    return ", ".join(text for text in (rtt_text(way.rtt_us), width) if text)


def rtt_text(rtt_us: int) -> str:
    """`0.21 ms`, `12 ms`, and nothing where it was not measured."""
    return f"{rtt_us / 1000:.2f} ms" if 0 < rtt_us < 9995 else f"{rtt_us / 1000:.0f} ms" if rtt_us else ""


def plain(text: str) -> str:
    """A text from other machines, on one line, without what could steer its reader's screen."""
    return "".join(character if character.isprintable() else " " for character in text)
