"""The document tells of every route; its schemas are those of the types that read the bodies."""

from typing import Any

import pytest

from meshinfer.api.app import create_app
from meshinfer.api.openapi import openapi_document
from meshinfer.api.operations import OPERATIONS
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def document(peer: WatchedPeer) -> dict[str, Any]:
    return openapi_document(create_app(peer))


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


async def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert set(operations(document)) <= set(OPERATIONS)
    for name, operation in operations(document).items():
        assert operation["summary"] == OPERATIONS[name].summary
        assert operation["responses"]
        assert ("requestBody" in operation) is (OPERATIONS[name].body is not None)


async def test_ids_are_unique_and_references_lead_somewhere(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(ids)) == len(ids)
    schemas = document["components"]["schemas"]
    assert references(document) <= {f"#/components/schemas/{name}" for name in schemas}
    assert "HTTPValidationError" not in schemas


async def test_a_body_tells_what_is_honoured_refused_and_harmless(document: dict[str, Any]) -> None:
    body = document["components"]["schemas"]["MessagesBody"]
    assert body["required"] == ["messages", "max_tokens"]
    assert body["additionalProperties"] is False
    assert body["properties"]["max_tokens"]["minimum"] == 1
    assert body["properties"]["container"]["enum"] == [None]
    assert body["properties"]["service_tier"]["enum"] == ["auto", "standard_only", None]
    assert "enum" not in body["properties"]["metadata"]


async def test_errors_have_the_shape_of_their_api(document: dict[str, Any]) -> None:
    def error(name: str) -> dict[str, Any]:
        content = operations(document)[name]["responses"]["404"]["content"]["application/json"]
        properties: dict[str, Any] = content["schema"]["properties"]
        return properties

    assert error("POST /v1/messages")["type"]["const"] == "error"
    assert error("POST /api/chat")["error"] == {"type": "string"}
    assert "code" in error("POST /v1/responses")["error"]["properties"]
