"""A plan on paper as JSON, for programs: sizes in bytes, times in seconds."""

from dataclasses import asdict
from typing import Any

from meshinfer.model.base import Sketch

from . import speed
from .plan import PaperPlan, PaperStage
from .remedies import Remedies


def plan_json(plan: PaperPlan, origin: str) -> dict[str, Any]:
    """The plan with all that its estimates are made of."""
    return {
        "fits": True,
        "model": _model_json(plan.sketch) | {"origin": origin},
        "context_tokens": min(plan.wanted.context_tokens, plan.sketch.card.context_tokens),
        "readers": plan.wanted.readers,
        "fitting_tokens": plan.fitting_tokens,
        "ring": [_stage_json(plan.sketch, stage) for stage in plan.stages],
        "hops_s": plan.hops_s,
        "decode": [asdict(decode) for decode in plan.decodes],
        "prefill": {
            "tok_s": plan.prefill_tok_s,
            "first_token_s": plan.first_token_s,
            "chunk_tokens": plan.chunk_tokens,
        },
        "formula": {
            "decode_share": speed.DECODE_SHARE,
            "starting_s": speed.starting_s(plan.sketch),
            "prefill_share": speed.PREFILL_SHARE,
        },
    }


def remedies_json(sketch: Sketch, remedies: Remedies, reason: str) -> dict[str, Any]:
    """Why there is no plan, and what would make one."""
    coarser, like = remedies.coarser, remedies.like
    return {
        "fits": False,
        "model": _model_json(sketch),
        "reason": reason,
        "missing_bytes": remedies.missing_bytes,
        "coarser": _model_json(coarser) if coarser else None,
        "context_tokens": remedies.context_tokens,
        "without": list(remedies.without),
        "more_peers": {"count": remedies.more_peers, "like": like.name, "memory_bytes": like.memory_bytes}
        if like and remedies.more_peers
        else None,
    }


def _model_json(sketch: Sketch) -> dict[str, Any]:
    card = sketch.card
    return {
        "name": card.name,
        "precision": card.precision,
        "layers": card.layer_count,
        "parameters": sketch.parameters,
        "token_parameters": sum(sketch.layer_parameters),
        "experts": [sketch.experts_chosen, sketch.expert_count] if sketch.expert_count > 1 else None,
        "weight_bytes": card.total_bytes,
        "read_bytes": sum(card.layer_read_bytes) + card.tail_bytes,
        "kv_bytes_per_token": sum(card.kv_bytes_per_token),
        "context_tokens": card.context_tokens,
    }


def _stage_json(sketch: Sketch, stage: PaperStage) -> dict[str, Any]:
    machine = stage.peer.machine
    shown = {
        "name": stage.peer.name,
        "layers": [stage.first_layer, stage.end_layer],
        "memory_bytes": stage.peer.memory_bytes,
        "weight_bytes": stage.weight_bytes,
        "kv_bytes": stage.kv_bytes,
        "transient_bytes": stage.transient_bytes,
        "rest_bytes": stage.rest_bytes,
        "read_bytes": stage.read_bytes,
        "step_s": stage.step_s,
        "prefill_tok_s": stage.prefill_tok_s,
    }
    if machine is None:
        return shown | {
            "measured_ns_per_mib": stage.peer.measured_ns or None,
            "taken": [asdict(each) for each in stage.peer.taken],
        }
    chip = machine.chip
    return shown | {
        "machine": machine.name,
        "bandwidth_gb_s": chip.bandwidth_gb_s,
        "tflops": chip.tflops,
        "source": chip.source,
        "ns_per_mib": speed.ns_per_mib(sketch, machine),
    }
