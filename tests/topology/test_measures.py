from meshinfer.topology.measures import Measures
from meshinfer.topology.record import MAX_LINKS, LinkMeasure
from tests.topology.voices import B, C, peer


def measured(*rtts_ms: float) -> Measures:
    measures = Measures()
    for rtt_ms in rtts_ms:
        measures.took(B, rtt_ms / 1000, 0.0)
    return measures


def test_a_way_is_published_after_four_probes_by_the_shortest_of_them() -> None:
    assert measured(2.0, 1.0, 9.0).links([B], set()) == ()
    (link,) = measured(2.0, 1.0, 9.0, 3.0).links([B], set())
    assert link == LinkMeasure(B, link.rtt_us)
    assert 860 <= link.rtt_us <= 1024


def test_noise_changes_nothing_and_another_way_does_after_a_while() -> None:
    measures = measured(*[1.0] * 16)
    first = measures.links([B], set())
    for _ in range(16):
        measures.took(B, 0.0012, 10.0)
    assert measures.links([B], set()) == first
    for _ in range(16):
        measures.took(B, 0.020, 20.0)
    assert measures.links([B], set()) == first
    measures.took(B, 0.020, 51.0)
    assert measures.links([B], set()) != first


def test_a_way_that_does_not_work_is_published_at_once_measured_or_not() -> None:
    assert Measures().links([B, C], {C}) == (LinkMeasure(C, 0, is_up=False),)
    (link,) = measured(*[1.0] * 4).links([B], {B})
    assert not link.is_up


def test_of_too_many_ways_those_that_do_not_work_and_the_shortest_are_published() -> None:
    measures, present = Measures(), [peer(index) for index in range(MAX_LINKS + 8)]
    for index, other in enumerate(present):
        for _ in range(4):
            measures.took(other, 0.001 * 2**index, 0.0)
    links = measures.links(present, {present[-1]})
    assert len(links) == MAX_LINKS
    assert [link.peer for link in links] == [*present[: MAX_LINKS - 1], present[-1]]


def test_who_is_no_member_any_more_is_forgotten() -> None:
    measures = measured(*[1.0] * 4)
    measures.links([B], set())
    measures.forget_all_but([C])
    assert measures.links([B], set()) == ()


def test_a_link_tells_of_the_way_that_traffic_takes_and_probes_no_more() -> None:
    measures = measured(*[9.0] * 4)
    measures.measured(B, 200, 1200, 0.0)
    for _ in range(16):
        measures.took(B, 0.050, 1.0)
    (link,) = measures.links([B], set())
    assert 160 <= link.rtt_us <= 240
    assert 1000 <= link.mb_s <= 1400


def test_a_link_that_turns_out_better_is_published_at_once_and_a_worse_one_after_a_while() -> None:
    measures = Measures()
    measures.measured(B, 5000, 10, 0.0)
    slow = measures.links([B], set())
    measures.measured(B, 200, 1200, 1.0)
    fast = measures.links([B], set())
    assert fast != slow
    measures.measured(B, 5000, 10, 2.0)
    assert measures.links([B], set()) == fast
    measures.measured(B, 5000, 10, 40.0)
    assert measures.links([B], set()) == slow


def test_once_the_link_is_gone_probes_tell_again() -> None:
    measures = Measures()
    measures.measured(B, 200, 1200, 0.0)
    measures.unlinked(B)
    for second in range(40):
        measures.took(B, 0.020, float(second))
    (link,) = measures.links([B], set())
    assert link.rtt_us > 15_000
