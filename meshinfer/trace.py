"""Puts together where a request's time went, from what its origin saw and what the ring's peers tell.

Pure. Starts and lengths of phases are the origin's; parts of a phase are sums of durations, each measured on
one machine. What is left of a frame's round trip is hops: clocks of two machines are never compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from meshinfer.topology.ring import PeerId

from .ledger import Entry
from .messages import LegTimes, Times


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a request's time. peer, name: where, empty for what lies between peers.

    kind: a phase (`tokenise`, `queue`, `prefill`, `decode`, `pause`), or a part of one: `compute` and `wait`
    at a stage, `hops` between stages, `turns` between two rounds of a frame. phase: of which it is a part,
    empty for a phase itself. start_ms: from the request on; of a part, its phase's. duration_ms: of a part,
    the sum of what may overlap: pieces of a prompt are computed by several stages at once. median_ms: of the
    last frames, None where there was none. frames: how many were computed, or went round; tokens: in them.
    """

    peer: str
    name: str
    kind: str
    phase: str
    start_ms: float
    duration_ms: float
    median_ms: float | None = None
    frames: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request's time went. outcome: empty until it ends. silent: peers that told nothing."""

    request: str
    model: str
    outcome: str
    prompt_tokens: int
    cached_tokens: int
    answer_tokens: int
    duration_ms: float
    spans: tuple[Span, ...]
    silent: tuple[str, ...]


def put_together(
    entry: Entry, told: Mapping[PeerId, Times], names: Mapping[PeerId, str], me: PeerId, now_s: float
) -> Trace:
    """Make a trace of what the origin, `me`, saw and what the ring's peers told."""
    spans = list(_phases(entry, names, me, now_s))
    parts: list[Span] = []
    for phase in ("prefill", "decode"):
        whole = next((span for span in spans if span.kind == phase), None)
        if whole is not None:
            legs = {
                peer: times.prefill if phase == "prefill" else times.decode for peer, times in told.items()
            }
            parts += _parts(whole, [peer for peer in entry.peers if peer in told], legs, names)
    silent = [names.get(peer, peer[:8]) for peer in entry.peers if peer not in told]
    if silent:
        # Their computing would count as hops.
        parts = [part for part in parts if part.kind != "hops"]
    return Trace(
        request=entry.request,
        model=entry.model,
        outcome=entry.outcome,
        prompt_tokens=entry.prompt_tokens,
        cached_tokens=entry.cached_tokens,
        answer_tokens=entry.answer_tokens,
        duration_ms=_ms((entry.over_s or now_s) - entry.began_s),
        spans=(*spans, *parts),
        silent=tuple(silent),
    )


def _phases(entry: Entry, names: Mapping[PeerId, str], me: PeerId, now_s: float) -> Iterator[Span]:
    """What follows each other at the origin, as far as the request came; and when it had no ring."""
    end_s = entry.over_s if entry.over_s is not None else now_s
    moments = [
        ("tokenise", entry.began_s),
        ("queue", entry.understood_s),
        ("prefill", entry.admitted_s),
        ("decode", entry.first_token_s),
    ]
    reached = [(kind, at_s) for kind, at_s in moments if at_s is not None]
    ends = [*(at_s for _, at_s in reached[1:]), end_s]
    for (kind, at_s), until_s in zip(reached, ends, strict=True):
        yield _phase(entry, names, me, kind, at_s, until_s)
    for since_s, until in entry.pauses:
        yield _phase(entry, names, me, "pause", since_s, until if until is not None else end_s)


def _phase(
    entry: Entry, names: Mapping[PeerId, str], me: PeerId, kind: str, at_s: float, until_s: float
) -> Span:
    start_ms, duration_ms = _ms(at_s - entry.began_s), _ms(until_s - at_s)
    return Span(me, names.get(me, me[:8]), kind, "", start_ms, duration_ms)


def _parts(
    whole: Span, peers: Sequence[PeerId], legs: Mapping[PeerId, LegTimes], names: Mapping[PeerId, str]
) -> Iterator[Span]:
    """What a phase is made of, in the ring's order."""

    def part(
        kind: str, took_us: int, median_us: int | None, peer: str = "", leg: LegTimes | None = None
    ) -> Span:
        median_ms = median_us / 1000 if median_us is not None else None
        counts = (leg.frames, leg.tokens) if leg is not None else (0, 0)
        name = names.get(PeerId(peer), peer[:8])
        return Span(peer, name, kind, whole.kind, whole.start_ms, took_us / 1000, median_ms, *counts)

    for peer in peers:
        leg = legs[peer]
        if leg.frames:
            yield part("compute", leg.compute_us, leg.step_us, peer, leg)
            yield part("wait", leg.wait_us, leg.step_wait_us, peer, leg)
    head = next((legs[peer] for peer in peers if legs[peer].turns), None)
    if head is None:
        return
    at_stages_us = sum(legs[peer].compute_us + legs[peer].wait_us for peer in peers)
    yield replace(part("hops", max(0, head.turn_us - at_stages_us), None), frames=head.turns)
    if whole.kind == "decode":
        yield part("turns", max(0, round(1000 * whole.duration_ms) - head.turn_us), None)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
