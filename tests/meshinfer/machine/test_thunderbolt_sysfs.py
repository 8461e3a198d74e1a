from pathlib import Path

from meshinfer.machine.thunderbolt import FarEnd
from meshinfer.machine.thunderbolt_sysfs import port_of

from .sysfs import make_interface, make_thunderbolt_device


def test_a_computer_behind_a_dock_is_marked(tmp_path: Path) -> None:
    folder = make_interface(tmp_path, "thunderbolt0", device="1-301.0")
    make_thunderbolt_device(tmp_path, "1-301", unique_id="bbbb")
    port = port_of(folder, tmp_path)
    assert port is not None
    assert (port.domain, port.far_ends) == ("", (FarEnd("BBBB", is_via_hub=True),))


def test_an_older_kernel_tells_no_speed(tmp_path: Path) -> None:
    folder = make_interface(tmp_path, "thunderbolt0", device="0-1.0")
    make_thunderbolt_device(tmp_path, "0-1", unique_id="bbbb")
    port = port_of(folder, tmp_path)
    assert port is not None
    assert port.speed_bit_s == 0


def test_the_slower_direction_counts(tmp_path: Path) -> None:
    folder = make_interface(tmp_path, "thunderbolt0", device="0-3.1")
    fast, slow = {"rx_speed": "40.0 Gb/s", "rx_lanes": "3"}, {"tx_speed": "40.0 Gb/s", "tx_lanes": "1"}
    make_thunderbolt_device(tmp_path, "0-3", unique_id="bbbb", **fast, **slow)
    port = port_of(folder, tmp_path)
    assert port is not None
    assert port.speed_bit_s == 40_000_000_000


def test_what_belongs_to_no_cable_has_no_port(tmp_path: Path) -> None:
    assert port_of(make_interface(tmp_path, "thunderbolt0"), tmp_path) is None
    assert port_of(make_interface(tmp_path, "thunderbolt1", device="0000:00:1f.6"), tmp_path) is None
