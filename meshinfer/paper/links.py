"""Ways between machines on paper: round trips and widths of what people join them with.

Widths are what TCP carries of the published rates, round trips those of small frames between two processes:
both are estimated from reports (Thunderbolt: 0.3 ms a hop in github.com/exo-explore/exo/issues/2070), and a
mesh that runs measures its own.
"""

import re
from dataclasses import dataclass

_SPEED = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*([gm])(b/s|bps|bit/s|be)?", re.IGNORECASE)
_MBIT = {"g": 1000, "m": 1}
_TCP_SHARE = 0.92
_ETHERNET_RTT_US = 400
_LEAST_MB_S, _MOST_MB_S = 1, 100_000


class WrongLink(ValueError):
    """A text names no kind of link; it says which there are."""


@dataclass(frozen=True, slots=True)
class LinkKind:
    """A way between two machines. rtt_us: there and back. mb_s: 10^6 bytes a second that it carries."""

    name: str
    rtt_us: int
    mb_s: int


LINKS: dict[str, LinkKind] = {
    "tb5": LinkKind("Thunderbolt 5", 600, 5000),
    "tb4": LinkKind("Thunderbolt 4", 600, 2500),
    "10gbe": LinkKind("10 Gb Ethernet", _ETHERNET_RTT_US, 1150),
    "2.5gbe": LinkKind("2.5 Gb Ethernet", _ETHERNET_RTT_US, 287),
    "1gbe": LinkKind("1 Gb Ethernet", _ETHERNET_RTT_US, 115),
    "wifi": LinkKind("Wi-Fi", 6000, 60),
}


def read_link(text: str) -> LinkKind:
    """Read a kind of link by name (`tb5`, `wifi`), or a speed (`25GbE`, `100 MB/s`) with Ethernet's delay.

    Raises:
        WrongLink: it is neither, or faster or slower than anything that joins machines.
    """
    wanted = text.strip().lower()
    known = LINKS.get(wanted.replace("thunderbolt", "tb").replace(" ", "").replace("wi-fi", "wifi"))
    if known is not None:
        return known
    matched = _SPEED.fullmatch(text.strip())
    if matched is None:
        raise WrongLink(
            f"{text!r} is no link: give one of {', '.join(LINKS)}, or a speed such as 25GbE or 100MB/s"
        )
    # A large B counts bytes: that is what programs show, and copying files reaches.
    is_bytes = (matched[3] or "") in ("B/s", "Bps")
    mbit_s = float(matched[1]) * _MBIT[matched[2].lower()]
    mb_s = round(mbit_s if is_bytes else mbit_s / 8 * _TCP_SHARE)
    if not _LEAST_MB_S <= mb_s <= _MOST_MB_S:
        raise WrongLink(f"{text!r} are {mb_s} MB/s: from {_LEAST_MB_S} to {_MOST_MB_S} MB/s join machines")
    return LinkKind(text.strip(), _ETHERNET_RTT_US, mb_s)
