import pytest
from hypothesis import given

from meshinfer.machine.hardwareports import HardwarePort, read_hardware_ports
from tests.hostile import hostile
from tests.platform import all_told, told

STUDIO = told("m3-ultra-1", "hardwareports.txt")


def test_sockets_of_a_studio() -> None:
    ports = read_hardware_ports(STUDIO)
    assert ports[0] == HardwarePort("Ethernet", "en0")
    assert [(port.receptacle, port.device) for port in ports if port.receptacle] == [
        (1, "en2"),
        (2, "en3"),
        (3, "en4"),
        (4, "en5"),
        (5, "en6"),
        (6, "en7"),
    ]


def test_interfaces_are_not_numbered_as_sockets_are() -> None:
    ports = read_hardware_ports(told("mbp-m5max", "hardwareports.txt"))
    assert {port.receptacle: port.device for port in ports if port.receptacle} == {
        1: "en1",
        2: "en6",
        3: "en2",
    }


@pytest.mark.parametrize("machine", all_told("hardwareports.txt"))
def test_every_recorded_machine_is_read(machine: str) -> None:
    text = told(machine, "hardwareports.txt")
    assert len(read_hardware_ports(text)) == text.count("Hardware Port: ")


def test_names_that_nobody_expected_are_sockets_as_well() -> None:
    text = "\nHardware Port: USB 10/100/1G/2.5G LAN: x\nDevice: en11\nEthernet Address: N/A\n"
    assert read_hardware_ports(text) == (HardwarePort("USB 10/100/1G/2.5G LAN: x", "en11"),)


@given(hostile(STUDIO))
def test_whatever_comes_it_is_read_and_bounded(text: str) -> None:
    assert len(read_hardware_ports(text)) <= 256
