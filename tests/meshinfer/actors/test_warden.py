import asyncio
from dataclasses import dataclass, field

from meshinfer.actors.line import Line, Lines
from meshinfer.actors.warden import Warden
from meshinfer.messages import Hello
from meshinfer.topology.conduct import Conduct, Offence
from meshinfer.topology.ring import PeerId
from meshinfer.transports.trunk import Trunk, TrunkLimits
from tests.topology.voices import B, C


def line_to(peer: PeerId) -> Line:
    trunk = Trunk("bad", TrunkLimits(), asyncio.Lock(), lambda: 0.0, prefers_ours=True)
    return Line(Hello(peer, 1, "bad", "mesh", "0.1.0", "tcp://10.0.0.1:1"), trunk)


@dataclass
class Watched:
    """A warden with a line to B, and its clock."""

    lines: Lines = field(default_factory=lambda: {B: line_to(B)})
    conduct: Conduct = field(default_factory=Conduct)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.warden = Warden(self.lines, self.conduct, max_frames_per_s=100, now_s=lambda: self.now_s)


async def test_who_is_accused_too_often_says_goodbye_and_is_not_taken_in_for_a_while() -> None:
    watched = Watched()
    for _ in range(10):
        assert watched.warden.objection(B, "bad") == ""
        watched.warden.accused(B, Offence.FOREIGN, "Token about a session of others")
    reason = "bad is cut off for 60 s, it broke the rules too often: 10 × foreign"
    assert watched.warden.objection(B, "bad") == reason
    watched.now_s = 60.0
    assert watched.warden.objection(B, "bad") == ""


async def test_who_has_no_line_is_not_blamed_for_what_others_may_have_said_in_its_name() -> None:
    watched = Watched()
    for _ in range(100):
        watched.warden.accused(C, Offence.FOREIGN, "Token about a session of others")
    assert watched.conduct.counts == {}
    assert watched.warden.objection(C, "c") == ""


async def test_a_line_that_ends_counts_where_the_other_side_broke_the_rules_of_the_wire() -> None:
    watched = Watched()
    line = watched.lines[B]
    watched.warden.ended(line, "the cable was pulled")
    assert watched.conduct.counts == {}
    line.trunk.has_faulted = True
    watched.warden.ended(line, "unknown message 999")
    assert watched.conduct.counts == {(B, Offence.PROTOCOL): 1}


async def test_a_flood_ends_its_line_and_what_came_over_a_longer_time_does_not() -> None:
    watched = Watched()
    line = watched.lines[B]
    line.trunk.received_frames, watched.now_s = 500, 5.0
    watched.warden.look_for_floods()
    assert not line.ended.is_set()
    line.trunk.received_frames, watched.now_s = 650, 6.0
    watched.warden.look_for_floods()
    assert line.ended.is_set()
    assert watched.conduct.counts == {(B, Offence.FLOOD): 1}
