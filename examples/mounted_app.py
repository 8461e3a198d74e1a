"""The mesh's API inside your own Starlette application, beside routes of your own.

    pip install starlette uvicorn
    MODEL=smollm2 uvicorn --app-dir examples mounted_app:app --port 8000
    curl localhost:8000/haiku/rain
    curl localhost:8000/llm/v1/models

The peer lives as long as the application: it joins the mesh at its start, and leaves at its end.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import meshinfer
from meshinfer.api.app import create_app

peer = meshinfer.Peer(meshinfer.PeerConfig(model=os.environ.get("MODEL", "smollm2"), name="mounted"))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    async with peer:
        yield


async def haiku(request: Request) -> PlainTextResponse:
    chat = [{"role": "user", "content": f"Write a haiku about {request.path_params['subject']}."}]
    try:
        pieces = [piece.text async for piece in peer.generate(chat, max_tokens=48, deadline_s=60)]
    except meshinfer.NoRing as error:
        return PlainTextResponse(f"not yet: {error}\n", 503, {"Retry-After": "5"})
    return PlainTextResponse("".join(pieces) + "\n")


app = Starlette(
    lifespan=lifespan,
    routes=[Route("/haiku/{subject}", haiku), Mount("/llm", create_app(peer))],
)
