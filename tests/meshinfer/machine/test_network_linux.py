from pathlib import Path

import pytest

from meshinfer.machine.netkinds import InterfaceFacts, Kind, kind_of
from meshinfer.machine.network_linux import read_network

from .sysfs import make_interface, make_thunderbolt_device


def only(sys: Path) -> InterfaceFacts:
    (found,) = read_network(sys).interfaces
    return found


def test_ethernet_with_its_speed(tmp_path: Path) -> None:
    make_interface(tmp_path, "eno1", device="pci0", driver="ixgbe", speed="10000", carrier="1", mtu="9000")
    assert only(tmp_path) == InterfaceFacts(
        "eno1", Kind.ETHERNET, speed_bit_s=10_000_000_000, mtu=9000, has_carrier=True
    )


@pytest.mark.parametrize("speed", ["-1", "", "fast"])
def test_a_speed_that_the_driver_does_not_know_is_none(tmp_path: Path, speed: str) -> None:
    make_interface(tmp_path, "eth0", device="virtio", driver="virtio_net", speed=speed, carrier="0")
    assert (only(tmp_path).speed_bit_s, only(tmp_path).has_carrier) == (None, False)


@pytest.mark.parametrize(
    ("name", "files", "kind"),
    [
        ("lo", {"type": "772"}, Kind.LOOPBACK),
        ("wg0", {"type": "65534"}, Kind.VPN),
        ("tap7", {"tun_flags": "0x1002"}, Kind.VPN),
        ("mystery", {"tun_flags": "0x1001"}, Kind.VPN),
        ("docker0", {"bridge/stp_state": "0"}, Kind.VIRTUAL),
        ("br0", {"bridge/stp_state": "0"}, Kind.BRIDGE),
        ("veth12ab", {}, Kind.VIRTUAL),
        ("mystery", {}, Kind.VIRTUAL),
        # The only way out of a container.
        ("eth0", {}, Kind.ETHERNET),
    ],
)
def test_what_is_made_of_software(tmp_path: Path, name: str, files: dict[str, str], kind: Kind) -> None:
    make_interface(tmp_path, name, **files)
    assert only(tmp_path).kind is kind


def test_a_radio_is_told_by_its_folder(tmp_path: Path) -> None:
    make_interface(tmp_path, "mystery", device="pci1", driver="iwlwifi", **{"phy80211/index": "0"})
    assert only(tmp_path).kind is Kind.WIFI


def test_the_ports_of_a_dgx_spark(tmp_path: Path) -> None:
    for name in ("enp1s0f0np0", "enP2p1s0f0np0"):
        make_interface(tmp_path, name, device=f"pci-{name}", driver="mlx5_core", speed="200000", carrier="1")
    assert [(each.kind, each.speed_bit_s) for each in read_network(tmp_path).interfaces] == [
        (Kind.CONNECTX, 200_000_000_000)
    ] * 2


def test_a_bridge_tells_its_members(tmp_path: Path) -> None:
    make_interface(tmp_path, "br0", **{"bridge/stp_state": "0", "brif/eno1": "", "brif/eno2": ""})
    for name in ("eno1", "eno2"):
        make_interface(tmp_path, name, device=name)
    facts = read_network(tmp_path)
    bridge = facts.find("br0")
    assert bridge is not None
    assert bridge.members == ("eno1", "eno2")
    assert kind_of("br0", facts) is Kind.ETHERNET


def test_a_thunderbolt_cable_and_who_is_there(tmp_path: Path) -> None:
    make_interface(tmp_path, "thunderbolt0", device="0-1.0", driver="thunderbolt-net", carrier="1")
    make_thunderbolt_device(tmp_path, "0-0", unique_id="aaaa-1")
    make_thunderbolt_device(
        tmp_path,
        "0-1",
        unique_id="bbbb-2",
        device_name="Mac Studio",
        rx_speed="20.0 Gb/s",
        rx_lanes="2",
        tx_speed="20.0 Gb/s",
        tx_lanes="2",
    )
    found = only(tmp_path)
    assert (found.kind, found.speed_bit_s) == (Kind.THUNDERBOLT, 40_000_000_000)
    assert found.port is not None
    assert found.port.cables == ("AAAA-1/BBBB-2",)


def test_what_is_no_folder_of_interfaces_has_none(tmp_path: Path) -> None:
    assert read_network(tmp_path / "nowhere").interfaces == ()
    (tmp_path / "class" / "net").mkdir(parents=True)
    (tmp_path / "class" / "net" / "bonding_masters").write_text("\n")
    assert read_network(tmp_path).interfaces == ()


def test_files_of_anything_but_text_are_passed_over(tmp_path: Path) -> None:
    folder = make_interface(tmp_path, "eno1", device="pci0")
    (folder / "mtu").write_bytes(b"\xff\x00" * 100_000)
    (folder / "speed").write_text("9" * 5000)
    (folder / "carrier").unlink(missing_ok=True)
    found = only(tmp_path)
    assert (found.mtu, found.speed_bit_s, found.has_carrier) == (None, None, None)


@pytest.mark.skipif(not Path("/sys/class/net").is_dir(), reason="this is no Linux")
def test_this_machine_has_a_loopback() -> None:
    assert Kind.LOOPBACK in {each.kind for each in read_network().interfaces}
