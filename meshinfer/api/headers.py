"""What requests say in headers besides their JSON."""

import re
from collections.abc import Mapping

from .errors import invalid
from .values import describe

TIMEOUT = "X-Request-Timeout"

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def read_timeout(headers: Mapping[str, str]) -> float | None:
    """Within how many seconds the whole answer is wanted; None if the request does not say.

    Raises:
        ApiError: it is no number above 0; status 400, naming the header.
    """
    text = headers.get(TIMEOUT)
    if text is None:
        return None
    seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
    if seconds <= 0:
        raise invalid(f"{TIMEOUT} should be a number of seconds above 0, not {describe(text)}", TIMEOUT)
    return seconds
