import pytest
from hypothesis import given

from meshinfer.machine.serviceorder import Service, read_service_order
from tests.hostile import hostile
from tests.platform import all_told, told

BRIDGED = told("bridge-on", "serviceorder.txt")


def test_services_come_in_the_order_of_preference() -> None:
    assert read_service_order(BRIDGED) == (
        Service("Ethernet", "Ethernet", "en0", True),
        Service("Thunderbolt Bridge", "Thunderbolt Bridge", "bridge0", True),
        Service("Wi-Fi", "Wi-Fi", "en1", True),
        Service("Tailscale", "io.tailscale.ipn.macsys", "", True),
    )


def test_a_service_that_is_off_is_told_so() -> None:
    text = BRIDGED.replace("(2) Thunderbolt", "(*) Thunderbolt")
    assert [each.name for each in read_service_order(text) if not each.is_enabled] == ["Thunderbolt Bridge"]


@pytest.mark.parametrize("machine", all_told("serviceorder.txt"))
def test_every_recorded_machine_is_read(machine: str) -> None:
    text = told(machine, "serviceorder.txt")
    assert len(read_service_order(text)) == text.count("(Hardware Port: ")


@given(hostile(BRIDGED))
def test_whatever_comes_it_is_read_and_bounded(text: str) -> None:
    assert len(read_service_order(text)) <= 256
