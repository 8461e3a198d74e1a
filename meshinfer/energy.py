"""What a token costs in joules, where the machines that compute it tell what they take."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshinfer.topology.ring import PeerId
from meshinfer.topology.snapshot import MeshSnapshot

from .machine.watts import joules_per_token


@dataclass(frozen=True, slots=True)
class MeshEnergy:
    """Joules for each token that the mesh writes at present, by peer and in all; coarse, as what they are of.

    of: peers of live rings that tell. joules_per_token: of all such peers, None where one of them does not
    tell. Empty and None while no answer is written: what idle machines take is no token's.
    """

    of: Mapping[PeerId, float]
    joules_per_token: float | None


def energy_of(mesh: MeshSnapshot) -> MeshEnergy:
    """What tokens cost now."""
    here = [member for member in mesh.members if member.is_present]
    tokens_per_s = sum(member.load.tokens_per_s for member in here)
    computing = {stage.peer for model in mesh.models if model.is_live for stage in model.ring}
    if not tokens_per_s or not computing:
        return MeshEnergy({}, None)
    told = {member.peer: member.equipment.milliwatts / 1000 or None for member in here}
    costs = {peer: joules_per_token([told.get(peer)], 1 / tokens_per_s) for peer in sorted(computing)}
    total = joules_per_token([told.get(peer) for peer in computing], 1 / tokens_per_s)
    return MeshEnergy({peer: cost for peer, cost in costs.items() if cost is not None}, total)
