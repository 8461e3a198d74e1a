"""Every knob of the membership protocol, with its unit, its meaning and its price."""

from dataclasses import dataclass, replace

from .sync import MAX_ITEMS


@dataclass(frozen=True, slots=True)
class MembershipKnobs:
    """How gossip watches over the peers. Defaults are those of `lan()`; names follow SWIM and Lifeguard.

    probe_interval_s: between two probes; each finds at most one silent peer. Half of it: twice the packets.
    probe_timeout_s: until others are asked to try; above the slowest round trip, or relays work for nothing.
    relays: how many others are asked (SWIM's k); each costs four packets a failed probe.
    relay_share: a relay says that it failed after this share of the time that is left, so that its word
        comes in time (Lifeguard's footnote: 0.8; at 1.0 it is always late).
    suspicion_mult: shortest suspicion is this × max(1, log10 N) × probe_interval_s. Less finds a death
        sooner and wrongs more slow peers.
    suspicion_max_mult: longest suspicion, in shortest ones; nobody confirmed it yet. More spares more slow
        peers, at the price of the time until a lone observer is sure.
    confirmations: suspicions by others that shorten it to the shortest.
    max_health: greatest local health score; the probe interval is stretched up to this + 1 times while
        this peer itself seems slow.
    gossip_interval_s, gossip_fanout: how often, and to how many, news is passed on while there is any.
    retransmit_mult, min_transmits: each news is sent max(min_transmits, mult × ⌈log10(N + 1)⌉) times;
        below 8 transmits meshes of 5 to 9 peers lose one update in a hundred until the next sync.
    direct_peers: up to this many members, own news go to everybody at once, and a link to each is kept.
    mending_transmits: there each peer that learns a news sends it on this many times only.
    gossip_to_dead_s: the dead are still told for this long, so that one who is not hears of it.
    sync_interval_s: between two exchanges of all that is known with one other peer, stretched by
        ⌈log2(N / 32)⌉ + 1 past 32 members. Costs 30 bytes a member each.
    reach_interval_s: between two attempts to link with members that should be linked, and with
        gossip_fanout of those who died within forget_s: two halves of a mesh meet again this soon.
    link_down_s: without a link for this long, the way to a living member is published as down.
    measure_interval_s: round trips are published this often at most, a way that broke or mended at once.
    forget_s: the dead and departed are shown for this long.
    tombstone_s, max_tombstones: they are remembered for this long, so that old news cannot revive them.
    max_members: peers beyond this are not taken in.
    flap_limit, flap_calm, flap_forgive_s: who was lost and came back `flap_limit` times is not counted on
        until that fell to `flap_calm`; one is forgiven each `flap_forgive_s`.
    flap_spacing_s: suspicions that were refuted within this count as one loss and return.
    lag_s: a timer that fires this much late means that this machine slept or stalled: nobody is judged for
        the time that was missed.
    """

    probe_interval_s: float = 0.5
    probe_timeout_s: float = 0.2
    relays: int = 3
    relay_share: float = 0.8
    suspicion_mult: int = 4
    suspicion_max_mult: int = 6
    confirmations: int = 2
    max_health: int = 7
    gossip_interval_s: float = 0.1
    gossip_fanout: int = 3
    retransmit_mult: int = 4
    min_transmits: int = 8
    direct_peers: int = 32
    mending_transmits: int = 5
    gossip_to_dead_s: float = 30.0
    sync_interval_s: float = 5.0
    reach_interval_s: float = 0.5
    link_down_s: float = 2.0
    measure_interval_s: float = 30.0
    forget_s: float = 600.0
    tombstone_s: float = 86400.0
    max_tombstones: int = 4096
    max_members: int = 4096
    flap_limit: int = 3
    flap_calm: int = 1
    flap_forgive_s: float = 60.0
    flap_spacing_s: float = 20.0
    lag_s: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.probe_timeout_s < self.probe_interval_s:
            raise ValueError(
                f"a probe's timeout of {self.probe_timeout_s:g} s must lie within its interval of "
                f"{self.probe_interval_s:g} s"
            )
        if min(self.gossip_interval_s, self.sync_interval_s, self.reach_interval_s, self.lag_s) <= 0:
            raise ValueError("intervals of the membership protocol are above 0 s")
        if (
            min(self.gossip_fanout, self.max_members, self.max_tombstones) < 1
            or min(self.relays, self.confirmations, self.max_health) < 0
        ):
            raise ValueError("news go to 1 peer or more, and no number of peers or of signs is below 0")
        if self.max_members + self.max_tombstones >= MAX_ITEMS:
            raise ValueError(
                f"{self.max_members} members and {self.max_tombstones} tombstones are more than one digest "
                f"tells of, {MAX_ITEMS}"
            )
        if not 0 < self.relay_share < 1:
            raise ValueError(f"a relay's share of the time, {self.relay_share:g}, lies between 0 and 1")


def lan() -> MembershipKnobs:
    """2 to 16 peers on a desk or in a closet: a silent host is known to all in about 3 s."""
    return MembershipKnobs()


def large() -> MembershipKnobs:
    """1,000 peers and more: the same watchfulness, with rarer exchanges of all that is known."""
    return replace(lan(), sync_interval_s=15.0, reach_interval_s=2.0, max_members=16384, max_tombstones=16384)


def test() -> MembershipKnobs:
    """Processes on one machine under test: as `lan`, ten times as fast; a stalled machine is wronged."""
    return replace(
        lan(),
        probe_interval_s=0.1,
        probe_timeout_s=0.05,
        gossip_interval_s=0.02,
        sync_interval_s=0.5,
        reach_interval_s=0.1,
        link_down_s=1.0,
        flap_limit=1000,
    )


PRESETS = {"lan": lan, "large": large, "test": test}
