import os
import socket
from contextlib import closing

import pytest

from meshinfer.doctor.probe_ports import try_port


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_is_taken_is_told_with_its_holder(kind: socket.SocketKind) -> None:
    with closing(socket.socket(socket.AF_INET, kind)) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        tried = try_port("127.0.0.1", port, "links", is_udp_wanted=True)
    assert tried.holder.endswith(f"(process {os.getpid()})") or tried.holder == "another program"


def test_a_port_that_is_free_is_left_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert try_port("127.0.0.1", port, "API", is_udp_wanted=False).holder == ""
    assert try_port("127.0.0.1", port, "API", is_udp_wanted=False).holder == ""
