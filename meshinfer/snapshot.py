"""What a peer shows of the mesh and of itself, as values and as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from meshinfer.topology.member import Status
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.snapshot import MemberView, MeshSnapshot


@dataclass(frozen=True, slots=True)
class Activity:
    """Something long that goes on: what, and how far in bytes (total 0 where nobody knows)."""

    what: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The mesh as all see it once they agree, and what only concerns this peer.

    address: where this peer takes links. api: base URL of its HTTP API, empty without one.
    fault: why this peer holds no layers although it should, empty when all is well.
    """

    mesh: MeshSnapshot
    peer: PeerId
    name: str
    address: str
    api: str
    phase: Phase
    fault: str
    activity: Activity | None


def mesh_json(mesh: MeshSnapshot) -> dict[str, Any]:
    """The mesh for `GET /mesh` and `topology --json`: the same from every peer once they agree.

    Members that left or died are not in it: those who joined later never knew them.
    """
    plan = mesh.plan
    names = {member.peer: member.name for member in mesh.members}
    ring = [
        {
            "peer": stage.peer,
            "name": names.get(stage.peer, ""),
            "layers": [stage.first_layer, stage.end_layer],
        }
        for stage in (plan.ring.stages if plan else ())
    ]
    return {
        "mesh": mesh.mesh,
        "model": mesh.model or None,
        "fingerprint": mesh.fingerprint or None,
        "stages": mesh.stages,
        "state": "live" if mesh.is_live else "waiting",
        "reason": mesh.reason or None,
        "plan": {
            "digest": plan.digest,
            "epoch": plan.epoch,
            "layer_count": plan.ring.layer_count,
        }
        if plan
        else None,
        "ring": ring,
        "members": [_member_json(m) for m in mesh.members if m.status in (Status.ALIVE, Status.SUSPECT)],
    }


def _member_json(member: MemberView) -> dict[str, Any]:
    return {
        "peer": member.peer,
        "name": member.name,
        "status": member.status.value,
        "phase": member.phase.value,
        "release": member.release,
        "addresses": list(member.addresses),
        "api": member.api or None,
        "memory_bytes": member.memory_bytes,
        "layers": list(member.layers) if member.layers else None,
        "fault": member.fault or None,
        "ns_per_mib": member.ns_per_mib or None,
        "links": [asdict(link) for link in member.links],
    }
