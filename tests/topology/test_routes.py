from dataclasses import replace

from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.ring import PeerId
from meshinfer.topology.routes import routes_of
from tests.topology.voices import peer, record

ME, B, C, D = (peer(index) for index in range(4))


def members(*cut: tuple[int, int], status: Status = Status.ALIVE, count: int = 4) -> tuple[Member, ...]:
    """Peers; the first of each pair tells that it has no link to the second. status: of the last one."""
    found = []
    for index in range(count):
        links = tuple(LinkMeasure(peer(b), 9, is_up=False) for a, b in cut if a == index)
        is_last = index == count - 1
        found.append(Member(replace(record(index), links=links), status if is_last else Status.ALIVE))
    return tuple(found)


def routes(linked: set[PeerId], *cut: tuple[int, int], **more: object) -> dict[PeerId, PeerId]:
    return dict(routes_of(members(*cut, **more), ME, linked))  # type: ignore[arg-type]


def test_who_has_links_to_all_needs_no_route() -> None:
    assert routes({B, C, D}) == {}


def test_who_is_not_linked_is_reached_over_one_who_is() -> None:
    assert routes({B, C}) == {D: B}
    assert routes({C}) == {B: C, D: C}


def test_a_way_that_is_down_there_too_is_no_way() -> None:
    assert routes({B, C}, (1, 3)) == {D: C}
    assert routes({B, C}, (3, 1), (2, 3)) == {}


def test_nobody_seeks_a_way_to_the_dead() -> None:
    assert routes({B, C}, status=Status.DEAD) == {}


def test_in_a_large_mesh_no_link_means_nothing() -> None:
    assert routes({B}, count=40) == {}
