import socket

from .conftest import Start


def test_where_nobody_listens_it_says_so_and_ends_with_1(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    topology = start("topology", "--url", url)
    assert topology.until("^error: no peer answers at (.*): start one with `meshinfer join")[1] == url
    assert topology.ended() == 1


def test_a_peer_without_a_ring_is_drawn_with_the_reason(join: Start, start: Start) -> None:
    peer = join("--name", "mac-1", "--memory", "2")
    url = peer.until(r"^API on (\S+)/v1")[1]
    topology = start("topology", "--url", url)
    topology.until("^mesh meshinfer: no ring yet: .*--model")
    topology.until(r"^mac-1  –       2\.0 GB  idle")
    assert topology.ended() == 0


def test_watching_draws_again_when_something_changed(join: Start, start: Start) -> None:
    first = join("--name", "mac-1")
    listens = first.until(r"listens on (\S+)")[1]
    url = first.until(r"^API on (\S+)/v1")[1]
    topology = start("topology", "--url", url, "--watch")
    topology.until("^mac-1 ")
    join("--name", "mac-2", "--peer", listens)
    topology.until("^mac-2 ")
    first.process.terminate()
    topology.until("^error: ")
    assert topology.ended() == 1
