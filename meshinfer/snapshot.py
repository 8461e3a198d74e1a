"""What a peer shows of the mesh and of itself, as values and as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from meshinfer.topology.plan import Plan
from meshinfer.topology.plugging import idle_cables
from meshinfer.topology.record import LinkMeasure, Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.snapshot import MemberView, MeshSnapshot, ModelView

from .energy import MeshEnergy, energy_of

_MAX_ACTIVITY = 100


@dataclass(frozen=True, slots=True)
class Activity:
    """Something long that goes on: what, and how far in bytes (total 0 where nobody knows)."""

    what: str
    done_bytes: int
    total_bytes: int

    def __str__(self) -> str:
        """For other peers, coarsely, so that they are told now and then only."""
        if self.total_bytes <= 0:
            return self.what[:_MAX_ACTIVITY]
        tenths = 10 * min(self.done_bytes, self.total_bytes) // self.total_bytes
        return f"{self.what[:_MAX_ACTIVITY]}, {10 * tenths} %"


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

    `model` to `ring` and the members' phase and layers are of the first model; `models` tells of all.
    Members that left or died are not in it: those who joined later never knew them. `idle_cables` are pairs
    of members that a Thunderbolt cable joins although no link goes by it.
    """
    names = {member.peer: member.name for member in mesh.members}
    energy = energy_of(mesh)
    return {
        "mesh": mesh.mesh,
        "is_open": mesh.is_open,
        "model": mesh.model or None,
        "fingerprint": mesh.fingerprint or None,
        "stages": mesh.stages,
        "state": "live" if mesh.is_live else "waiting",
        "reason": mesh.reason or None,
        "plan": _plan_json(mesh.plan),
        "ring": [
            {
                "peer": stage.peer,
                "name": names.get(stage.peer, ""),
                "layers": [stage.first_layer, stage.end_layer],
            }
            for stage in (mesh.plan.ring.stages if mesh.plan else ())
        ],
        "models": [_model_json(model) for model in mesh.models],
        "members": [_member_json(m, energy) for m in mesh.members if m.is_present],
        "joules_per_token": energy.joules_per_token,
        "idle_cables": [
            [{"peer": each.peer, "name": each.name} for each in ends] for ends in idle_cables(mesh.members)
        ],
    }


def _plan_json(plan: Plan | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {"digest": plan.digest, "epoch": plan.epoch, "layer_count": plan.ring.layer_count}


def _model_json(model: ModelView) -> dict[str, Any]:
    return {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "stages": model.stages,
        "state": "live" if model.is_live else "waiting",
        "reason": model.reason or None,
        "plan": _plan_json(model.plan),
        "ring": [
            {
                "peer": each.peer,
                "name": each.name,
                "layers": list(each.layers),
                "phase": each.phase.value,
                "need_bytes": each.need_bytes,
            }
            for each in model.ring
        ],
        "used_ms": model.used_ms,
        "token_us": model.token_us or None,
        "is_kept": model.is_kept,
    }


def _member_json(member: MemberView, energy: MeshEnergy) -> dict[str, Any]:
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
        "barred": member.barred or None,
        # Where they lie is nobody's business but the peers'.
        "on_disk": [{"name": model.name, "size_bytes": model.size_bytes} for model in member.on_disk],
        "activity": member.activity or None,
        "load": asdict(member.load),
        "drain": member.drain or None,
        "ns_per_mib": member.ns_per_mib or None,
        "links": [_link_json(link, member) for link in member.links],
        "rdma": member.equipment.rdma or None,
        "watts": member.equipment.milliwatts / 1000 or None,
        "joules_per_token": energy.of.get(member.peer),
    }


def _link_json(link: LinkMeasure, member: MemberView) -> dict[str, Any]:
    """A way to another member. By what it goes is None where that is not known, `fabric` also for TCP."""
    carrier = member.equipment.carrier_to(link.peer)
    by = {
        "interface": carrier.interface or None if carrier else None,
        "kind": carrier.kind or None if carrier else None,
        "fabric": carrier.fabric or None if carrier else None,
    }
    return {**asdict(link), **by}
