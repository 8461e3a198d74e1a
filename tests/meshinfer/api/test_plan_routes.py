import asyncio
import json
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from meshinfer.api.app import create_app
from meshinfer.api.errors import ApiError
from meshinfer.api.plan_routes import read_plan
from meshinfer.cli.app import app
from meshinfer.config import RequestLimits
from tests.meshinfer.api.conftest import WatchedPeer

on_one_loop = pytest.mark.asyncio(loop_scope="session")


@on_one_loop
async def test_a_plan_is_what_the_command_line_prints(peer: WatchedPeer, client: httpx2.AsyncClient) -> None:
    model = str(peer.config.model)
    arguments = ["plan", model, "--url", peer.api_url, "--json", "--offline", "--readers", "2"]
    printed = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    answered = await client.post("/mesh/plan", json={"model": model, "readers": 2})
    assert answered.status_code == 200
    assert answered.json() == json.loads(printed.stdout)
    assert answered.json()["fits"]


@on_one_loop
async def test_a_model_without_a_config_is_refused(client: httpx2.AsyncClient) -> None:
    refused = await client.post("/mesh/plan", json={"model": "/nowhere/at/all"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "model_unusable")


@on_one_loop
async def test_only_its_own_machine_may_have_a_peer_plan(peer: WatchedPeer) -> None:
    transport = httpx2.ASGITransport(create_app(peer), client=("192.168.1.4", 123))
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as there:
        assert (await there.post("/mesh/plan", json={"model": "tiny"})).status_code == 403


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({}, "model"),
        ({"model": ""}, "model"),
        ({"model": "m", "on": "4 x M3 Ultra"}, "on"),
        ({"model": "m", "stages": True}, "stages"),
        ({"model": "m", "quant": 4}, "quant"),
        ({"model": "m", "quant": "9"}, "quant"),
        ({"model": "m", "readers": 0}, "readers"),
        ({"model": "m", "context_tokens": 1.5}, "context_tokens"),
        ({"model": "m", "readers": True}, "readers"),
    ],
)
def test_what_is_wrong_is_refused_by_name(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_plan(json.dumps(asked).encode(), RequestLimits())
    assert (refused.value.status, refused.value.param) == (400, param)


def test_what_is_not_said_is_as_usual() -> None:
    asked = read_plan(b'{"model": "m", "quant": "4", "stages": 2}', RequestLimits(kv_reserve_tokens=77))
    assert (asked.wanted.context_tokens, asked.wanted.readers, asked.wanted.spread) == (77, 1, 2)
    assert asked.precision is not None
