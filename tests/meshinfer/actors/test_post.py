from typing import Any, cast

from meshinfer import wire
from meshinfer.actors.actor import Mailbox
from meshinfer.actors.line import Lines
from meshinfer.actors.mail import Envelope, Send
from meshinfer.actors.post import Post
from meshinfer.messages import SessionId, WrongEpoch
from meshinfer.topology.target import Digest, Epoch, Target
from tests.meshinfer.actors.mailbag import A, B, C, bag, hello

TARGET = Target(Epoch(1), Digest("d" * 32))


class Pen:
    """A line that takes so many messages and no more."""

    def __init__(self, room: int) -> None:
        self.taken: list[wire.Message] = []
        self._room = room

    def send(self, message: wire.Message) -> bool:
        if len(self.taken) == self._room:
            return False
        self.taken.append(message)
        return True


def message(number: int) -> WrongEpoch:
    return WrongEpoch(SessionId(f"s-{number}"), TARGET, None)


def post_with(lines: dict[str, Pen]) -> tuple[Post, Mailbox[Any], Mailbox[Any]]:
    links, own = bag("links"), bag("own")
    post = Post(hello(A), links, cast(Lines, lines))
    post.route({WrongEpoch: (own,)})
    return post, links, own


async def test_a_line_takes_a_message_at_once() -> None:
    pen = Pen(9)
    post, links, _ = post_with({B: pen})
    await post.send(B, message(1))
    assert pen.taken == [message(1)]
    assert len(links) == 0


async def test_what_no_line_takes_is_for_the_links_actor() -> None:
    post, links, _ = post_with({B: Pen(0)})
    await post.send(B, message(1))
    await post.send(C, message(2))
    assert [await links.take() for _ in range(2)] == [Send(B, message(1)), Send(C, message(2))]


async def test_a_message_does_not_overtake_what_waits_with_the_links_actor() -> None:
    lines: dict[str, Pen] = {}
    post, links, _ = post_with(lines)
    await post.send(B, message(1))
    lines[B] = pen = Pen(9)
    await post.send(B, message(2))
    assert pen.taken == []
    assert [await links.take() for _ in range(2)] == [Send(B, message(1)), Send(B, message(2))]
    await post.send(B, message(3))
    assert pen.taken == [message(3)]


async def test_what_is_for_this_peer_goes_nowhere_else() -> None:
    post, links, own = post_with({A: Pen(9)})
    await post.send(A, message(1))
    assert await own.take() == Envelope(hello(A), message(1))
    assert len(links) == 0
