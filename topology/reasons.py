"""An explanation in plain sentences, and as JSON: made here alone, so that all who show it say the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .alternatives import Alternative, Kind
from .cuts import allowance
from .desire import SPREAD_AUTO, spread_text
from .draw.figure import layers_text, rtt_text
from .explain import Bound, Explanation, LeftOut, StageReason, Stays
from .ring import Ring
from .shortfall import size_text

_NAMED = 4
"""So many peers are named where more would say no more."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence. about: `ring`, `order`, `ranges`, `left out`, `what if` or `staying`."""

    about: str
    text: str


def reasons(told: Explanation) -> tuple[Reason, ...]:
    """Why the ring is as it is, in the order in which one would ask."""
    if told.cost is None or told.ring is None:
        return (*_no_ring(told), *_left_out(told))
    return (*_ring(told), *_order(told), *_ranges(told), *_left_out(told), *_what_if(told), *_staying(told))


def why_json(told: Explanation) -> dict[str, Any]:
    """What `GET /mesh/why` says. Times are in microseconds, as a token takes them."""
    return {
        "model": told.model,
        "stages": spread_text(told.spread),
        "step_us": told.cost.step_ns // 1000 if told.cost else None,
        "hops_us": told.hops_ns // 1000 if told.cost else None,
        "slowest_us": told.cost.slowest_ns // 1000 if told.cost else None,
        "reason": told.reason or None,
        "ring": [_stage_json(stage) for stage in told.stages],
        "left_out": [
            {"peer": each.peer, "name": each.name, "reason": each.reason or None} for each in told.left_out
        ],
        "instead": [_alternative_json(told, each) for each in told.instead],
        "stays": told.stays.value,
        "sentences": [{"about": reason.about, "text": reason.text} for reason in reasons(told)],
    }


def _stage_json(stage: StageReason) -> dict[str, Any]:
    return {
        "peer": stage.peer,
        "name": stage.name,
        "layers": list(stage.layers),
        "stage_us": stage.stage_ns // 1000,
        "hop_us": stage.hop_ns // 1000,
        "need_bytes": stage.need_bytes,
        "memory_bytes": stage.memory_bytes,
        "is_measured": stage.is_measured,
        "bound": stage.bound.value,
    }


def _alternative_json(told: Explanation, other: Alternative) -> dict[str, Any]:
    ring = other.ring.stages if other.ring else ()
    return {
        "kind": other.kind.value,
        "peer": other.peer,
        "ring": [
            {"peer": s.peer, "name": _name(told, s.peer), "layers": [s.first_layer, s.end_layer]}
            for s in ring
        ],
        "step_us": other.step_ns // 1000 if other.ring else None,
        "hops_us": other.hops_ns // 1000 if other.ring else None,
        "load_ms": other.load_ns // 10**6 if other.ring else None,
        "ratio": round(_ratio(told, other), 4) if other.ring else None,
        "reason": other.reason or None,
    }


# --- the sentences


def _no_ring(told: Explanation) -> Iterator[Reason]:
    if told.ring is None:
        yield Reason("ring", f"There is no ring for {told.model}: {told.reason}.")
    else:
        yield Reason("ring", f"The ring {_seats(told, told.ring)} cannot stay: {told.reason}.")


def _ring(told: Explanation) -> Iterator[Reason]:
    assert told.ring is not None
    assert told.cost is not None
    step_ns, hops_ns = told.cost.step_ns, told.hops_ns
    if len(told.stages) == 1:
        yield Reason("ring", f"{told.stages[0].name} runs it alone: a token takes {time_text(step_ns)}.")
    else:
        yield Reason(
            "ring",
            f"A token takes {time_text(step_ns)} once round {_seats(told, told.ring)}: "
            f"{time_text(step_ns - hops_ns)} of computing and {time_text(hops_ns)} on its way.",
        )
    unmeasured = [stage.name for stage in told.stages if not stage.is_measured]
    if unmeasured:
        who = f"{_names(unmeasured)} {'have' if len(unmeasured) > 1 else 'has'}"
        yield Reason("ring", f"Times are estimates: {who} measured no speed yet.")
    if told.spread != SPREAD_AUTO:
        wanted = "every peer that can" if told.spread < 0 else f"{told.spread} peers"
        yield Reason(
            "ring", f"It was asked for over {wanted} (--stages {spread_text(told.spread)}), faster or not."
        )


def _order(told: Explanation) -> Iterator[Reason]:
    other = told.alternative(Kind.ORDER)
    if other is None:
        return
    looked = "every other order" if len(told.stages) <= 5 else f"{other.orders} other orders"
    if other.ring is None:
        yield Reason("order", f"No other order of these peers has a ring ({looked} was tried).")
        return
    hops = f"{time_text(other.hops_ns)} on its way, not {time_text(told.hops_ns)}"
    best = f"the best of {looked}, {_arrows(told, other.ring)}"
    ratio = _times(told, other)
    if other.hops_ns == told.hops_ns:
        same = f"{best}, has the same {time_text(told.hops_ns)} on its way"
        yield Reason(
            "order", f"The order matters little: {same}, and a token would take {ratio} as long there."
        )
    elif other.hops_ns > told.hops_ns:
        yield Reason("order", f"This order has the shortest ways: {best}, has {hops} ({ratio} as long).")
    else:
        yield Reason("order", f"Another order has shorter ways: {best}, has {hops} ({ratio} as long).")


def _ranges(told: Explanation) -> Iterator[Reason]:
    assert told.cost is not None
    if len(told.stages) > 1:
        slowest = max(told.stages, key=lambda stage: stage.stage_ns)
        each = ", ".join(f"{stage.name} {time_text(stage.stage_ns)}" for stage in told.stages[:_NAMED])
        more = f", {len(told.stages) - _NAMED} more" if len(told.stages) > _NAMED else ""
        yield Reason(
            "ranges",
            f"The layers are cut so that the slowest stage, {slowest.name}, takes "
            f"{time_text(slowest.stage_ns)} of a token: {each}{more}.",
        )
        if told.ends_layers >= 1:
            yield Reason(
                "ranges",
                f"{told.stages[-1].name} also computes the vocabulary, which takes as long as "
                f"{told.ends_layers:.1f} layers.",
            )
    yield from _memory(told)


def _memory(told: Explanation) -> Iterator[Reason]:
    for stage in told.stages:
        if stage.bound is Bound.MEMORY:
            yield Reason(
                "ranges",
                f"{stage.name} has no room for one layer more: it offers {size_text(stage.memory_bytes)}, "
                f"its layers take {size_text(stage.need_bytes)}, with one more they would take "
                f"{size_text(stage.more_bytes)}.",
            )
    room = told.alternative(Kind.ROOM)
    if room is not None and room.ring is not None and _is_faster(told, room):
        yield Reason(
            "what if",
            f"With memory enough on each of these peers it would be {_seats(told, room.ring)}, and a token "
            f"would take {_times(told, room)} as long: memory is what limits this ring.",
        )


def _left_out(told: Explanation) -> Iterator[Reason]:
    for each in told.left_out:
        if each.reason:
            yield Reason("left out", f"{each.name} is left out: {each.reason}.")
            continue
        other = told.alternative(Kind.WITH, each.peer)
        if other is None:
            continue
        if other.ring is None:
            yield Reason("left out", f"{each.name} is left out: {other.reason}.")
        else:
            yield Reason("left out", _why_left_out(told, each, other))


def _why_left_out(told: Explanation, each: LeftOut, other: Alternative) -> str:
    assert told.cost is not None
    with_it = f"With {each.name} in the ring a token would take {_times(told, other)} as long"
    if other.step_ns <= told.cost.step_ns:
        if _is_faster(told, other):
            return f"{with_it}."
        return f"{with_it}: for so little a ring is not made longer."
    ways_ns = other.hops_ns - told.hops_ns
    compute_ns = (other.step_ns - other.hops_ns) - (told.cost.step_ns - told.hops_ns)
    if ways_ns < compute_ns:
        return f"{with_it}, since it computes more slowly than those who would give it layers."
    link = f"its link takes {rtt_text(each.rtt_us)}" if each.rtt_us else "the way is longer"
    saved = f", and {time_text(-compute_ns)} less of computing" if compute_ns < 0 else ""
    return f"{with_it}, since {link}: {time_text(ways_ns)} more on the way{saved}."


def _what_if(told: Explanation) -> Iterator[Reason]:
    for other in told.instead:
        if other.kind is not Kind.WITHOUT or other.peer is None:
            continue
        name = _name(told, other.peer)
        if other.ring is None:
            yield Reason("what if", f"Without {name} there would be no ring: {other.reason}.")
        else:
            yield Reason(
                "what if",
                f"Without {name} it would be {_seats(told, other.ring)}, and a token would take "
                f"{_times(told, other)} as long.",
            )
    for kind, what in ((Kind.FEWER, "one peer less"), (Kind.MORE, "one peer more")):
        count = told.alternative(kind)
        if count is not None and count.ring is not None and not _is_told(told, count):
            yield Reason(
                "what if",
                f"Over {what} the best ring would be {_seats(told, count.ring)}: a token would take "
                f"{_times(told, count)} as long.",
            )


def _is_told(told: Explanation, other: Alternative) -> bool:
    """Whether the same ring is told of as one with or without a peer."""
    kinds = (Kind.WITH, Kind.WITHOUT)
    return any(each.ring == other.ring for each in told.instead if each.kind in kinds)


def _staying(told: Explanation) -> Iterator[Reason]:
    anew = told.alternative(Kind.ANEW)
    if told.stays is Stays.SAME or anew is None or anew.ring is None:
        assert told.cost is not None
        limit = time_text(told.cost.step_ns * 9 // 10)
        yield Reason(
            "staying",
            "Planned anew it would be the same ring. Layers move when a peer comes or goes, and once another "
            f"ring would take {limit} a token or less.",
        )
        return
    planned = (
        f"Planned anew it would be {_seats(told, anew.ring)}: a token would take {_times(told, anew)} as long"
    )
    match told.stays:
        case Stays.SOON:
            yield Reason(
                "staying", f"{planned}. It takes over once that has held for a while and nobody reads."
            )
        case Stays.PAYS_NOT:
            load = time_text(anew.load_ns)
            yield Reason(
                "staying", f"{planned}, but loading takes {load}, more than it would gain: this ring stays."
            )
        case _:
            yield Reason(
                "staying",
                f"{planned}. A ring gives way only to one that is faster by a tenth: this one stays.",
            )


# --- words


def _is_faster(told: Explanation, other: Alternative) -> bool:
    """Whether a token would take less time by more than what counts as equal."""
    assert told.cost is not None
    return allowance(other.step_ns) < told.cost.step_ns


def _ratio(told: Explanation, other: Alternative) -> float:
    assert told.cost is not None
    return other.step_ns / told.cost.step_ns if told.cost.step_ns else 1.0


def _times(told: Explanation, other: Alternative) -> str:
    return f"{_ratio(told, other):.2f}×"


def _seats(told: Explanation, ring: Ring) -> str:
    """`desk 0–14 → lap 15–29`."""
    shown = [
        f"{_name(told, stage.peer)} {layers_text(stage.first_layer, stage.end_layer)}"
        for stage in ring.stages
    ]
    return _shortened(shown)


def _arrows(told: Explanation, ring: Ring) -> str:
    return _shortened([_name(told, peer) for peer in ring.peers])


def _shortened(shown: Sequence[str]) -> str:
    if len(shown) <= 2 * _NAMED:
        return " → ".join(shown)
    between = len(shown) - 2 * _NAMED + 2
    return " → ".join([*shown[: _NAMED - 1], f"{between} more", *shown[1 - _NAMED :]])


def _name(told: Explanation, peer: str) -> str:
    return next((name for known, name in told.names.items() if known == peer), peer[:8])


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def time_text(ns: int) -> str:
    """`24.3 ms`, `210 µs`, `1.2 s`."""
    if ns >= 10**9:
        return f"{ns / 1e9:.3g} s"
    return f"{ns / 1e6:.3g} ms" if ns >= 10**6 else f"{ns / 1e3:.3g} µs" if ns >= 10**3 else f"{ns} ns"
