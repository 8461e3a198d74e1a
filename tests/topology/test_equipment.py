from collections.abc import Callable

import pytest

from meshinfer.topology.equipment import MAX_CABLES, MAX_WORDS, Cable, Carrier, Equipment
from meshinfer.topology.ring import PeerId
from tests.topology.voices import B, C

ONE, OTHER = "1" * 32, "2" * 32


def test_what_carries_a_link_is_told_in_a_few_words() -> None:
    assert Carrier((B,), "en7", "Thunderbolt 5", "jaccl").text == "Thunderbolt 5 en7, jaccl"
    assert Carrier((B,), "", "loopback").text == "loopback"
    assert Carrier((B,), "", "", "ring").text == "ring"
    assert Carrier((B,)).text == ""


def test_each_peer_is_found_with_those_that_share_its_way() -> None:
    told = Equipment(carriers=(Carrier((B,), "en0"), Carrier((C,), "en7")))
    assert told.carrier_to(C) == Carrier((C,), "en7")
    assert told.carrier_to(PeerId("f" * 32)) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Equipment(rdma="x" * (MAX_WORDS + 1)),
        lambda: Equipment(carriers=(Carrier((B,), "x" * (MAX_WORDS + 1)),)),
        lambda: Equipment(carriers=(Carrier((B,)),) * 9),
        lambda: Equipment(carriers=(Carrier((B,) * 33),)),
        lambda: Equipment(cables=(Cable(ONE, OTHER, is_used=True),) * (MAX_CABLES + 1)),
        lambda: Equipment(cables=(Cable(ONE, "AAAA", is_used=True),)),
        lambda: Equipment(milliwatts=-1),
    ],
)
def test_what_no_machine_has_cannot_be_told(make: Callable[[], Equipment]) -> None:
    with pytest.raises(ValueError, match="machine"):
        make()
