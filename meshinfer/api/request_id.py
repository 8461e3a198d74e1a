"""Every request has an id, which its answer tells: the client's own `X-Request-Id`, or one that is made up.

It is a label: with it the request is found in events and traces, and nobody gets at an answer by it.
"""

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meshinfer.labels import Label, current_label, is_label

HEADER = "X-Request-Id"


class RequestId:
    """Middleware that labels each request, and sends the label in its answer's head.

    What a client gives is taken if it is a label (`is_label`); else it counts as if it had given none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        label = Label(given if is_label(given) else f"req-{secrets.token_hex(12)}")

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = label.name
            await send(message)

        # Each request is served by a task of its own, but an application may serve several by one.
        token = current_label.set(label)
        try:
            await self._app(scope, receive, labelled)
        finally:
            current_label.reset(token)
