"""Reads all numbers of a peer at one moment, as `metrics.METRICS` describes them."""

from collections import Counter
from collections.abc import Iterator

from meshinfer.topology.member import Status

from .actors.work import Work
from .counting import Histogram, Numbers
from .ledger import Ledger, State
from .metrics import Reading
from .snapshot import Snapshot
from .timings import LegSums, Timings

_STATES = {
    State.BEGUN: "waiting",
    State.ADMITTED: "answering",
    State.FIRST_TOKEN: "answering",
    State.PAUSED: "paused",
}


def readings(
    seen: Snapshot, work: Work, ledger: Ledger, timings: Timings, numbers: Numbers, resident_bytes: int
) -> Iterator[Reading]:
    """Read everything; a pure function of what it is given."""
    mesh = seen.mesh
    mine = next((member for member in mesh.members if member.peer == seen.peer), None)
    yield _one("meshinfer_info", 1, seen.peer, seen.name, mesh.mesh, mine.release if mine else "")
    yield from _requests(ledger)
    yield from _work(work)
    yield from _stage(seen, timings)
    yield _one("meshinfer_memory_budget_bytes", mine.memory_bytes if mine else 0)
    yield _one("meshinfer_memory_resident_bytes", resident_bytes)
    yield from _links(seen, numbers)
    yield from _mesh(seen, ledger)
    for direction in ("in", "out"):
        yield _one("meshinfer_gossip_packets_total", numbers.packets.get(direction, 0), direction)
    for (peer, offence), count in sorted(numbers.offences.items()):
        yield _one("meshinfer_offences_total", count, peer, offence)
    for event, count in sorted(numbers.gossip.items()):
        yield _one("meshinfer_gossip_events_total", count, event)
    for interface, count in sorted(numbers.tampered.items()):
        yield _one("meshinfer_links_tampered_total", count, interface)


def _one(name: str, value: float | Histogram, *labels: str) -> Reading:
    return Reading(name, labels, value)


def _requests(ledger: Ledger) -> Iterator[Reading]:
    """What came of the requests that began here, and what goes on."""
    states = Counter(_STATES[happening.state] for happening in ledger.open)
    for state in dict.fromkeys(_STATES.values()):
        yield _one("meshinfer_open_requests", states[state], state)
    for model, sums in sorted(ledger.models.items()):
        for outcome, count in sorted(sums.outcomes.items()):
            yield _one("meshinfer_requests_total", count, model, outcome)
        yield _one("meshinfer_request_pauses_total", sums.pauses, model)
        yield _one("meshinfer_prompt_tokens_total", sums.prompt_tokens, model)
        yield _one("meshinfer_cached_tokens_total", sums.cached_tokens, model)
        yield _one("meshinfer_answer_tokens_total", sums.answer_tokens, model)
        yield _one("meshinfer_queue_seconds", sums.queue_s, model)
        yield _one("meshinfer_first_token_seconds", sums.first_token_s, model)
        yield _one("meshinfer_token_interval_seconds", sums.token_s, model)


def _work(work: Work) -> Iterator[Reading]:
    yield _one("meshinfer_head_sessions", work.running, "running")
    yield _one("meshinfer_head_sessions", work.waiting, "waiting")
    yield _one("meshinfer_head_lanes", work.lanes)
    yield _one("meshinfer_head_retained_tokens", work.retained_tokens)
    yield _one("meshinfer_turn_seconds", work.turn_us / 1e6)
    yield _one("meshinfer_turn_compute_seconds", work.compute_us / 1e6)
    yield _one("meshinfer_stage_sessions", work.sessions, "open")
    yield _one("meshinfer_stage_sessions", work.kept, "kept")
    yield _one("meshinfer_memory_weights_bytes", work.weight_bytes)
    yield _one("meshinfer_memory_kv_bytes", work.kv_bytes)
    yield _one("meshinfer_memory_kept_bytes", work.kept_bytes)


def _stage(seen: Snapshot, timings: Timings) -> Iterator[Reading]:
    for model in seen.mesh.models:
        for stage in model.ring:
            if stage.peer == seen.peer:
                yield _one("meshinfer_stage_layers", stage.layers[1] - stage.layers[0], model.name)
    sums: dict[str, LegSums] = {"prefill": timings.prefill, "decode": timings.decode}
    for phase, leg in sums.items():
        yield _one("meshinfer_stage_tokens_total", leg.tokens, phase)
        yield _one("meshinfer_stage_compute_seconds", leg.compute_s, phase)
        yield _one("meshinfer_stage_wait_seconds", leg.wait_s, phase)


def _links(seen: Snapshot, numbers: Numbers) -> Iterator[Reading]:
    for link in numbers.links:
        at = (link.peer, link.name)
        yield _one("meshinfer_link_received_bytes_total", link.received_bytes, *at)
        yield _one("meshinfer_link_sent_bytes_total", link.sent_bytes, *at)
        yield _one("meshinfer_link_received_frames_total", link.received_frames, *at)
        yield _one("meshinfer_link_sent_frames_total", link.sent_frames, *at)
    names = {member.peer: member.name for member in seen.mesh.members}
    for member in seen.mesh.members:
        for measured in member.links if member.peer == seen.peer else ():
            if measured.is_up and measured.peer in names:
                at = (measured.peer, names[measured.peer])
                yield _one("meshinfer_link_round_trip_seconds", measured.rtt_us / 1e6, *at)


def _mesh(seen: Snapshot, ledger: Ledger) -> Iterator[Reading]:
    mesh, activity = seen.mesh, seen.activity
    statuses = Counter(member.status for member in mesh.members)
    for status in Status:
        yield _one("meshinfer_members", statuses[status], status.value)
    for member in mesh.members:
        if member.is_present:
            yield _one("meshinfer_member_answers", member.load.answers, member.peer, member.name)
    for model in mesh.models:
        yield _one("meshinfer_model_live", model.is_live, model.name)
        yield _one("meshinfer_plan_epoch", model.plan.epoch if model.plan else 0, model.name)
        yield _one("meshinfer_plan_changes_total", ledger.plan_changes[model.fingerprint], model.name)
    yield _one("meshinfer_transfer_done_bytes", activity.done_bytes if activity else 0)
    yield _one("meshinfer_transfer_size_bytes", activity.total_bytes if activity else 0)
