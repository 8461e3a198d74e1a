"""Members to plan and to explain rings on: ones to write down, and drawn ones for properties."""

from hypothesis import strategies as st

from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.explain import Grounds
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import PLANNER_VERSION, Plan
from meshinfer.topology.question import Candidate
from meshinfer.topology.record import LinkMeasure, PeerRecord, Resident, Version
from meshinfer.topology.ring import PeerId, Ring, Run
from meshinfer.topology.target import Epoch
from tests.topology.questions import MB, peer_id, questions

FINGERPRINT = "f" * 32
PAYBACK_S = 600.0


def able(
    index: int,
    memory_mb: int,
    ns_per_mib: int = 10_000,
    links: dict[int, int] | None = None,
    **more: object,
) -> Member:
    """A member with all of the model on its disk. links: round trips in µs, by index."""
    ways = tuple(LinkMeasure(peer_id(other), rtt_us) for other, rtt_us in (links or {}).items())
    known: dict[str, object] = {
        "models": (FINGERPRINT,),
        "stored": (Resident(FINGERPRINT, 0, 1000),),
        "planner": PLANNER_VERSION,
        **more,
    }
    record = PeerRecord(
        peer_id(index),
        Run(1),
        Version(1),
        f"peer-{index}",
        "0.1",
        (),
        "",
        memory_mb * MB,
        ns_per_mib=ns_per_mib,
        links=ways,
        **known,  # type: ignore[arg-type]
    )
    return Member(record, Status.ALIVE)


def grounds(members: tuple[Member, ...], footprint: Footprint, ring: Ring | None, spread: int = 0) -> Grounds:
    desired = DesiredModel(0, 1, PeerId("0" * 32), "tiny", "dir:/x", FINGERPRINT, spread)
    plan = Plan(Epoch(1), "tiny", FINGERPRINT, ring) if ring else None
    return Grounds(members, desired, footprint, plan, PAYBACK_S)


def _member(candidate: Candidate, status: Status, is_eligible: bool) -> Member:
    spans = candidate.stored if candidate.stored is not None else ((0, 1000),)
    record = PeerRecord(
        candidate.peer,
        candidate.run,
        Version(1),
        candidate.name,
        "0.1",
        (),
        "",
        candidate.memory_bytes,
        planner=PLANNER_VERSION,
        ns_per_mib=candidate.ns_per_mib,
        disk_mb_s=candidate.disk_mb_s,
        models=(FINGERPRINT,),
        resident=tuple(Resident(FINGERPRINT, *span) for span in candidate.resident),
        links=candidate.links,
        is_eligible=is_eligible,
        stored=tuple(Resident(FINGERPRINT, *span) for span in spans),
    )
    return Member(record, status)


@st.composite
def all_grounds(draw: st.DrawFn) -> Grounds:
    """What a peer may see, and a plan that may be good, bad, of peers that have gone, or none."""
    question = draw(questions(most_peers=4, most_layers=5))
    status = st.sampled_from([Status.ALIVE, Status.ALIVE, Status.ALIVE, Status.SUSPECT, Status.DEAD])
    members = tuple(
        _member(candidate, draw(status), draw(st.sampled_from([True, True, False])))
        for candidate in question.candidates
    )
    return grounds(members, question.footprint, question.present, question.spread)
