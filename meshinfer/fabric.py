"""Whether two peers carry what they say by `mx.distributed`, and by what of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .messages import FabricAnswer, FabricOffer

RING, JACCL = "ring", "jaccl"
FABRICS = ("auto", "off", RING, JACCL)
"""What `--fabric` takes. A backend by name is used wherever it works; `auto` takes jaccl where RDMA is ready,
and then only where measuring finds it faster."""


@dataclass(frozen=True, slots=True)
class FabricMeans:
    """What this machine has for fabrics. backend: empty where there is to be none, for `why_not`.

    is_preferred: traffic takes a fabric wherever there is one, however fast other links are. devices: for
    jaccl, by the names of the cables that their ports are plugged into.
    """

    backend: str = ""
    why_not: str = ""
    is_preferred: bool = False
    devices: Mapping[str, str] = field(default_factory=dict)


NO_FABRIC = FabricMeans(why_not="--fabric off")


def means_of(option: str, devices: Mapping[str, str], why_no_rdma: str) -> FabricMeans:
    """What there is, by what was asked for. devices: RDMA devices that can be used now; why_no_rdma: for
    people, where there are none."""
    if option == "off":
        return NO_FABRIC
    if option == RING:
        return FabricMeans(RING, is_preferred=True)
    if not devices:
        return FabricMeans(why_not=why_no_rdma)
    return FabricMeans(JACCL, is_preferred=option == JACCL, devices=dict(devices))


def offer(means: FabricMeans) -> FabricOffer:
    """What to say to a peer that a fabric should lead to."""
    return FabricOffer(means.backend, tuple(sorted(means.devices.items())))


def answer(means: FabricMeans, offered: FabricOffer) -> FabricAnswer | str:
    """What to say to a peer that offers a fabric; a text says why there will be none."""
    if means.backend != offered.backend:
        here = f"has fabrics over {means.backend}" if means.backend else f"has no fabric ({means.why_not})"
        return f"it {here}, and {offered.backend} was offered"
    if means.backend == RING:
        return FabricAnswer()
    theirs = dict(offered.devices)
    shared = sorted(set(means.devices) & set(theirs))
    if not shared:
        return "no Thunderbolt cable that can do RDMA joins the two"
    return FabricAnswer((theirs[shared[0]], means.devices[shared[0]]))


def why_wrong(means: FabricMeans, answered: FabricAnswer) -> str:
    """Why an answer fits no offer of ours; empty where it does."""
    devices = answered.devices
    if means.backend == RING and not devices:
        return ""
    if means.backend == JACCL and len(devices) == 2 and devices[0] in means.devices.values():
        return ""
    return f"a fabric over {means.backend or 'nothing'} was answered with the devices {devices}"


def interface_of(answered: FabricAnswer, rank: int) -> str:
    """The own interface that a fabric goes by; empty where the system finds the way."""
    return answered.devices[rank].removeprefix("rdma_") if answered.devices else ""
