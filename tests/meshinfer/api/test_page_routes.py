"""The page's files as a browser gets them: whole, cached by their bytes, and with nothing of another host."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

import meshinfer
from meshinfer import Peer
from meshinfer.api.app import create_app

WEB = Path(meshinfer.__file__).parent / "web"
FILES = sorted(path.name for path in WEB.iterdir())
NAMESPACE = "http://www.w3.org/"


@pytest_asyncio.fixture
async def client(idle_peer: Peer) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(create_app(idle_peer))
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
        yield client


class References(HTMLParser):
    """What a page names in src and href, but for places in itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = [value or "" for name, value in attrs if name in ("src", "href")]
        self.found += [value for value in named if not value.startswith("#")]
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and not named):
            self.inline.append(tag)


def references(text: str) -> References:
    parser = References()
    parser.feed(text)
    return parser


async def test_the_page_is_at_the_root(client: httpx2.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text == (WEB / "index.html").read_text()
    head = await client.head("/")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_browser_is_allowed_nothing_but_this_peer(client: httpx2.AsyncClient) -> None:
    for path in ("/", "/web/main.js"):
        headers = (await client.get(path)).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert {policy[kind] for kind in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
        assert {policy[kind] for kind in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_every_file_that_the_page_names_is_there(client: httpx2.AsyncClient) -> None:
    named = references((await client.get("/")).text).found
    assert len(named) > 5
    for path in named:
        assert (await client.get(f"/{path}")).status_code == 200, path


def test_the_page_holds_no_script_and_no_style_of_its_own() -> None:
    assert references((WEB / "index.html").read_text()).inline == []


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
async def test_every_module_that_a_module_imports_is_there(client: httpx2.AsyncClient, name: str) -> None:
    module = await client.get(f"/web/{name}")
    assert module.headers["content-type"] == "text/javascript; charset=utf-8"
    for imported in re.findall(r'^\s*(?:import|export)\b[^;]*?"\./([^"]+)"', module.text, re.MULTILINE):
        assert imported in FILES, f"{name} imports {imported}"


def test_no_module_and_no_style_is_left_over() -> None:
    texts = {name: (WEB / name).read_text() for name in FILES}
    for name in FILES:
        named = [other for other, text in texts.items() if other != name and name in text]
        assert named or name == "index.html", f"nothing uses {name}"


@pytest.mark.parametrize("name", FILES)
def test_nothing_refers_to_another_host(name: str) -> None:
    text = (WEB / name).read_text()
    assert not re.search(r"\bimport\b.*//", text)
    urls = re.findall(r"(?:https?:|wss?:)//[\w.]+[^\s\"'`]*|url\(\s*[\"']?//", text)
    assert [url for url in urls if not url.startswith(NAMESPACE)] == []


@pytest.mark.parametrize("name", FILES)
def test_nothing_becomes_markup_that_was_text(name: str) -> None:
    text = (WEB / name).read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )


@pytest.mark.parametrize("known", ["{etag}", "W/{etag}", '"other", {etag}', "*"])
async def test_what_a_browser_has_is_not_sent_again(client: httpx2.AsyncClient, known: str) -> None:
    first = await client.get("/web/page.css")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    again = await client.get("/web/page.css", headers={"If-None-Match": known.format(etag=etag)})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)


async def test_what_has_changed_is_sent(client: httpx2.AsyncClient) -> None:
    changed = await client.get("/", headers={"If-None-Match": '"of another release"'})
    assert changed.status_code == 200


@pytest.mark.parametrize(
    "path", ["/web/none.js", "/web/", "/web/../app.py", "/web/%2e%2e/api/app.py", "/web/index.html"]
)
async def test_no_other_file_is_served(client: httpx2.AsyncClient, path: str) -> None:
    refused = await client.get(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
