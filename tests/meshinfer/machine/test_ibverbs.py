import pytest
from hypothesis import given

from meshinfer.machine.ibverbs import read_devices, read_states
from tests.hostile import hostile
from tests.platform import all_told, told

DEVICES = told("m3-ultra-1", "ibv_devices.txt")
STATES = told("m3-ultra-1", "ibv_devinfo.txt")


def test_devices_are_told_by_their_interfaces() -> None:
    assert read_devices(DEVICES) == ("en2", "en3", "en5", "en4", "en6", "en7")


def test_where_rdma_is_off_there_is_a_heading_and_nothing_else() -> None:
    assert read_devices(told("rdma-off", "ibv_devices.txt")) == ()


def test_a_port_is_active_where_a_cable_is() -> None:
    states = read_states(STATES)
    assert [name for name, state in states.items() if state == "PORT_ACTIVE"] == ["en3", "en5", "en4"]
    assert states["en2"] == "PORT_DOWN"


@pytest.mark.parametrize("machine", all_told("ibv_devinfo.txt"))
def test_every_recorded_machine_tells_the_state_of_each_device(machine: str) -> None:
    devices = read_devices(told(machine, "ibv_devices.txt"))
    assert set(read_states(told(machine, "ibv_devinfo.txt"))) == set(devices)


@given(hostile(DEVICES))
def test_whatever_devices_come_they_are_bounded(text: str) -> None:
    assert len(read_devices(text)) <= 64


@given(hostile(STATES))
def test_whatever_states_come_they_are_bounded(text: str) -> None:
    assert len(read_states(text)) <= 64


def test_a_text_of_millions_of_empty_lines_is_soon_done_with() -> None:
    empty = "\n" * 2_000_000
    assert (read_devices(empty), read_states(empty)) == ((), {})
