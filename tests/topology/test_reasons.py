import json
import re

from hypothesis import given, settings

from meshinfer.topology.explain import Explanation, Grounds, explain
from meshinfer.topology.reasons import reasons, time_text, why_json
from tests.topology.meshes import able, all_grounds, grounds
from tests.topology.questions import even, ring_of

TWO = ring_of(6, (0, 0, 3), (1, 3, 6))


def said(told: Explanation, about: str) -> str:
    return " ".join(reason.text for reason in reasons(told) if reason.about == about)


def test_a_ring_is_explained_from_its_cost_to_what_would_change_it() -> None:
    members = (able(0, 45, links={1: 200, 2: 24_000}), able(1, 45), able(2, 45))
    told = explain(grounds(members, even(6), TWO))
    assert told.cost is not None
    step, hops = time_text(told.cost.step_ns), time_text(told.hops_ns)
    assert said(told, "ring").startswith(f"A token takes {step} once round peer-0 0–2 → peer-1 3–5: ")
    assert f"{hops} on its way." in said(told, "ring")
    assert "the best of every other order, peer-1 → peer-0" in said(told, "order")
    assert "cut so that the slowest stage, peer-0, takes" in said(told, "ranges")
    assert "peer-2 in the ring a token would take" in said(told, "left out")
    assert "since its link takes 24 ms" in said(told, "left out")
    assert "Without peer-1 it would be peer-0 0–2 → peer-2 3–5" in said(told, "what if")
    assert "would be the same ring" in said(told, "staying")


def test_a_full_peer_and_more_memory_are_told() -> None:
    told = explain(grounds((able(0, 45), able(1, 35, 90_000)), even(6), ring_of(6, (0, 0, 4), (1, 4, 6))))
    assert "peer-0 has no room for one layer more: it offers 45 MB, its layers take 40 MB" in said(
        told, "ranges"
    )
    assert "memory is what limits this ring" in said(told, "what if")


def test_a_better_ring_is_told_with_what_it_gains() -> None:
    told = explain(grounds((able(0, 90, 20_000), able(1, 90, 1_000)), even(6), ring_of(6, (0, 0, 6))))
    assert "Planned anew it would be peer-1 0–5: a token would take 0.05× as long. It takes over" in said(
        told, "staying"
    )


def test_a_spread_that_was_asked_for_is_told() -> None:
    told = explain(grounds((able(0, 90), able(1, 90)), even(6), TWO, spread=-1))
    assert "over every peer that can (--stages all)" in said(told, "ring")


def test_without_a_ring_the_reason_is_told() -> None:
    told = explain(grounds((able(0, 20),), even(6), None))
    assert said(told, "ring").startswith("There is no ring for tiny: tiny needs 60 MB")


def test_times_have_three_digits() -> None:
    assert [time_text(ns) for ns in (0, 999, 210_000, 24_349_000, 1_230_000_000)] == [
        "0 ns",
        "999 ns",
        "210 µs",
        "24.3 ms",
        "1.23 s",
    ]


@settings(max_examples=40)
@given(all_grounds())
def test_whatever_is_explained_is_said_in_whole_sentences_with_its_own_numbers(told: Grounds) -> None:
    found = explain(told)
    body = why_json(found)
    json.dumps(body)
    assert body["sentences"]
    known = {time_text(ns) for ns in _times(found)}
    for each in body["sentences"]:
        assert each["text"].endswith(".")
        if not each["text"].startswith(("There is no ring", "The ring")) and "no ring: " not in each["text"]:
            quoted = set(re.findall(r"[\d.]+(?:e\+\d+)? (?:ns|µs|ms|s)\b", each["text"]))
            assert quoted <= known | {"24 ms", *_round_trips(told)}, each


def _times(told: Explanation) -> list[int]:
    """All that may be quoted: prices, and differences of two."""
    if told.cost is None:
        return []
    step_ns, hops_ns = told.cost.step_ns, told.hops_ns
    others = [each for each in told.instead if each.ring is not None]
    more = [each.hops_ns - hops_ns for each in others]
    less = [(step_ns - hops_ns) - (each.step_ns - each.hops_ns) for each in others]
    stages = [stage.stage_ns for stage in told.stages]
    prices = [each.hops_ns for each in others] + [each.load_ns for each in others]
    return [step_ns, hops_ns, step_ns - hops_ns, step_ns * 9 // 10, *stages, *more, *less, *prices]


def _round_trips(told: Grounds) -> set[str]:
    from meshinfer.topology.draw.figure import rtt_text

    return {rtt_text(link.rtt_us) for member in told.members for link in member.record.links}
