"""What happened between two pictures of the mesh, in sentences."""

from typing import Any

from playwright.sync_api import Page

from tests.browser import needs_chromium
from tests.meshinfer.web.meshes import Json, mesh_of, model_of

pytestmark = needs_chromium

TELL = """async (meshes) => {
  const { happened } = await import("./web/story.js");
  const { withPast } = await import("./web/mesh.js");
  let before = null;
  let told = [];
  for (const mesh of meshes) {
    const after = withPast(before, mesh);
    told = happened(before, after);
    before = after;
  }
  return told.map(({ text }) => text);
}"""


def told(modules: Page, *meshes: Json) -> list[str]:
    """What the last of these pictures adds to the story."""
    sentences: Any = modules.evaluate(TELL, list(meshes))
    return [str(sentence) for sentence in sentences]


THREE = mesh_of(["desk", "shelf", "attic"])


def test_at_first_it_tells_what_there_is(modules: Page) -> None:
    assert told(modules, THREE) == ["epoch 1: desk 0–9 → shelf 10–19 → attic 20–29"]
    assert told(modules, mesh_of([], reason="nobody has it")) == ["smollm2 has no ring: nobody has it"]


def test_nothing_happened(modules: Page) -> None:
    assert told(modules, THREE, THREE) == []


def test_peers_come_fall_silent_answer_again_and_go(modules: Page) -> None:
    joined = mesh_of(["desk", "shelf", "attic"], apart=["loft"])
    silent = mesh_of(["desk", "shelf", "attic"], suspects=["shelf"])
    assert told(modules, THREE, joined) == ["loft joined"]
    assert told(modules, joined, THREE) == ["loft left"]
    assert told(modules, THREE, silent) == ["shelf does not answer"]
    assert told(modules, silent, THREE) == ["shelf answers again"]


def test_draining_is_told(modules: Page) -> None:
    drained = mesh_of(["desk", "shelf", "attic"])
    drained["members"][1]["drain"] = "draining: smollm2 needs its memory"
    assert told(modules, THREE, drained) == ["shelf is draining: smollm2 needs its memory"]
    assert told(modules, drained, THREE) == ["shelf is no longer drained"]


def test_a_new_epoch_tells_who_left_and_who_takes_what(modules: Page) -> None:
    after = mesh_of(
        ["desk", "attic"], epoch=2, phases={"desk": "prepare"}, reason="waiting for desk to load layers"
    )
    gone = mesh_of([], apart=["desk", "attic"], reason="the peers are agreeing on a ring")
    sentence = "epoch 2: shelf left, desk takes 0–14, attic takes 15–29"
    assert told(modules, THREE, after) == ["shelf left", sentence]
    assert told(modules, THREE, gone) == [
        "shelf left",
        "smollm2 has no ring: the peers are agreeing on a ring",
    ]
    # Between two rings there is none for a moment; who was lost is known all the same.
    assert told(modules, THREE, gone, after) == [sentence]
    assert told(modules, THREE, gone, after, mesh_of(["desk", "attic"], epoch=2)) == ["epoch 2 serves"]


def test_a_peer_that_joins_takes_layers(modules: Page) -> None:
    two = mesh_of(["desk", "shelf"], apart=["attic"])
    three = mesh_of(["desk", "shelf", "attic"], epoch=2)
    assert told(modules, two, three) == ["epoch 2: desk takes 0–9, shelf takes 10–19, attic takes 20–29"]
    assert told(modules, three, mesh_of(["desk"], epoch=3, apart=["shelf", "attic"])) == [
        "epoch 3: shelf and attic hold no layers now, desk takes 0–29"
    ]


def test_with_several_models_each_is_named(modules: Page) -> None:
    second = model_of(["desk"], 24, 1, {}, None, "tiny")
    both = {**THREE, "models": [*THREE["models"], second]}
    assert told(modules, THREE, both) == ["tiny, epoch 1: desk takes 0–23"]
    assert told(modules, both, THREE) == ["tiny is unloaded"]
