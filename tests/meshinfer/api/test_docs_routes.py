"""The page of the documentation, and that it asks nobody else for anything."""

import re
from urllib.parse import urljoin

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from meshinfer.api.app import create_app
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_page_and_all_that_it_loads_come_from_this_peer(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for name in loaded:
        assert "//" not in name
        part = await client.get(urljoin("/docs", name))
        assert (part.status_code, bool(part.content)) == (200, True)


async def test_browsers_are_told_to_fetch_nothing_from_elsewhere(client: httpx2.AsyncClient) -> None:
    policy = (await client.get("/docs")).headers["content-security-policy"]
    sources = {source for rule in policy.split(";") for source in rule.split()[1:]}
    assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert "validatorUrl: null" in (await client.get("/docs/start.js")).text


async def test_the_document_is_where_the_page_looks_for_it(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/"}]
    assert "/docs" not in document["paths"]
    assert 'url: "openapi.json"' in (await client.get("/docs/start.js")).text


async def test_an_application_that_mounts_the_api_is_its_server(peer: WatchedPeer) -> None:
    mounting = Starlette(routes=[Mount("/llm", create_app(peer))])
    transport = httpx2.ASGITransport(mounting)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
        document = (await client.get("/llm/openapi.json")).json()
        assert document["servers"] == [{"url": "/llm"}]
        assert (await client.get("/llm/docs/swagger-ui.css")).status_code == 200
