"""Who may ask: tables for names and keys, and the guard in front of an application that only says hello."""

import asyncio

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from meshinfer.api.access import IS_ADMIN, AccessGuard, Keys, Names
from meshinfer.api.errors import ApiError
from meshinfer.config import ApiConfig
from meshinfer.errors import ConfigError

USER, ADMIN = "user-key-0123456789", "admin-key-0123456789"
NAMES = Names(frozenset({"localhost", "desk", "desk.local"}))


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "LOCALHOST:52415", "desk.local:80", "desk.", "127.0.0.1:1", "[::1]:52415", "10.0.0.7",
     "[fe80::1%25en0]:1", "a.localhost:8000"],
)  # fmt: skip
def test_it_is_asked_by_its_names_and_by_number(host: str) -> None:
    assert NAMES.has(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:52415", "localhost.evil.example", "[x]:1", "0x7f.1"]
)
def test_a_page_whose_name_was_pointed_here_is_refused(host: str) -> None:
    assert not NAMES.has(host)


def test_without_keys_everybody_may_ask() -> None:
    assert Keys(None, None).check("/v1/models", "GET", None) is False
    assert Keys(None, None).check("/mesh/leave", "POST", "whatever") is False


@pytest.mark.parametrize("shown", [None, "", "user-key-012345678", USER.upper(), "schlüssel"])
def test_with_a_key_nobody_asks_without_it(shown: str | None) -> None:
    keys = Keys(USER, None)
    with pytest.raises(ApiError) as refused:
        keys.check("/v1/models", "GET", shown)
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    assert keys.check("/v1/models", "GET", USER) is False


def test_the_page_and_health_are_open() -> None:
    keys = Keys(USER, ADMIN)
    for path in ("/", "/web/page.js", "/health"):
        assert keys.check(path, "GET", None) is False
    for path, method in (("/", "POST"), ("/health/..", "GET"), ("/mesh", "GET"), ("/metrics", "GET")):
        with pytest.raises(ApiError):
            keys.check(path, method, None)


def test_what_changes_the_mesh_needs_the_admin_key_where_there_is_one() -> None:
    keys = Keys(USER, ADMIN)
    with pytest.raises(ApiError, match="needs the admin key") as refused:
        keys.check("/mesh/models/load", "POST", USER)
    assert refused.value.status == 403
    assert keys.check("/mesh/models/load", "POST", ADMIN) is True
    assert keys.check("/v1/chat/completions", "POST", ADMIN) is True


def test_beyond_loopback_there_must_be_a_key() -> None:
    for host in ("0.0.0.0", "192.168.1.4", "::", "desk.local"):
        with pytest.raises(ConfigError, match=r"--api-key.*openssl"):
            ApiConfig(host=host)
        ApiConfig(host=host, api_key=USER)
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        ApiConfig(host=host)


@pytest.mark.parametrize("key", ["short", "", "line\nbreak-0123456789", "schlüssel-0123456789"])
def test_a_key_that_is_none_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError, match="--admin-key takes at least 16") as refused:
        ApiConfig(admin_key=key)
    assert not key or key not in str(refused.value)
    assert USER not in repr(ApiConfig(api_key=USER, admin_key=USER))


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    admin = "admin" if scope[IS_ADMIN] else "user"
    answer: Response = PlainTextResponse(f"hello {admin}")
    await answer(scope, receive, send)


def client_of(config: ApiConfig) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(AccessGuard(hello, config))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:52415")


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {USER}"}, {"authorization": f"bearer   {USER}"}, {"x-api-key": USER}],
)
async def test_a_key_comes_in_either_header(headers: dict[str, str]) -> None:
    async with client_of(ApiConfig(api_key=USER)) as client:
        assert (await client.get("/mesh", headers=headers)).text == "hello user"


async def test_a_refusal_says_how_to_ask() -> None:
    async with client_of(ApiConfig(api_key=USER)) as client:
        refused = await client.get("/mesh")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["error"]["message"].startswith("this API needs a key: send it as")


async def test_a_rebound_name_reaches_nothing_even_with_the_key() -> None:
    async with client_of(ApiConfig(api_key=USER)) as client:
        headers = {"host": "evil.example", "x-api-key": USER}
        refused = await client.get("/mesh", headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (421, "unknown_host")
    async with client_of(ApiConfig(api_key=USER, names=("Good.Example",))) as client:
        assert (await client.get("/mesh", headers={**headers, "host": "good.example:1"})).is_success


async def test_so_many_are_served_at_once_and_no_more() -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        inside.set()
        await leave.wait()
        await PlainTextResponse(Request(scope).url.path)(scope, receive, send)

    guarded = AccessGuard(slow, ApiConfig(max_requests=1))
    transport = httpx2.ASGITransport(guarded)
    async with (
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(client.get("/first"))
        await inside.wait()
        second = await client.get("/second")
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        leave.set()
    assert first.result().text == "/first"
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/third")).text == "/third"
