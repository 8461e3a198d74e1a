"""Why an answer waits, in plain words: the comments that keep its stream alive say so."""

from meshinfer.snapshot import Snapshot
from meshinfer.topology.member import Status
from meshinfer.topology.snapshot import MemberView


def why_waiting(seen: Snapshot, model: str | None = None, *, has_begun: bool) -> str:
    """What stands between an answer and its next piece, as far as its peer can see. Holds nothing of it.

    model: which one was asked; None is the mesh's first. has_begun: whether a piece came already. Before
    that, a peer cannot tell a request that waits behind others from one whose prompt is being computed.
    """
    mesh = seen.mesh
    view = mesh.find(model) if model is not None else next(iter(mesh.models), None)
    if view is None and model is not None:
        doing = f": {seen.activity.what}" if seen.activity is not None else ""
        return f"loading {model}{doing}"
    members = {member.peer: member for member in mesh.members}
    stages = [members[stage.peer] for stage in (view.ring if view else ()) if stage.peer in members]
    gone = [member for member in stages if not member.is_present]
    silent = [member for member in stages if member.status is Status.SUSPECT]
    unloaded = {stage.peer for stage in (view.ring if view else ()) if not stage.phase.is_loaded}
    loading = [member for member in stages if member.peer in unloaded]
    is_live, reason = (view.is_live, view.reason) if view else (False, mesh.reason)
    if gone:
        return f"waiting for a ring: {_who(gone, 'is gone', 'are gone')}"
    if silent:
        return f"waiting for a ring: {_who(silent, 'does not answer', 'do not answer')}"
    if not is_live and loading:
        return f"waiting for a ring: {_who(loading, 'loads its layers', 'load their layers')}"
    if not is_live:
        return f"waiting for a ring: {reason.removeprefix('waiting for ')}"
    if has_begun:
        return "waiting for the next token"
    return "waiting for its turn, or for its prompt to be computed"


def _who(members: list[MemberView], does: str, do: str) -> str:
    names = ", ".join(member.name for member in members)
    return f"{names} {do if len(members) > 1 else does}"
