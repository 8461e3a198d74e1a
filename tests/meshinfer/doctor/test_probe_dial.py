import errno
import socket

from meshinfer.doctor.probe_dial import dial, dial_all
from tests.ports import deaf_port


async def test_who_answers_is_reached_and_tells_how_large_packets_may_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        dialled = await dial("mac-2", "127.0.0.1", server.getsockname()[1], 60.0)
    assert (dialled.name, dialled.errno, dialled.reason, dialled.local) == ("mac-2", 0, "", "127.0.0.1")
    assert dialled.mss > 500


async def test_who_refuses_is_told_with_the_reason() -> None:
    with deaf_port() as port:
        (dialled,) = await dial_all([("mac-2", "127.0.0.1", port)], 60.0)
    assert dialled.errno == errno.ECONNREFUSED
    assert "nothing listens on that port" in dialled.reason


async def test_a_name_that_nobody_knows_is_told() -> None:
    dialled = await dial("", "no-such-host.invalid", 1, 30.0)
    assert dialled.reason


async def test_who_keeps_silent_is_told_after_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        host, port = server.getsockname()
        # A queue that is full answers nobody.
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex((host, port))
        dialled = await dial("mac-2", host, port, 0.2)
        for each in waiting:
            each.close()
    assert (dialled.errno, dialled.reason) == (0, "no answer in 0.2 s: a firewall, or a wrong network")
