"""What the interfaces of a Mac are, from what its tools tell."""

import re
from collections.abc import Sequence

from .hardwareports import HardwarePort
from .ifconfig import Configured
from .netkinds import InterfaceFacts, Kind, NetworkFacts, kind_by_name
from .thunderbolt import ThunderboltPort

_KINDS = (
    (re.compile(r"Thunderbolt \d+"), Kind.THUNDERBOLT),
    (re.compile(r".*Bridge"), Kind.BRIDGE),
    (re.compile(r"Wi-Fi|AirPort"), Kind.WIFI),
    (re.compile(r".*(Ethernet|LAN|10[/0-9G.]*Base).*"), Kind.ETHERNET),
)
_INNER_PORT = re.compile(r"Ethernet Adapter \(en\d+\)")
"""Ports between the parts of a Mac, for debugging: they look like Ethernet, and no cable goes into them."""


def assemble(
    sockets: Sequence[HardwarePort],
    configured: Sequence[Configured],
    ports: Sequence[ThunderboltPort],
) -> NetworkFacts:
    """Put together what each tool told; any of them may have told nothing.

    A socket's interface has a number of its own: `Thunderbolt 2` may be en3, en6 or en2. What joins a port
    of the profile with its interface is the receptacle's number.
    """
    by_device = {socket.device: socket for socket in sockets}
    by_receptacle = {port.receptacle: port for port in ports if port.receptacle}
    names = dict.fromkeys([each.name for each in configured] + [socket.device for socket in sockets])
    by_name = {each.name: each for each in configured}
    return NetworkFacts(
        tuple(_interface(name, by_device.get(name), by_name.get(name), by_receptacle) for name in names)
    )


def _interface(
    name: str,
    socket: HardwarePort | None,
    state: Configured | None,
    by_receptacle: dict[int, ThunderboltPort],
) -> InterfaceFacts:
    receptacle = socket.receptacle if socket else None
    port = by_receptacle.get(receptacle) if receptacle is not None else None
    media_bit_s = state.speed_bit_s if state else None
    return InterfaceFacts(
        name=name,
        kind=_kind(name, socket, state),
        label=socket.label if socket else "",
        speed_bit_s=port.speed_bit_s if port is not None else media_bit_s,
        mtu=state.mtu if state else None,
        has_carrier=state.has_carrier if state else None,
        members=state.members if state else (),
        port=port,
        addresses=state.addresses if state else (),
    )


def _kind(name: str, socket: HardwarePort | None, state: Configured | None) -> Kind:
    if state is not None and "LOOPBACK" in state.flags:
        return Kind.LOOPBACK
    if socket is None:
        by_name = kind_by_name(name, "darwin")
        is_bridge = state is not None and state.members and by_name is Kind.OTHER
        return Kind.BRIDGE if is_bridge else by_name
    if _INNER_PORT.fullmatch(socket.label):
        # Adapters at USB are called so as well; they have a medium.
        is_plugged = state is not None and state.has_carrier and state.media not in ("", "none")
        return Kind.ETHERNET if is_plugged else Kind.VIRTUAL
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(socket.label)), Kind.OTHER)
