"""What a peer tells the person at its terminal: from two snapshots to the lines between them."""

from meshinfer.snapshot import Snapshot
from meshinfer.topology.draw.figure import layers_text
from meshinfer.topology.member import Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.snapshot import MemberView, MeshSnapshot

from .terminal import Line, Tone

_RING_LIVE = "ring live, epoch"
_JUST_STARTED = "this peer has just started"


def changes(before: Snapshot | None, after: Snapshot) -> list[Line]:
    """Tell what happened between two snapshots of one peer; `before` is None at the start."""
    return [
        *_members(before, after),
        *_faults(before, after),
        *_ring(before.mesh if before else None, after),
        *_others(before.mesh if before else None, after.mesh),
    ]


def is_ring_live(text: str) -> bool:
    """Whether a line of these says that a ring serves now."""
    return text.startswith(_RING_LIVE)


def ring_text(mesh: MeshSnapshot, plan: Plan) -> str:
    """`mac-1 layers 0–14 → mac-2 layers 15–29`."""
    names = {member.peer: member.name for member in mesh.members}
    return " → ".join(
        f"{names.get(stage.peer, stage.peer[:8])} layers {layers_text(stage.first_layer, stage.end_layer)}"
        for stage in plan.ring.stages
    )


def _members(before: Snapshot | None, after: Snapshot) -> list[Line]:
    known = _by_peer(before)
    lines = [
        line
        for member in after.mesh.members
        if member.peer != after.peer and (line := _member(known.get(member.peer), member)) is not None
    ]
    present = {member.peer for member in after.mesh.members}
    for peer, member in known.items():
        if peer not in present and member.status in (Status.ALIVE, Status.SUSPECT):
            lines.append(Line(f"{member.name} is gone", Tone.WARNING))
    return lines


def _member(before: MemberView | None, after: MemberView) -> Line | None:
    was = before.status if before else None
    if after.status is was:
        return None
    match after.status, was:
        case Status.ALIVE, Status.SUSPECT:
            # Again, or for the first time: others may have told of it before it was linked.
            return Line(f"{after.name} answers")
        case Status.ALIVE, _:
            return Line(f"{after.name} joined")
        case Status.SUSPECT, Status.ALIVE:
            return Line(f"{after.name} does not answer", Tone.WARNING)
        case Status.LEFT, Status.ALIVE | Status.SUSPECT:
            return Line(f"{after.name} left")
        case Status.DEAD, Status.ALIVE | Status.SUSPECT:
            return Line(f"{after.name} is gone", Tone.WARNING)
        case _:
            # Known from hearsay only, and gone already.
            return None


def _faults(before: Snapshot | None, after: Snapshot) -> list[Line]:
    lines = []
    if after.fault and after.fault != (before.fault if before else ""):
        lines.append(Line(after.fault, Tone.ERROR))
        held = any(stage.peer == after.peer for model in after.mesh.models for stage in model.ring)
        stays = "serves the other models" if held else "stays in the mesh without layers"
        lines.append(Line(f"this peer {stays}: mend that, and start it again"))
    known = _by_peer(before)
    for member in after.mesh.members:
        told = known[member.peer].fault if member.peer in known else ""
        if member.peer != after.peer and member.fault and member.fault != told:
            lines.append(Line(f"{member.name} holds no layers: {member.fault}", Tone.WARNING))
    return lines


def _ring(before: MeshSnapshot | None, after: Snapshot) -> list[Line]:
    mesh = after.mesh
    if mesh.is_live and mesh.plan is not None:
        if before is not None and before.is_live and before.plan == mesh.plan:
            return []
        return [Line(f"{_RING_LIVE} {mesh.plan.epoch}: {ring_text(mesh, mesh.plan)}", Tone.GOOD)]
    if before is not None and before.reason == mesh.reason:
        return []
    if mesh.reason in ("", _JUST_STARTED) or mesh.reason == after.fault:
        return []
    if mesh.plan is not None and (mesh.plan.epoch > 1 or (before is not None and before.is_live)):
        return [Line(f"the ring re-forms: {mesh.reason}")]
    if before is not None and before.is_live:
        return [Line(f"the ring is down: {mesh.reason}", Tone.WARNING)]
    return [Line(f"no ring yet: {mesh.reason}")]


def _others(before: MeshSnapshot | None, after: MeshSnapshot) -> list[Line]:
    """Tell of the models that the mesh runs besides its first one."""
    known = {model.name: model for model in before.models} if before else {}
    lines = [
        Line(f"{name} is unloaded") for name in known if after.find(name) is None and known[name].is_live
    ]
    for model in after.models[1:]:
        was = known.get(model.name)
        is_same = was is not None and (was.is_live, was.plan) == (model.is_live, model.plan)
        if model.is_live and model.plan is not None and not is_same:
            text = f"{model.name} is live, epoch {model.plan.epoch}: {ring_text(after, model.plan)}"
            lines.append(Line(text, Tone.GOOD))
        elif not model.is_live and (was is None or was.is_live or was.reason != model.reason):
            lines.append(Line(f"{model.name} has no ring yet: {model.reason}"))
    return lines


def _by_peer(snapshot: Snapshot | None) -> dict[str, MemberView]:
    return {member.peer: member for member in snapshot.mesh.members} if snapshot else {}
