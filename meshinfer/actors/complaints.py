"""Warns of what goes wrong at an address, and not of the same again and again. Works for links."""

import logging

from meshinfer.transports.base import Address

logger = logging.getLogger(__name__)

_MOST_ADDRESSES = 256
_MOST_REASONS = 8


class Complaints:
    """Remembers which reasons were warned of, so that retries don't flood the log."""

    def __init__(self) -> None:
        self._known: dict[Address, set[str]] = {}

    def about(self, address: Address, text: str) -> None:
        """Warn once for each new reason."""
        text = text if address in text else f"{address}: {text}"
        if len(self._known) > _MOST_ADDRESSES:
            self._known.clear()
        known = self._known.setdefault(address, set())
        if text in known:
            return
        # Which side notices first changes from time to time, and so does the text.
        if len(known) > _MOST_REASONS:
            known.clear()
        known.add(text)
        logger.warning("%s", text)

    def settled(self, address: Address) -> None:
        """All is well there: whatever goes wrong next is news."""
        self._known.pop(address, None)
