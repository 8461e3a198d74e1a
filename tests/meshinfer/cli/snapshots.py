"""Snapshots to tell stories about."""

from meshinfer.snapshot import Snapshot
from meshinfer.topology.member import Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.snapshot import MemberView, MeshSnapshot
from meshinfer.topology.target import Epoch

A, B = PeerId("a" * 32), PeerId("b" * 32)


def member(peer: PeerId, status: Status = Status.ALIVE, fault: str = "") -> MemberView:
    return MemberView(peer, f"mac-{peer[0]}", status, Phase.IDLE, "0.1.0", (), "", 10**9, None, fault)


def plan(epoch: int = 1, cut: int = 15) -> Plan:
    stages = (Stage(A, Run(1), 0, cut), Stage(B, Run(1), cut, 30))
    return Plan(Epoch(epoch), "smollm2", "f" * 32, Ring(30, stages))


def seen(
    *others: MemberView, plan: Plan | None = None, is_live: bool = False, reason: str = "", fault: str = ""
) -> Snapshot:
    """What mac-a sees."""
    mesh = MeshSnapshot("meshinfer", "smollm2", "", "auto", is_live, reason, plan, (member(A), *others))
    return Snapshot(mesh, A, "mac-a", "tcp://127.0.0.1:1", "", Phase.IDLE, fault, None)
