"""The OpenAPI document of the whole API: what FastAPI knows of the routes, and what `operations.py` says.

Routes read their bodies themselves, off the event loop and within limits; so the framework cannot know them.
"""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .operations import BESIDES, OPERATIONS, Operation
from .wording import Json

_REF = "#/components/schemas/{model}"

_ABOUT = """\
Every peer of a mesh answers all of this, and all peers are equal. Clients of OpenAI's, Anthropic's and
Ollama's APIs work unchanged. What a request asks for is honoured, or refused by name.
"""


def openapi_document(app: FastAPI) -> Json:
    """The document, in OpenAPI 3.1. Takes some milliseconds, the first time more."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app)
    return app.openapi_schema


def _document(app: FastAPI) -> Json:
    document = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    bodies = {row.body for row in OPERATIONS.values() if row.body is not None}
    references, schemas = _schemas(bodies)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            row = OPERATIONS.get(f"{method.upper()} {path}")
            if row is not None:
                _describe(operation, row, references)
    _drop_framework_errors(document)
    return document


def _schemas(bodies: Iterable[type[BaseModel]]) -> tuple[dict[type[BaseModel], Json], dict[str, Any]]:
    """Where each body's schema stands, and the schemas by name."""
    models = sorted({*bodies, *BESIDES}, key=lambda model: f"{model.__module__}.{model.__name__}")
    found, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF, by_alias=True
    )
    references = {model: dict(found[model, "validation"]) for model in models}
    schemas: dict[str, Any] = definitions.get("$defs", {})
    for model, (refusals, harmless) in BESIDES.items():
        properties = schemas[references[model]["$ref"].rpartition("/")[2]]["properties"]
        for name, values in refusals.items():
            properties[name] = {"enum": [*values, None], "description": "Nothing else is supported yet."}
        for name in sorted(harmless):
            properties[name] = {"description": "Taken; no answer depends on it."}
    return references, schemas


def _describe(operation: Json, row: Operation, references: dict[type[BaseModel], Json]) -> None:
    operation["summary"] = row.summary
    operation["tags"] = [row.tag]
    if row.body is not None:
        content = {"application/json": {"schema": references[row.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    if row.headers:
        operation["parameters"] = [*operation.get("parameters", []), *row.headers]
    operation["responses"] = row.responses


def _drop_framework_errors(document: Json) -> None:
    """What FastAPI says of errors that its own reading of requests would have."""
    for methods in document["paths"].values():
        for operation in methods.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
