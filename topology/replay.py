"""Which packets of a peer were seen already: a sliding window, as IPsec has it (RFC 4303, 3.4.3)."""

_WIDTH = 512


class ReplayWindow:
    """Takes each number once; those older than the window count as seen."""

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0

    def take(self, number: int) -> bool:
        """Note a packet's number; return False when it came before, or is too old to tell."""
        ahead = number - self._highest
        if ahead > 0:
            self._seen = ((self._seen << ahead) | 1) & ((1 << _WIDTH) - 1) if ahead < _WIDTH else 1
            self._highest = number
            return True
        if ahead <= -_WIDTH:
            return False
        bit = 1 << -ahead
        if self._seen & bit:
            return False
        self._seen |= bit
        return True
