"""`response_format`: what clients of OpenAI's API want an answer to look like."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from meshinfer.messages import Constraint, ConstraintKind

from .errors import invalid
from .reading import Body


class JsonSchema(Body):
    """A schema that the answer fits. strict: fitting or not is no choice here, it always does."""

    name: str
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(Body):
    """text: anything; json_object: any JSON object; json_schema: JSON that fits a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


def read_format(asked: ResponseFormat | None) -> Constraint | None:
    """What the answer must look like; None is anything.

    Raises:
        ApiError: the schema is missing, or too long.
    """
    match asked:
        case None | ResponseFormat(type="text"):
            return None
        case ResponseFormat(type="json_object"):
            return Constraint(ConstraintKind.JSON)
        case ResponseFormat(json_schema=JsonSchema(schema_=schema)):
            text = json.dumps(schema, separators=(",", ":"))
            try:
                return Constraint(ConstraintKind.SCHEMA, text)
            except ValueError as error:
                param = "response_format.json_schema.schema"
                raise invalid(f"{param} cannot be taken: {error}", param) from error
        case _:
            param = "response_format.json_schema"
            raise invalid(f"{param} is missing", param, "missing_required_parameter")
