"""Failures that nobody else would hear of: what is only logged, or raised where nobody waits."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.simulation.life import Surroundings


class _Listening(logging.Handler):
    def __init__(self, around: Surroundings) -> None:
        super().__init__(logging.WARNING)
        self._around = around

    def emit(self, record: logging.LogRecord) -> None:
        """An actor failed, or work that was only posted."""
        if record.exc_info is not None:
            error = record.exc_info[1]
            self._around.ledger.report("failure", f"{record.getMessage()}: {_with_place(error)}")


@contextmanager
def failures_reported(around: Surroundings) -> Iterator[None]:
    """Take what is logged as failed, or raised where nobody waits, for a failure of the run."""

    def raised(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        around.ledger.report("failure", f"{context.get('message')}: {_with_place(error)}")

    listening = _Listening(around)
    loggers = [logging.getLogger(name) for name in ("meshinfer", "tests.simulation")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    around.loop.set_exception_handler(raised)
    for logger in loggers:
        logger.addHandler(listening)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    try:
        yield
    finally:
        around.loop.set_exception_handler(None)
        for logger, (level, is_propagated) in zip(loggers, before, strict=True):
            logger.removeHandler(listening)
            logger.setLevel(level)
            logger.propagate = is_propagated


def _with_place(error: BaseException | None) -> str:
    """An error, and where it was raised."""
    place = error.__traceback__ if error is not None else None
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
    return f"{error!r}{where}"
