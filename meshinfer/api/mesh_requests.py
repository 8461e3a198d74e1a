"""The JSON of the requests that concern the mesh itself, for the document of the API."""

from typing import Annotated, Literal

from pydantic import Field

from meshinfer.config import RequestLimits

from .reading import Body

MAX_STAGES = 1024
MAX_CONTEXT_TOKENS = 1 << 24
MAX_READERS = 1024

_AS_TEXT = r"^0*([1-9][0-9]{0,2}|10[01][0-9]|102[0-4])$"

Stages = Annotated[int, Field(ge=1, le=MAX_STAGES)] | Annotated[str, Field(pattern=_AS_TEXT)]
"""A number of peers, as a text too."""


MemberName = Annotated[str, Field(min_length=1, max_length=128)]
"""What a member is called, or its id."""


class UnloadBody(Body):
    """The body of `POST /mesh/models/unload`."""

    model: Annotated[str, Field(min_length=1)]


class LoadBody(UnloadBody):
    """The body of `POST /mesh/models/load`. wait: answer once the model does. stream: tell meanwhile."""

    stages: Literal["auto", "all"] | Stages | None = None
    wait: bool = True
    stream: bool = False


class PlanBody(Body):
    """The body of `POST /mesh/plan`. quant: a precision to plan for, such as 4 or mxfp4."""

    model: Annotated[str, Field(min_length=1)]
    context_tokens: Annotated[int, Field(ge=1, le=MAX_CONTEXT_TOKENS)] = RequestLimits().kv_reserve_tokens
    readers: Annotated[int, Field(ge=1, le=MAX_READERS)] = 1
    stages: Literal["auto", "all"] | Stages = "auto"
    quant: str | None = None


class KeyBody(Body):
    """The body of `POST /mesh/key`. without: names or ids of those that are not to have the new key."""

    action: Literal["rotate", "finish"]
    without: Annotated[list[MemberName], Field(max_length=64)] = Field(default_factory=list)


class DrainBody(Body):
    """The body of `POST /mesh/drain`: whether this peer hands its layers to others."""

    drain: bool
