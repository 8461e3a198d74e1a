"""What a peer exports, by name: pure, without the library that exports it."""

from dataclasses import dataclass
from enum import Enum

from .counting import Histogram


class Kind(Enum):
    """What a metric is, in Prometheus's words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a peer exports. name: ends with its unit, and with `_total` where it only grows."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric's value at one moment, for some values of its labels."""

    name: str
    labels: tuple[str, ...]
    value: float | Histogram


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

METRICS = (
    Metric("meshinfer_info", _G, ("peer", "name", "mesh", "release"), "Who exports this; always 1"),
    # Requests that began at this peer.
    Metric("meshinfer_requests_total", _C, ("model", "outcome"), "Over: stop, length, cancelled, an error"),
    Metric("meshinfer_open_requests", _G, ("state",), "Not over yet: waiting, answering or paused"),
    Metric("meshinfer_request_pauses_total", _C, ("model",), "How often a ring lost a request that it had"),
    Metric("meshinfer_prompt_tokens_total", _C, ("model",), "Tokens of prompts, cached or not"),
    Metric("meshinfer_cached_tokens_total", _C, ("model",), "Those of them that were not computed again"),
    Metric("meshinfer_answer_tokens_total", _C, ("model",), "Tokens of answers"),
    Metric("meshinfer_queue_seconds", _H, ("model",), "From asking the ring's head to being let in"),
    Metric("meshinfer_first_token_seconds", _H, ("model",), "From a request to its first token"),
    Metric("meshinfer_token_interval_seconds", _H, ("model",), "Between two tokens of an answer"),
    # As the head of rings.
    Metric("meshinfer_head_sessions", _G, ("state",), "Of rings that begin here: running or waiting"),
    Metric("meshinfer_head_lanes", _G, (), "Lanes in which they decode"),
    Metric("meshinfer_head_retained_tokens", _G, (), "Tokens in caches that wait for alike requests"),
    Metric("meshinfer_turn_seconds", _G, (), "A decode step's way round, waiting for nobody"),
    Metric("meshinfer_turn_compute_seconds", _G, (), "What stages compute of it; the rest are hops"),
    # As a stage.
    Metric("meshinfer_stage_sessions", _G, ("state",), "Sessions with a KV cache here: open or kept"),
    Metric("meshinfer_stage_layers", _G, ("model",), "Layers that the ring of a model gives this peer"),
    Metric("meshinfer_stage_tokens_total", _C, ("phase",), "Tokens computed here: prefill or decode"),
    Metric("meshinfer_stage_compute_seconds", _H, ("phase",), "How long a frame was computed here"),
    Metric("meshinfer_stage_wait_seconds", _H, ("phase",), "How long it waited here before that"),
    # Memory.
    Metric("meshinfer_memory_budget_bytes", _G, (), "What weights and KV caches may take"),
    Metric("meshinfer_memory_resident_bytes", _G, (), "What the process takes"),
    Metric("meshinfer_memory_weights_bytes", _G, (), "Weights in memory"),
    Metric("meshinfer_memory_kv_bytes", _G, (), "KV caches of sessions, at their longest"),
    Metric("meshinfer_memory_kept_bytes", _G, (), "KV caches kept of sessions whose ring broke"),
    # Links to other peers.
    Metric("meshinfer_link_received_bytes_total", _C, ("peer", "name"), "Bytes that came over the link"),
    Metric("meshinfer_link_sent_bytes_total", _C, ("peer", "name"), "Bytes that went"),
    Metric("meshinfer_link_received_frames_total", _C, ("peer", "name"), "Frames that came"),
    Metric("meshinfer_link_sent_frames_total", _C, ("peer", "name"), "Frames that went"),
    Metric("meshinfer_link_round_trip_seconds", _G, ("peer", "name"), "Measured round trip to a member"),
    # The mesh, as this peer sees it.
    Metric(
        "meshinfer_links_tampered_total", _C, ("interface",), "Clear links ended as something was changed"
    ),
    Metric("meshinfer_members", _G, ("status",), "Members: alive, suspect, dead or left"),
    Metric("meshinfer_member_answers", _G, ("peer", "name"), "Answers that a member writes, as it tells"),
    Metric("meshinfer_model_live", _G, ("model",), "Whether a ring serves the model"),
    Metric("meshinfer_plan_epoch", _G, ("model",), "The plan's epoch; it grows with each new plan"),
    Metric("meshinfer_plan_changes_total", _C, ("model",), "How often another plan took over"),
    Metric("meshinfer_gossip_packets_total", _C, ("direction",), "Gossip packets: in or out"),
    Metric("meshinfer_offences_total", _C, ("peer", "offence"), "How often a member broke a rule"),
    Metric("meshinfer_gossip_events_total", _C, ("event",), "Packets dropped; refutations; rebirths"),
    Metric("meshinfer_transfer_done_bytes", _G, (), "Of what is fetched or loaded now: so far"),
    Metric("meshinfer_transfer_size_bytes", _G, (), "Of what is fetched or loaded now: all of it"),
    # The HTTP API.
    Metric("meshinfer_api_requests_total", _C, ("method", "route", "status"), "Answers of the HTTP API"),
)
"""All that a peer exports. Labels have values from the mesh's own names and fixed sets, never from texts."""
