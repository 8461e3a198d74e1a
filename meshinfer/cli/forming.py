"""Reads a ring's forming from what its peers say on their terminals."""

from dataclasses import dataclass, field

from .children import ChildLine
from .greeting import read_api_line, read_listen_line
from .story import is_ring_live


class FormingFailed(Exception):
    """The ring cannot come about; the text says which peer said what."""


@dataclass(slots=True)
class Forming:
    """What is known of peers that are starting: where they listen, and who sees a live ring."""

    expected: int
    addresses: dict[str, str] = field(default_factory=dict)
    api_urls: dict[str, str] = field(default_factory=dict)
    ring_line: str = ""
    _live: set[str] = field(default_factory=set)
    _last: dict[str, str] = field(default_factory=dict)

    def told(self, line: ChildLine, teller: str) -> str | None:
        """What of a line is worth showing: where each peer listens, and the rest as `teller` tells it."""
        if line.text is None or read_api_line(line.text) or is_ring_live(line.text):
            return None
        if address := read_listen_line(line.text):
            return f"{line.name} listens on {address}"
        if (line.name == teller and not line.text.startswith("--")) or line.text.startswith("warning: "):
            return f"{line.name} │ {line.text}"
        return None

    @property
    def is_complete(self) -> bool:
        """Whether every peer answers under a live ring."""
        return len(self._live) == len(self.api_urls) == self.expected

    def heard(self, line: ChildLine) -> None:
        """Take in a line of a child.

        Raises:
            FormingFailed: that peer ended, or cannot take part.
        """
        if line.text is None:
            last = self._last.get(line.name, "it said nothing")
            raise FormingFailed(f"{line.name} ended with status {line.status}: {last}")
        self._last[line.name] = line.text
        if line.text.startswith("error: "):
            raise FormingFailed(f"{line.name}: {line.text.removeprefix('error: ')}")
        if address := read_listen_line(line.text):
            self.addresses[line.name] = address
        elif url := read_api_line(line.text):
            self.api_urls[line.name] = url
        elif is_ring_live(line.text):
            self.ring_line = line.text
            self._live.add(line.name)
