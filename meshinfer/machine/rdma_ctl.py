"""What `rdma_ctl status` tells on macOS: whether RDMA was turned on in Recovery."""

import re

COMMAND = ("rdma_ctl", "status")

_WORD = re.compile(r"\b(not enabled|enabled|disabled)\b", re.IGNORECASE)


def read_rdma_ctl(text: str) -> bool | None:
    """Whether it is on; None where the text does not say."""
    found = _WORD.search(text)
    return found[1].lower() == "enabled" if found else None
