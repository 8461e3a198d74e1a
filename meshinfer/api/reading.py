"""From the bytes of a request to checked fields, for every API: what is wrong is named in plain words."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, from_json

from .errors import ApiError, invalid
from .values import describe

B = TypeVar("B", bound=BaseModel)

TAG = "@"
"""What the names of a union's members begin with: they stand in pydantic's paths, and not in ours."""

_RULES = {
    "bool_type": "should be true or false",
    "dict_type": "should be an object",
    "float_type": "should be a number",
    "int_type": "should be a whole number",
    "list_type": "should be an array",
    "model_type": "should be an object",
    "string_type": "should be a string",
}
"""JSON's words instead of pydantic's, by the type of its finding; the others are clear enough."""


class Body(BaseModel):
    """An object of a request. Strict: a number in quotes is no number, and what is not known is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is.

    Raises:
        ApiError: it is none; status 400.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise invalid(f"the body is no valid JSON: {error}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise invalid(f"the body should be a JSON object, not {describe(value)}")
    return value


def validated(model: type[B], fields: Mapping[str, Any]) -> B:
    """The fields as what they should be.

    Raises:
        ApiError: one of them is not; status 400, naming it.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)[0]) from error


def _refusal(error: ErrorDetails) -> ApiError:
    """Say what one finding of pydantic means, in our words; only short values are repeated."""
    param = _path(error["loc"])
    match error["type"]:
        case "missing":
            return invalid(f"{param} is missing", param, "missing_required_parameter")
        case "extra_forbidden":
            return invalid(f"{param} is not a known field", param, "unknown_parameter")
        case "too_short":
            return invalid(f"{param} is empty: give at least one", param)
        case "value_error":
            reason = str(error.get("ctx", {}).get("error", ""))
            joint = "" if reason.startswith(("[", ".")) else " "
            return invalid(f"{param}{joint}{reason}", param)
        case kind:
            rule = _RULES.get(kind) or error["msg"].removeprefix("Input ")
            return invalid(f"{param} {rule}, not {describe(error['input'])}", param)


def _path(location: tuple[int | str, ...]) -> str:
    named = [part for part in location if not str(part).startswith(TAG)]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)
    return path.removeprefix(".")
