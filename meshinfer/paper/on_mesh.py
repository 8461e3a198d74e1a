"""What a model would ask of a mesh that runs, as `meshinfer plan` and `POST /mesh/plan` tell it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .peers import peers_of_mesh
from .plan import PaperPlan, Wanted, make_plan
from .plan_json import plan_json, remedies_json
from .remedies import find_remedies

if TYPE_CHECKING:
    from meshinfer.model.base import Sketch
    from meshinfer.model.configs import FoundConfig
    from meshinfer.model.precision import Precision


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What is to be planned. precision: of the weights; None as the model is usually run."""

    model: str
    wanted: Wanted
    precision: "Precision | None" = None


def plan_on_mesh(asked: PlanRequest, mesh: Mapping[str, Any], *, is_download_allowed: bool) -> dict[str, Any]:
    """Plan a model for a mesh; return the plan, or what would make one, for programs.

    Blocking, and for a large model a second or two: nothing but its config is read. mesh: as `GET /mesh` has
    it; the memory that its other models take is not planned with.

    Raises:
        MeshError: the config cannot be had, or tells of no model that can be run. ValueError: `mesh` is none.
    """
    from meshinfer.model.configs import find_config

    found = find_config(asked.model, is_download_allowed=is_download_allowed)
    peers = peers_of_mesh(mesh, names_of(asked.model, found))
    sketch = sketched(found, asked.precision)
    made = make_plan(sketch, peers, asked.wanted)
    if isinstance(made, PaperPlan):
        return plan_json(made, origin_of(found, asked.precision))
    remedies = find_remedies(sketch, peers, asked.wanted, coarser(found, sketch))
    return remedies_json(sketch, remedies, made.reason)


def names_of(model: str, found: "FoundConfig") -> set[str]:
    """What a mesh may call the model that was asked for."""
    return {model, found.name, found.origin, found.conversion}


def origin_of(found: "FoundConfig", precision: "Precision | None") -> str:
    """Where the model comes from that is planned with."""
    return found.conversion if found.conversion and precision is None else found.origin


def sketched(found: "FoundConfig", precision: "Precision | None") -> "Sketch":
    """What a config tells of a model; on a thread where mlx may be used.

    Raises:
        MeshError: it tells of no model that can be run.
    """
    from meshinfer.model.runtime import prepare_mlx

    prepare_mlx()
    from meshinfer.model.sketch import sketch

    return sketch(found.name, found.config, precision or found.precision)


def coarser(found: "FoundConfig", sketch: "Sketch") -> "Iterator[Sketch]":
    """The model in the precisions that take less than it has now, finest first."""
    from meshinfer.model.precision import PRECISIONS

    for precision in PRECISIONS.values():
        if precision.mode == "affine":
            other = sketched(found, precision)
            if other.card.total_bytes < sketch.card.total_bytes:
                yield other
