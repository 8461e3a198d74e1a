"""Whether a plan can be followed: checked by every peer alike, without searching for a better one."""

from .footprint import Footprint
from .plan import PLANNER_VERSION, Plan
from .record import PeerRecord
from .ring import PeerId, Stage
from .routes import cut_ways
from .view import View


def why_invalid(plan: Plan, view: View) -> str:
    """Why `plan` cannot be followed now; empty when it can.

    A member that leaves soon or flaps breaks nothing yet: see `why_unwanted`.
    """
    desired = view.desired
    if desired is None or (plan.model, plan.fingerprint) != (desired.name, desired.fingerprint):
        return f"the mesh no longer runs {plan.model} ({plan.fingerprint[:8]})"
    for stage in plan.ring.stages:
        record = view.present.get(stage.peer)
        if record is None:
            return f"{view.name_of(stage.peer)} is gone"
        if reason := _why_not(record, stage, plan, view.footprint):
            return reason
    return _broken_hop(plan, view)


def why_unwanted(plan: Plan, view: View) -> str:
    """Why another plan should take the place of a valid one; empty when it may stay."""
    for stage in plan.ring.stages:
        if (record := view.unavailable.get(stage.peer)) is not None:
            return f"{record.name} {_why_unavailable(record)}"
    return ""


def _why_unavailable(record: PeerRecord) -> str:
    if record.is_leaving:
        return "is leaving"
    return "is drained" if record.is_drained else "was lost too often lately"


def both_bytes(footprint: Footprint, one: Stage, other: Stage) -> int:
    """What a peer needs room for that holds two stages at once: layers of both once, a KV cache for each."""
    layers = set(one.layers) | set(other.layers)
    is_head = min(one.first_layer, other.first_layer) == 0
    is_tail = max(one.end_layer, other.end_layer) == footprint.layer_count
    ends_bytes = is_head * footprint.head_bytes + is_tail * footprint.tail_bytes
    shared_bytes = footprint.shared_bytes if is_head and is_tail else 0
    layers_bytes = sum(footprint.weight_bytes[layer] for layer in layers)
    caches_bytes = sum(footprint.kv_bytes[layer] for stage in (one, other) for layer in stage.layers)
    return layers_bytes + ends_bytes - shared_bytes + caches_bytes + footprint.transient_bytes


def _why_not(record: PeerRecord, stage: Stage, plan: Plan, footprint: Footprint | None) -> str:
    """Why a member that is here cannot be the stage that `plan` makes it."""
    if record.run != stage.run:
        return f"{record.name} was started anew"
    if plan.fingerprint not in record.models:
        return f"{record.name} does not have these files of {plan.model}"
    if record.planner != PLANNER_VERSION:
        return f"{record.name} plans by version {record.planner}, this peer by {PLANNER_VERSION}"
    if footprint is None:
        return ""
    if plan.ring.layer_count != footprint.layer_count:
        return f"the plan covers {plan.ring.layer_count} layers, {plan.model} has {footprint.layer_count}"
    if stage.first_layer not in footprint.bounds:
        return f"the plan cuts {plan.model} before layer {stage.first_layer}, where it cannot be cut"
    need_bytes = footprint.stage_bytes(stage.first_layer, stage.end_layer)
    if need_bytes > record.memory_bytes:
        return f"{record.name} offers {record.memory_bytes} bytes, its layers need {need_bytes}"
    return ""


def _broken_hop(plan: Plan, view: View) -> str:
    """Which hop of the ring, the one back to the head included, is possible over no other peers either."""
    peers = plan.ring.peers
    cut = cut_ways(view.present[peer] for peer in peers)
    broken = [hop for hop in zip(peers, (*peers[1:], peers[0]), strict=True) if hop in cut]
    for one, other in broken:
        if other not in _reached(view, one):
            return f"there is no way between {view.name_of(one)} and {view.name_of(other)}"
    return ""


def _reached(view: View, start: PeerId) -> set[PeerId]:
    """Whom a peer reaches over links, of others as well: what has no link of its own is passed on."""
    cut = cut_ways(view.present.values())
    reached, edge = {start}, [start]
    while edge:
        here = edge.pop()
        further = [peer for peer in view.present if peer not in reached and (here, peer) not in cut]
        reached.update(further)
        edge += further
    return reached
