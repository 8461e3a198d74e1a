"""The page that every peer shows to a browser: the files of `meshinfer/web`, as they are."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from .errors import ApiError

_WEB = Path(__file__).parent.parent / "web"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
"""What a browser may do with the page: nothing of another host, no script or style but its files."""

_HEADERS = {
    # A peer of another release at the same address has another page; asking costs one answer without a body.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "; ".join(f"{what} {where}" for what, where in _POLICY.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the page. etag: follows from its bytes alone, so all peers of a release give the same."""

    body: bytes
    media_type: str
    etag: str


def page_routes() -> APIRouter:
    """`GET /` and `GET /web/…`. The files are read here, once: serving them waits for no disk."""
    router = APIRouter(include_in_schema=False)
    files = {path.name: _read(path) for path in sorted(_WEB.iterdir()) if path.suffix in _TYPES}
    index = files.pop("index.html")

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return _answer(index, request)

    @router.api_route("/web/{name:path}", methods=["GET", "HEAD"])
    async def file(name: str, request: Request) -> Response:
        if name not in files:
            raise ApiError(404, f"the page has no file {name!r:.80}: begin at /", code="not_found")
        return _answer(files[name], request)

    return router


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _answer(file: _File, request: Request) -> Response:
    headers = {**_HEADERS, "ETag": file.etag}
    if _knows(request.headers.get("If-None-Match", ""), file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)


def _knows(known: str, etag: str) -> bool:
    """Whether a client has these bytes already (RFC 9110 §13.1.2: by weak comparison)."""
    return known.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in known.split(","))
