"""What `networksetup -listnetworkserviceorder` tells: a Mac's network services, the preferred one first."""

import re
from dataclasses import dataclass

COMMAND = ("networksetup", "-listnetworkserviceorder")

_SERVICE = re.compile(
    r"^\((?P<place>\*|\d{1,4})\) (?P<name>.{1,200})\n"
    r"\(Hardware Port: (?P<port>.{0,200}), Device: ?(?P<device>[A-Za-z0-9.]{0,15})\)$",
    re.MULTILINE,
)
_MOST = 256


@dataclass(frozen=True, slots=True)
class Service:
    """A network service. device: its interface, empty where it has none, as VPNs; port: its socket."""

    name: str
    port: str
    device: str
    is_enabled: bool


def read_service_order(text: str) -> tuple[Service, ...]:
    """Read it; whatever is no service is passed over."""
    found = (
        Service(each["name"], each["port"], each["device"], each["place"] != "*")
        for each in _SERVICE.finditer(text)
    )
    return tuple(service for service, _ in zip(found, range(_MOST), strict=False))
