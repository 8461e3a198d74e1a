"""Meshes as `GET /mesh` tells of them, for the page."""

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

NAMES = ("desk", "shelf", "attic", "studio", "cellar", "loft", "garage", "porch")


def mesh_of(
    names: Sequence[str],
    *,
    layers: int = 30,
    epoch: int = 1,
    apart: Sequence[str] = (),
    phases: Mapping[str, str] | None = None,
    reason: str | None = None,
    load: Mapping[str, tuple[int, int]] | None = None,
    activity: Mapping[str, str] | None = None,
    suspects: Sequence[str] = (),
    gone: Sequence[str] = (),
    model: str = "smollm2",
    sizes: Sequence[int] | None = None,
) -> Json:
    """A mesh whose ring is `names`, which share the layers evenly unless `sizes` says how many each has.

    apart: members without layers. reason: why it is not live; None where it is. gone: stages whose peers have
    left. load: answers and tokens per second by name.
    """
    here = [name for name in (*names, *apart) if name not in gone]
    return {
        "mesh": "home",
        "model": model,
        "state": "waiting" if reason else "live",
        "reason": reason,
        "models": [model_of(names, layers, epoch, phases or {}, reason, model, sizes)]
        if names or model
        else [],
        "members": [member_of(name, here, load or {}, activity or {}, suspects) for name in here],
    }


def model_of(
    names: Sequence[str],
    layers: int,
    epoch: int,
    phases: Mapping[str, str],
    reason: str | None,
    model: str,
    sizes: Sequence[int] | None = None,
) -> Json:
    ends = _ends(layers, len(names), sizes)
    starts = [0, *ends[:-1]][: len(ends)]
    plan = {"digest": f"{epoch:08d}{model}", "epoch": epoch, "layer_count": layers} if names else None
    ring = [
        {
            "peer": name * 2,
            "name": name,
            "layers": [start, end],
            "phase": phases.get(name, "active"),
            "need_bytes": 90_000_000 + 22_000_000 * (end - start),
        }
        for name, start, end in zip(names, starts, ends, strict=True)
    ]
    state = "waiting" if reason else "live"
    return {
        "model": model,
        "fingerprint": "f" * 64,
        "state": state,
        "reason": reason,
        "plan": plan,
        "ring": ring,
        "token_us": 26_000 if not reason else None,
    }


def member_of(
    name: str,
    all_names: Sequence[str],
    load: Mapping[str, tuple[int, int]],
    activity: Mapping[str, str],
    suspects: Sequence[str],
) -> Json:
    answers, tokens_per_s = load.get(name, (0, 0))
    place = all_names.index(name)
    return {
        "peer": name * 2,
        "name": name,
        "status": "suspect" if name in suspects else "alive",
        "phase": "active",
        "release": "0.1.0",
        "addresses": [f"192.168.1.{4 + place}:52414"],
        "api": None,
        "memory_bytes": (4, 2, 8, 1, 4, 2, 8, 4)[place % 8] * 10**9,
        "layers": None,
        "fault": None,
        "on_disk": [{"name": "smollm2", "size_bytes": 300_000_000}],
        "activity": activity.get(name),
        "drain": None,
        "ns_per_mib": 90_000,
        "links": [
            {
                "peer": other * 2,
                "rtt_us": 180 + 130 * ((place + number) % 4),
                "mb_s": 0,
                "is_up": True,
                "bytes_per_s": 1_180_000_000 if place == 0 else None,
            }
            for number, other in enumerate(all_names)
            if other != name
        ],
        "load": {"answers": answers, "tokens_per_s": tokens_per_s},
    }


def work_of(name: str, **fields: Any) -> Json:
    """The `work` event of the peer whose page it is."""
    usual = {"answers": 0, "waiting": 0, "answer_tokens_per_s": 0, "turn_us": 26_000, "transfers": []}
    return {"peer": name * 2, "name": name, "resident_bytes": 500_000_000, **usual, **fields}


def _ends(layers: int, count: int, sizes: Sequence[int] | None) -> list[int]:
    if sizes is not None:
        return [sum(sizes[: at + 1]) for at in range(len(sizes))]
    return [layers * (at + 1) // count for at in range(count)]
