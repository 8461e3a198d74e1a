"""A report as JSON, for programs: every sample and every median.

`schema` changes when a field changes its meaning or goes; fields may be added under the same one. Units end
the names. What could not be measured is null, or not there where names of peers are the keys.
"""

from dataclasses import asdict
from typing import Any

from .figures import Case, Report, RingRun, Round

SCHEMA = "meshinfer-bench/1"

Json = dict[str, Any]


def report_json(report: Report) -> Json:
    """The whole report."""
    return {
        "schema": SCHEMA,
        "meshinfer": report.release,
        "started": report.started,
        "is_complete": report.is_complete,
        "model": report.model,
        "machine": asdict(report.hardware),
        "power": {"covers": report.power or None, "missing_because": report.no_power or None},
        "settings": asdict(report.setting),
        "rings": [_ring(ring) for ring in report.rings],
    }


def _ring(ring: RingRun) -> Json:
    stages = [{"peer": seat.name, "layers": list(seat.layers)} for seat in ring.seats]
    return {
        "peers": ring.peers,
        "epoch": ring.epoch,
        "stages": stages,
        "cases": [_case(case) for case in ring.cases],
    }


def _case(case: Case) -> Json:
    figures = case.figures
    return {
        "prompt_tokens": case.prompt_tokens,
        "readers": case.readers,
        "epoch": case.epoch,
        "median": {
            "first_token_s": figures.first_token_s,
            "prefill_tokens_per_s": figures.prefill_tokens_per_s,
            "decode_tokens_per_s": figures.decode_tokens_per_s,
            "watts": figures.watts,
            "joules_per_token": figures.joules_per_token,
        },
        "most_memory_bytes": dict(figures.memory),
        "rounds": [_round(done) for done in case.rounds],
    }


def _round(done: Round) -> Json:
    return {
        "answers": [asdict(answer) for answer in done.answers],
        "memory_bytes": dict(done.memory),
        "energy": asdict(done.energy) if done.energy else None,
    }
