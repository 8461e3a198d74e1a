"""`/openapi.json`, and `/docs`: a page on which people read it and try it out.

The page is Swagger UI. Its files come from a package, so that it asks no other host for anything.
"""

import asyncio
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from .openapi import openapi_document

_FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon.png": "image/png",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>meshinfer: the API of this peer</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_START = """SwaggerUIBundle({
  dom_id: "#page",
  url: "openapi.json",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  // It would send the document to a validator on the internet.
  validatorUrl: null,
});
"""

_HEADERS = {
    # Whatever a later release of the page should want from elsewhere, browsers do not fetch it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def docs_routes(app: FastAPI) -> APIRouter:
    """The document of `app`'s routes, as they are when it is first asked for, and the page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    async def document(request: Request) -> Response:
        # The schemas of many types: milliseconds, the first time.
        described = await asyncio.to_thread(openapi_document, app)
        servers = [{"url": request.scope.get("root_path", "") or "/"}]
        return JSONResponse({**described, "servers": servers})

    @router.get("/docs")
    async def page() -> Response:
        return Response(_PAGE, media_type="text/html", headers=_HEADERS)

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, media_type="text/javascript", headers=_HEADERS)

    static = Path(str(files("fastapi_offline"))) / "static"

    def add_file(name: str, media_type: str) -> None:
        @router.get(f"/docs/{name}")
        async def file() -> Response:
            return FileResponse(static / name, media_type=media_type, headers=_HEADERS)

    for name, media_type in _FILES.items():
        add_file(name, media_type)
    return router
