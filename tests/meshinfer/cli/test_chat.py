import socket
from pathlib import Path

from .conftest import Start


def test_where_nobody_listens_it_says_so_and_ends_with_1(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    chat = start("chat", "--url", url)
    assert chat.until("^error: no peer answers at (.*): start one with `meshinfer join")[1] == url
    assert chat.ended() == 1


def test_lines_from_a_pipe_are_answered_one_by_one(join: Start, start: Start, tiny: Path) -> None:
    peer = join("--model", str(tiny), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    chat = start("chat", "--url", url, "--temperature", "0", "--max-tokens", "5")
    assert chat.process.stdin is not None
    chat.process.stdin.write("one\n")
    chat.process.stdin.flush()
    chat.until(r"^5 tokens, .*first after .* s, cut off")
    chat.process.stdin.write("two\n/quit\nthree\n")
    chat.process.stdin.flush()
    chat.until(r"^5 tokens, ")
    assert chat.ended() == 0
