from meshinfer.actors.work import Work
from meshinfer.counting import Histogram, LinkCount, Numbers
from meshinfer.ledger import Ledger, State
from meshinfer.messages import Row, SessionId
from meshinfer.metrics import METRICS, Kind, Reading
from meshinfer.readings import readings
from meshinfer.snapshot import Activity, Snapshot
from meshinfer.timings import Timings
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, LinkMeasure, PeerLoad, PeerRecord, Phase, Version
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.snapshot import model_view, picture
from meshinfer.topology.target import Epoch

A, B = PeerId("a" * 32), PeerId("b" * 32)
MODEL = "f" * 32
PLAN = Plan(Epoch(3), "tiny", MODEL, Ring(4, (Stage(A, Run(1), 0, 1), Stage(B, Run(1), 1, 4))))
WORK = Work(
    answers=2, running=3, waiting=4, lanes=2, retained=1, retained_tokens=50, turn_us=9000, compute_us=6000,
    rings=(), sessions=5, kept=6, kept_bytes=700, weight_bytes=800, kv_bytes=900,
)  # fmt: skip


def record(peer: PeerId, name: str, *links: LinkMeasure) -> PeerRecord:
    return PeerRecord(
        peer=peer,
        run=Run(1),
        version=Version(1),
        name=name,
        release="0.1",
        addresses=(),
        api="",
        memory_bytes=1000,
        links=links,
        follows=(Follow(MODEL, PLAN.target, Phase.ACTIVE),),
        load=PeerLoad(2, 20),
    )


def seen() -> Snapshot:
    mac, box = record(A, "mac", LinkMeasure(B, 250), LinkMeasure(PeerId("c" * 32), 9)), record(B, "box")
    members = (Member(mac, Status.ALIVE), Member(box, Status.SUSPECT))
    view = model_view(DesiredModel(0, 1, A, "tiny", "dir:/x", MODEL, -1), PLAN, members, "")
    mesh = picture("home", (view,), members, "")
    return Snapshot(mesh, A, "mac", "tcp://h:1", "", Phase.ACTIVE, "", Activity("fetching tiny", 5, 9))


def ledger() -> Ledger:
    made, over, paused = Ledger(), SessionId("s"), SessionId("t")
    made.served(MODEL, PLAN.target)
    made.served(MODEL, None)
    made.served(MODEL, PLAN.target)
    for session in (over, paused):
        made.begin(session, None, "tiny", 1.0)
        made.understood(session, "tiny", 30, 1.0)
        made.sent(session, (A, B), 1.0)
        made.admitted(session, 10, 2.0)
        made.token(session, 3.0)
    made.token(over, 3.5)
    made.end(over, State.ENDED, "stop", 3.5)
    made.paused(paused, 4.0)
    made.begin(SessionId("u"), None, "", 4.0)
    made.end(SessionId("u"), State.FAILED, "WrongModel", 4.0)
    return made


def timings() -> Timings:
    made = Timings()
    made.computed((Row(SessionId("s.1"), A, 0, (1, 2, 3), None, is_sampled=False),), 0.25, 0.5)
    return made


def read() -> dict[tuple[str, ...], Reading]:
    offences: dict[tuple[str, str], int] = {(B, "flood"): 2}
    links = (LinkCount(B, "box", 1, 2, 3, 4),)
    numbers = Numbers(links, {"in": 7}, {"refutations": 1}, offences, {"en5": 2})
    found = list(readings(seen(), WORK, ledger(), timings(), numbers, 12345))
    made = {(each.name, *each.labels): each for each in found}
    assert len(made) == len(found)
    return made


def test_every_metric_is_read_with_its_labels_and_nothing_else() -> None:
    by_name = {metric.name: metric for metric in METRICS}
    made = read().values()
    assert {each.name for each in made} == by_name.keys() - {"meshinfer_api_requests_total"}
    for each in made:
        metric = by_name[each.name]
        assert len(each.labels) == len(metric.labels)
        assert isinstance(each.value, Histogram) == (metric.kind is Kind.HISTOGRAM)


def test_numbers_are_what_was_counted() -> None:
    found = {key: each.value for key, each in read().items() if not isinstance(each.value, Histogram)}
    for key, value in {
        ("info", A, "mac", "home", "0.1"): 1,
        ("requests_total", "tiny", "stop"): 1,
        ("requests_total", "", "WrongModel"): 1,
        ("open_requests", "paused"): 1,
        ("open_requests", "waiting"): 0,
        ("request_pauses_total", "tiny"): 1,
        ("prompt_tokens_total", "tiny"): 60,
        ("answer_tokens_total", "tiny"): 3,
        ("head_sessions", "running"): 3,
        ("turn_seconds",): 0.009,
        ("stage_sessions", "kept"): 6,
        ("stage_layers", "tiny"): 1,
        ("stage_tokens_total", "prefill"): 3,
        ("memory_resident_bytes",): 12345,
        ("memory_budget_bytes",): 1000,
        ("link_received_bytes_total", B, "box"): 3,
        ("link_sent_frames_total", B, "box"): 2,
        ("link_round_trip_seconds", B, "box"): 0.00025,
        ("members", "suspect"): 1,
        ("members", "dead"): 0,
        ("member_answers", B, "box"): 2,
        ("model_live", "tiny"): True,
        ("plan_epoch", "tiny"): 3,
        ("plan_changes_total", "tiny"): 1,
        ("gossip_packets_total", "in"): 7,
        ("gossip_packets_total", "out"): 0,
        ("gossip_events_total", "refutations"): 1,
        ("offences_total", B, "flood"): 2,
        ("links_tampered_total", "en5"): 2,
        ("transfer_size_bytes",): 9,
    }.items():
        assert found[f"meshinfer_{key[0]}", *key[1:]] == value, key
    queue = read()["meshinfer_queue_seconds", "tiny"].value
    assert isinstance(queue, Histogram)
    assert (queue.count, queue.sum) == (2, 2.0)
