from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import ModelError
from meshinfer.paper.on_mesh import PlanRequest, plan_on_mesh
from meshinfer.paper.plan import Wanted
from tests.tiny import make_tiny_model

WANTED = Wanted(256, 1, 0, 64, 0.25)


def mesh(*memory_bytes: int, drained: str = "") -> dict[str, Any]:
    members = [
        {"peer": f"{number:032x}", "name": f"p{number}", "memory_bytes": size_bytes, "links": []}
        for number, size_bytes in enumerate(memory_bytes)
    ]
    return {"members": [m | {"drain": "drained" if m["name"] == drained else None} for m in members]}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=4))


def test_a_model_that_fits_has_a_ring(tiny: str) -> None:
    told = plan_on_mesh(PlanRequest(tiny, WANTED), mesh(10**9), is_download_allowed=False)
    assert told["fits"]
    assert [(stage["name"], stage["layers"]) for stage in told["ring"]] == [("p0", [0, 4])]


def test_one_that_does_not_says_why_and_what_would_fit(tiny: str) -> None:
    told = plan_on_mesh(PlanRequest(tiny, WANTED), mesh(1000), is_download_allowed=False)
    assert not told["fits"]
    assert told["missing_bytes"] > 0


def test_who_is_drained_gives_nothing(tiny: str) -> None:
    told = plan_on_mesh(
        PlanRequest(tiny, WANTED), mesh(10**9, 10**9, drained="p0"), is_download_allowed=False
    )
    assert [stage["name"] for stage in told["ring"]] == ["p1"]


def test_a_model_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        plan_on_mesh(PlanRequest(str(tmp_path / "nowhere"), WANTED), mesh(10**9), is_download_allowed=False)
