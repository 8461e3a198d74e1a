"""Why an answer waits, in plain words: the comments that keep its stream alive say so."""

from meshinfer.snapshot import Snapshot
from meshinfer.topology.member import Status
from meshinfer.topology.snapshot import MemberView


def why_waiting(seen: Snapshot, *, has_begun: bool) -> str:
    """What stands between an answer and its next piece, as far as its peer can see. Holds nothing of it.

    has_begun: whether a piece came already. Before that, a peer cannot tell a request that waits behind
    others from one whose prompt is being computed.
    """
    mesh = seen.mesh
    stages = [member for member in mesh.members if member.layers is not None]
    gone = [member for member in stages if member.status in (Status.DEAD, Status.LEFT)]
    silent = [member for member in stages if member.status is Status.SUSPECT]
    loading = [member for member in stages if not member.phase.is_loaded]
    if gone:
        return f"waiting for a ring: {_who(gone, 'is gone', 'are gone')}"
    if silent:
        return f"waiting for a ring: {_who(silent, 'does not answer', 'do not answer')}"
    if not mesh.is_live and loading:
        return f"waiting for a ring: {_who(loading, 'loads its layers', 'load their layers')}"
    if not mesh.is_live:
        return f"waiting for a ring: {mesh.reason.removeprefix('waiting for ')}"
    if has_begun:
        return "waiting for the next token"
    return "waiting for its turn, or for its prompt to be computed"


def _who(members: list[MemberView], does: str, do: str) -> str:
    names = ", ".join(member.name for member in members)
    return f"{names} {do if len(members) > 1 else does}"
