import errno
import os
import socket

import pytest

from meshinfer.transports.reasons import why_no_answer, why_not_listening


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_no_route_on_a_mac_mentions_the_permission_that_is_often_missing() -> None:
    assert "Local Network" in why_no_answer(failure(errno.EHOSTUNREACH), platform="darwin")
    assert "Local Network" not in why_no_answer(failure(errno.EHOSTUNREACH), platform="linux")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (failure(errno.ECONNREFUSED), "nothing listens on that port"),
        (failure(errno.ENETUNREACH), "no network"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name is unknown here"),
        (failure(errno.EIO), "error"),
        (OSError("Multiple exceptions: a, b"), "Multiple exceptions"),
    ],
)
def test_a_failed_dial_is_told_in_plain_words(error: OSError, says: str) -> None:
    assert says in why_no_answer(error)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (failure(errno.EADDRINUSE), "already in use: stop the program that holds it"),
        (failure(errno.EADDRNOTAVAIL), "not one of this machine's"),
        (failure(errno.EACCES), "choose one from 1024 on"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name is unknown here"),
    ],
)
def test_a_port_that_cannot_be_listened_on_is_told_with_what_to_do(error: OSError, says: str) -> None:
    assert says in why_not_listening(error)
