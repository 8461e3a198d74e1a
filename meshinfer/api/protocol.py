"""HTTP/1.1 on one connection: uvicorn's, but quiet, and with an end to its patience."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def http_protocol(read_timeout_s: float, write_timeout_s: float, max_connections: int) -> type[H11Protocol]:
    """A protocol class that closes connections whose client does nothing, and those that are too many.

    read_timeout_s: within it a request has to begin and head. The bodies' time is limited elsewhere
    (`body.py`). write_timeout_s: a client that takes not a byte of what waits for it in that time is cut off,
    and the application is told that it went away. No more than uvicorn's 64 KiB and a part wait for it: past
    that, sending waits. max_connections: while so many are open, further ones are closed at once, unread:
    whoever may not ask could else keep all files that this process may open.

    No access log: paths and their queries are nobody's business, and uvicorn's own switch for it changes
    loggers of the whole process.
    """

    class _Protocol(H11Protocol):
        _patience: asyncio.TimerHandle | None = None
        _stall: asyncio.TimerHandle | None = None
        _left_bytes = 0
        _is_served = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            if len(self.connections) >= max_connections:
                transport.abort()
                return
            self._is_served = True
            super().connection_made(transport)
            self.access_log = False
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            if not self._is_served:
                return
            self._stop_waiting()
            if self._stall is not None:
                self._stall.cancel()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._wait_for_reader()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            # Nothing else is written, so that writing may never pause.
            self._wait_for_reader()

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

        def _wait_for_reader(self) -> None:
            """Look again in a while whether anything of what is left was taken."""
            self._left_bytes = self.transport.get_write_buffer_size()
            if self._left_bytes and self._stall is None:
                self._stall = self.loop.call_later(write_timeout_s, self._look_at_reader)

        def _look_at_reader(self) -> None:
            self._stall = None
            if self.transport.get_write_buffer_size() == self._left_bytes != 0:
                # Not `close`, which would wait until everything is taken.
                self.transport.abort()
            else:
                self._wait_for_reader()

    return _Protocol
