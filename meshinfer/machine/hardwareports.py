"""What `networksetup -listallhardwareports` tells: which socket of a Mac is which interface."""

import re
from dataclasses import dataclass

COMMAND = ("networksetup", "-listallhardwareports")

_PORT = re.compile(
    r"^Hardware Port: *(?P<label>.{1,200})\nDevice: *(?P<device>[A-Za-z0-9.]{1,15})$", re.MULTILINE
)
_THUNDERBOLT = re.compile(r"Thunderbolt (\d{1,3})")
_MOST = 256


@dataclass(frozen=True, slots=True)
class HardwarePort:
    """A socket. label: what the system calls it, such as `Thunderbolt 4`; device: its interface."""

    label: str
    device: str

    @property
    def receptacle(self) -> int | None:
        """Its number as Thunderbolt counts them; None for what is no Thunderbolt socket."""
        found = _THUNDERBOLT.fullmatch(self.label)
        return int(found[1]) if found else None


def read_hardware_ports(text: str) -> tuple[HardwarePort, ...]:
    """Read it; whatever is no port is passed over."""
    found = (HardwarePort(each["label"].strip(), each["device"]) for each in _PORT.finditer(text))
    return tuple(port for port, _ in zip(found, range(_MOST), strict=False))
