"""Where further links are looked for, on a network inside this process."""

import logging
import random

import pytest

from meshinfer.actors.mail import Envelope, LinkUp, Reach, Send, Whereabouts
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.hosts import host_of, message
from tests.meshinfer.actors.mailbag import A, B, C, Living, hello, next_of, tapped_log


async def test_a_way_that_leads_to_another_peer_than_was_looked_for_there_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "meshinfer")
    network = MemoryNetwork(random.Random(1))
    one, two, other = [await host_of(network, hello(peer)) for peer in (A, B, C)]
    with tapped_log() as log:
        async with Living(one.links, two.links, other.links):
            await one.box.tell(Reach((two.address,), B))
            await next_of(one.events, LinkUp)
            await one.box.tell(Whereabouts(((B, (two.address, other.address)),)))
            await one.box.tell(Send(B, message(1)))
            await next_of(two.inbound, Envelope)
            await one.links.tick()
            said = await log.line_with("no further link to")
            assert "is peer-c, another peer was looked for there" in said
            assert len(other.events) == 0
