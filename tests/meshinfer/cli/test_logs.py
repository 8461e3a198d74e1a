import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest

from meshinfer.cli.logs import LogFormat, show_logs, terminal_for
from meshinfer.cli.terminal import Terminal


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "meshinfer", "meshinfer.actors.placement")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers


def _say_everything() -> None:
    logger = logging.getLogger("meshinfer.actors.links")
    logger.debug("a frame")
    logger.info("a link")
    logger.warning("cannot reach %s", "mac-2")
    try:
        raise ValueError("odd")
    except ValueError as error:
        logger.error("actor failed", exc_info=error)


@pytest.mark.parametrize(
    ("verbosity", "expected"),
    [
        (0, ["warning: cannot reach mac-2", "error: actor failed: ValueError: odd (--verbose shows where)"]),
        (
            1,
            [
                "meshinfer.actors.links: a link",
                "warning: meshinfer.actors.links: cannot reach mac-2",
                "error: meshinfer.actors.links: actor failed",
                "Traceback (most recent call last):",
            ],
        ),
        (2, ["meshinfer.actors.links: a frame", "meshinfer.actors.links: a link"]),
    ],
)
def test_verbose_says_more(verbosity: int, expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(Terminal(), verbosity)
    _say_everything()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[: len(expected)] == expected


def test_what_the_peer_tells_itself_is_not_logged_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(Terminal(), 0)
    logging.getLogger("meshinfer.actors.placement").warning("plan 1 is withdrawn")
    assert capsys.readouterr().err == ""


def test_json_has_an_object_a_line_with_fields_and_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = terminal_for(LogFormat.JSON)
    terminal.introduce("mac")
    show_logs(terminal, 0)
    _say_everything()
    logging.getLogger("meshinfer.actors.placement").info("plan %s", 3, extra={"epoch": 3, "session": "s-1"})
    out, err = capsys.readouterr()
    assert out == ""
    link, warning, failed, plan = map(json.loads, err.splitlines())
    assert link["message"] == "a link"
    assert {name: warning[name] for name in warning if name != "time"} == {
        "level": "warning",
        "logger": "meshinfer.actors.links",
        "message": "cannot reach mac-2",
        "peer": "mac",
    }
    assert datetime.fromisoformat(warning["time"]).tzinfo is not None
    assert failed["traceback"].endswith("ValueError: odd")
    assert (plan["epoch"], plan["session"], plan["level"]) == (3, "s-1", "info")


@pytest.mark.parametrize(("verbosity", "count"), [(0, 3), (1, 3), (2, 4)])
def test_json_tells_information_anyway(
    verbosity: int, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    show_logs(terminal_for(LogFormat.JSON), verbosity)
    _say_everything()
    assert len(capsys.readouterr().err.splitlines()) == count
