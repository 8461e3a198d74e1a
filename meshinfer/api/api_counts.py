"""Counts what the API answers, by method, route and status."""

from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meshinfer.metrics import Reading

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class ApiCounts:
    """How many answers there were. Routes are those of the application: what it does not have is `other`."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, str]] = Counter()

    def count(self, method: str, route: str, status: int | None) -> None:
        """Count one; status None: its client went away before it got any."""
        known = method if method in _METHODS else "other"
        self._answers[known, route, str(status) if status is not None else "gone"] += 1

    def readings(self) -> list[Reading]:
        """All of them."""
        return [
            Reading("meshinfer_api_requests_total", labels, count)
            for labels, count in sorted(self._answers.items())
        ]


class CountAnswers:
    """Middleware that counts each request when its answer is whole."""

    def __init__(self, app: ASGIApp, counts: ApiCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None
        is_counted = False

        def count() -> None:
            nonlocal is_counted
            if not is_counted:
                is_counted = True
                # The router leaves it there once it has found one.
                route = getattr(scope.get("route"), "path", "other")
                self._counts.count(scope["method"], route, status)

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                # Before it goes out: whoever has the whole answer finds it counted.
                count()
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            count()
