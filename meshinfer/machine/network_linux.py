"""What the interfaces of a Linux machine are, from what the kernel shows below /sys."""

from pathlib import Path

from .netkinds import InterfaceFacts, Kind, NetworkFacts, kind_by_name
from .sysfs import SYS, read_number
from .thunderbolt import ThunderboltPort
from .thunderbolt_sysfs import port_of

_MOST = 512

_LOOPBACK = 772
_ETHER = 1
_DRIVERS = {
    "thunderbolt-net": Kind.THUNDERBOLT,
    "thunderbolt_net": Kind.THUNDERBOLT,
    "mlx4_core": Kind.CONNECTX,
    "mlx4_en": Kind.CONNECTX,
    # Also the four functions behind the two sockets of a DGX Spark; two of them share one cable.
    "mlx5_core": Kind.CONNECTX,
}


def read_network(sys: Path = SYS) -> NetworkFacts:
    """Read it; what cannot be read is passed over, as for an interface that goes away meanwhile."""
    try:
        folders = sorted((sys / "class" / "net").iterdir())[:_MOST]
    except OSError:
        return NetworkFacts()
    return NetworkFacts(tuple(_interface(folder, sys) for folder in folders if folder.is_dir()))


def _interface(folder: Path, sys: Path) -> InterfaceFacts:
    kind = _kind(folder)
    port = port_of(folder, sys) if kind is Kind.THUNDERBOLT else None
    return InterfaceFacts(
        name=folder.name,
        kind=kind,
        speed_bit_s=_speed_bit_s(folder, port),
        mtu=read_number(folder / "mtu"),
        has_carrier=_has_carrier(folder),
        members=_members(folder),
        port=port,
    )


def _kind(folder: Path) -> Kind:
    by_name = kind_by_name(folder.name, "linux")
    hardware = read_number(folder / "type")
    if hardware == _LOOPBACK:
        return Kind.LOOPBACK
    if (folder / "bridge").is_dir():
        # What containers and virtual machines hang on is no way to another machine.
        return Kind.VIRTUAL if by_name is Kind.VIRTUAL else Kind.BRIDGE
    if (folder / "wireless").is_dir() or (folder / "phy80211").exists():
        return Kind.WIFI
    if (folder / "tun_flags").exists():
        return Kind.VPN
    if not (folder / "device").exists():
        # A container's only way out is made of software as well; its name is all there is to go by.
        return Kind.VIRTUAL if by_name is Kind.OTHER and hardware == _ETHER else by_name
    kind = _DRIVERS.get(_driver(folder))
    if kind is not None:
        return kind
    return Kind.ETHERNET if hardware == _ETHER else by_name


def _driver(folder: Path) -> str:
    try:
        return (folder / "device" / "driver").resolve(strict=True).name
    except (OSError, RuntimeError):
        return ""


def _speed_bit_s(folder: Path, port: ThunderboltPort | None) -> int | None:
    """As negotiated; drivers that don't know tell -1 or refuse."""
    mega = read_number(folder / "speed")
    if mega is not None and mega > 0:
        return mega * 1_000_000
    return port.speed_bit_s or None if port is not None else None


def _has_carrier(folder: Path) -> bool | None:
    """Of an interface that is down it cannot be read."""
    carrier = read_number(folder / "carrier")
    return None if carrier is None else carrier == 1


def _members(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(each.name for each in (folder / "brif").iterdir()))[:_MOST]
    except OSError:
        return ()
