"""What a peer's record says of its models: files, layers in memory, plans that it follows, and their use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from meshinfer.topology.equipment import Equipment
from meshinfer.topology.plan import PLANNER_VERSION
from meshinfer.topology.record import MAX_STORED, MAX_USES, ModelUse, PeerLoad, PeerRecord, Resident

from .mail import ModelsHere
from .model_ring import ModelRing

_MAX_FAULT = 500


@dataclass(frozen=True, slots=True)
class OwnWord:
    """What is to be said now. fault: why this peer cannot hold layers of some model, for people."""

    change: Callable[[PeerRecord], PeerRecord]
    fault: str


def own_word(
    rings: Sequence[ModelRing],
    here: ModelsHere,
    resident: tuple[Resident, ...],
    stored: tuple[Resident, ...],
    uses: Sequence[ModelUse],
    activity: str,
    load: PeerLoad,
    equipment: Equipment,
) -> OwnWord:
    """Put together what this peer says of itself. rings: those that were asked for first first."""
    held = [each.model.card.fingerprint for each in here.models if each.model is not None]
    # Until what runs is finished, the files of a model count that is not wanted any more.
    held += [ring.fingerprint for ring in rings if ring.followed and not ring.is_wanted]
    unusable = {ring.fingerprint for ring in rings if ring.here.model is None}
    models = tuple(model for model in dict.fromkeys(held) if model not in unusable)
    follows = tuple(follow for ring in rings for follow in ring.follows)
    # Of the model that was asked for first: what is quantised otherwise has another pace.
    ns_per_mib = next((ring.pace.value for ring in rings if ring.pace.value), 0)
    faults = [each.fault for each in here.models if each.fault]
    faults += [ring.here.fault for ring in rings if ring.is_wanted and ring.here.fault]
    fault = "; ".join(dict.fromkeys(faults))[:_MAX_FAULT]

    def change(record: PeerRecord) -> PeerRecord:
        return replace(
            record,
            planner=PLANNER_VERSION,
            models=models,
            resident=resident,
            follows=follows,
            ns_per_mib=ns_per_mib,
            fault=fault,
            on_disk=here.on_disk,
            uses=tuple(uses)[:MAX_USES],
            started_with=here.started_with,
            stored=stored[:MAX_STORED],
            activity=activity,
            load=load,
            equipment=equipment,
        )

    return OwnWord(change, fault)
