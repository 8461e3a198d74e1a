import json

from meshinfer.cli.bench.figures import Energy, RingRun
from meshinfer.cli.bench.report_json import report_json

from .reports import ALONE, PAIR, case, report


def test_the_schema_is_what_programs_rely_on() -> None:
    ring = RingRun(3, PAIR.seats, (case(1.0, 5.0, memory={"mac-1": 5}, energy=Energy(30.0, 20.0)),))
    assert report_json(report(ring, power="processor, by RAPL", no_power="")) == {
        "schema": "meshinfer-bench/1",
        "meshinfer": "0.1.0",
        "started": "2026-01-05T08:00:00+00:00",
        "is_complete": True,
        "model": "smollm2",
        "machine": {
            "system": "Darwin 25.2.0 arm64",
            "chip": "Apple M3 Ultra",
            "cores": 32,
            "memory_bytes": 512 * 10**9,
        },
        "power": {"covers": "processor, by RAPL", "missing_because": None},
        "settings": {
            "prompts": (100,),
            "tokens": 11,
            "readers": (1, 4),
            "rounds": 1,
            "peers": (2,),
            "url": None,
        },
        "rings": [
            {
                "peers": 2,
                "epoch": 3,
                "stages": [{"peer": "mac-1", "layers": [0, 19]}, {"peer": "mac-2", "layers": [19, 30]}],
                "cases": [
                    {
                        "prompt_tokens": 100,
                        "readers": 1,
                        "epoch": 1,
                        "median": {
                            "first_token_s": 1.0,
                            "prefill_tokens_per_s": 100.0,
                            "decode_tokens_per_s": 2.5,
                            "watts": 10.0,
                            "joules_per_token": 2.0,
                        },
                        "most_memory_bytes": {"mac-1": 5},
                        "rounds": [
                            {
                                "answers": [{"first_s": 1.0, "last_s": 5.0, "tokens": 11}],
                                "memory_bytes": {"mac-1": 5},
                                "energy": {"prefill_joules": 30.0, "decode_joules": 20.0},
                            }
                        ],
                    }
                ],
            }
        ],
    }


def test_what_was_not_measured_is_null() -> None:
    shown = json.loads(json.dumps(report_json(report(ALONE))))
    first = shown["rings"][0]["cases"][0]
    assert (first["median"]["watts"], first["rounds"][0]["energy"]) == (None, None)
    assert shown["power"] == {"covers": None, "missing_because": "run as root"}
