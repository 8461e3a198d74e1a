"""HTTP/1.1 on one connection: uvicorn's, but quiet, and with an end to its patience."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def http_protocol(read_timeout_s: float) -> type[H11Protocol]:
    """A protocol class that closes a connection whose request does not begin and head within read_timeout_s.

    The bodies' time is limited elsewhere (`body.py`). No access log: paths and their queries are nobody's
    business, and uvicorn's own switch for it changes loggers of the whole process.
    """

    class _Protocol(H11Protocol):
        _patience: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.access_log = False
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            """Run the clock while a request's head is awaited: from the connection, or its first bytes."""
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()
            elif self._patience is None and not self.transport.is_closing():
                self._patience = self.loop.call_later(read_timeout_s, self._give_up)

        def _give_up(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

        def _stop_waiting(self) -> None:
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None

    return _Protocol
