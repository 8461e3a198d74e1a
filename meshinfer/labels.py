"""What the client of a request calls it: the API hangs a label on all that it does for the request."""

from contextvars import ContextVar
from dataclasses import dataclass, field

MAX_LABEL = 128
"""Characters of a name that a client may give."""


@dataclass(slots=True)
class Label:
    """Names of one request: a label and nothing else, they open nothing.

    name: its client's, or one that was made up for it. also: what its answers' ids end with.
    """

    name: str
    also: list[str] = field(default_factory=list)

    def is_called(self, name: str) -> bool:
        """Whether `name` is its name, or the id of one of its answers, such as `chatcmpl-…`."""
        return name == self.name or any(name.endswith(each) for each in self.also)


current_label: ContextVar[Label | None] = ContextVar("meshinfer_label", default=None)
"""The label of the request that the running task works for."""


def call_also(token: str) -> None:
    """Let the request that the running task works for be found by ids that end with an unguessable token."""
    if (label := current_label.get()) is not None and token not in label.also:
        label.also.append(token)


def is_label(name: str) -> bool:
    """Whether a client may call its request so: 1 to 128 characters of ASCII that can be printed."""
    return 0 < len(name) <= MAX_LABEL and name.isascii() and name.isprintable()
