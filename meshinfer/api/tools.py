"""The tools that a question lets a model call, and how free it is in that; the same for every API."""

from dataclasses import dataclass
from enum import Enum

NO_ARGUMENTS = '{"type":"object","properties":{},"additionalProperties":false}'
"""The schema of a function that takes none."""


class ToolMode(Enum):
    """Whether a model calls tools: as it likes, never, at least one, or one that is named."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the client would call for the model.

    schema: the JSON schema of its arguments, an object, as JSON. is_strict: whether arguments must fit it
    even where the model is free to call.
    """

    name: str
    description: str = ""
    schema: str = NO_ARGUMENTS
    is_strict: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """How a model may use the tools. name: set where the mode is NAMED. is_parallel: whether one answer may
    hold several calls.

    Raises:
        ValueError: a tool is named without the mode, or the other way round.
    """

    mode: ToolMode = ToolMode.AUTO
    name: str = ""
    is_parallel: bool = True

    def __post_init__(self) -> None:
        if (self.mode is ToolMode.NAMED) != bool(self.name):
            raise ValueError(f"a tool choice of mode {self.mode.value} names {self.name!r}")
