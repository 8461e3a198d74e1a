"""When a fabric is offered to whom, and what is shown of it."""

import pytest

from meshinfer.actors.fabrics import Fabrics
from meshinfer.fabric import NO_FABRIC, FabricMeans, means_of
from meshinfer.messages import FabricOffer
from meshinfer.topology.ring import PeerId
from meshinfer.transports.fabric import Fabric
from tests.meshinfer.actors.mailbag import A, B, C, hello

RING = means_of("ring", {}, "")


def fabrics(*means: FabricMeans) -> Fabrics:
    """With these means, one after the other at each look; looked at once."""
    left = list(means)
    made = Fabrics(lambda: left.pop(0) if len(left) > 1 else left[0], ("ferry",), Fabric)
    made.look()
    return made


def test_nobody_is_offered_a_fabric_where_there_are_none() -> None:
    made = fabrics(means_of("auto", {}, "it needs macOS"))
    assert not made.is_due(B, 0.0)
    assert (made.view.backend, made.view.why_not) == ("", "it needs macOS")


def test_what_failed_is_tried_again_later_each_time_and_at_once_where_means_changed() -> None:
    made = fabrics(RING, NO_FABRIC, RING)
    assert made.is_due(B, 0.0)
    made.begun(B)
    assert not made.is_due(B, 0.0)
    made.ended(hello(B), "no", 0.0)
    assert [made.is_due(B, now_s) for now_s in (4.9, 5.0)] == [False, True]
    made.begun(B)
    made.ended(hello(B), "no", 5.0)
    assert [made.is_due(B, now_s) for now_s in (14.9, 15.0)] == [False, True]
    assert made.view.failures == (("peer-b", "no"),)
    made.look()
    made.look()
    assert made.is_due(B, 5.0)
    assert not made.view.failures


def test_one_that_worked_is_tried_again_as_if_none_had_failed() -> None:
    made = fabrics(RING)
    for _ in range(5):
        made.begun(B)
        made.ended(hello(B), "no", 0.0)
    made.begun(B)
    made.worked(B)
    assert not made.view.failures
    made.ended(hello(B), "the cable was pulled", 100.0)
    assert made.is_due(B, 105.0)


def test_a_peer_has_so_many_fabrics_and_no_more() -> None:
    made = fabrics(RING)
    for letter in "cdef":
        made.begun(PeerId(letter * 32))
    assert not made.is_due(B, 0.0)
    assert made.answer(FabricOffer("ring")) == "it has 4 fabrics already"
    made.ended(hello(C), "over", 0.0)
    assert made.is_due(B, 0.0)


def test_one_that_takes_the_place_of_another_still_counts_once_that_has_ended() -> None:
    made = fabrics(RING)
    made.begun(A)
    made.begun(A)
    made.ended(hello(A), "another one was offered", 0.0)
    assert not made.is_due(A, 1000.0)


@pytest.mark.parametrize("option", ["ring", "auto"])
def test_only_a_backend_by_name_is_preferred(option: str) -> None:
    assert fabrics(means_of(option, {"cable": "rdma_en5"}, "")).is_preferred == (option == "ring")
