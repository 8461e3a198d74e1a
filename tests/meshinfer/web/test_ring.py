"""The ring on the page: who stands where, whatever the number of peers and the size of the window."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser import needs_chromium
from tests.meshinfer.web.conftest import Open
from tests.meshinfer.web.meshes import NAMES, mesh_of, model_of, work_of
from tests.meshinfer.web.stand import Stand

pytestmark = needs_chromium

DESK = ViewportSize(width=1280, height=860)
PHONE = ViewportSize(width=360, height=740)


def peers(page: Page) -> Locator:
    return page.get_by_role("list", name="Peers of the ring").get_by_role("listitem")


def boxes(page: Page) -> list[dict[str, float]]:
    """Where the labels stand once nothing moves."""
    found: Any = page.evaluate(
        "[...document.querySelectorAll('.peer')].map((node) => node.getBoundingClientRect().toJSON())"
    )
    return list(found)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 24])
def test_labels_overlap_neither_each_other_nor_the_edge(
    open_page: Open, size: ViewportSize, count: int
) -> None:
    names = [f"{NAMES[number % 8]}-{number // 8}" for number in range(count)]
    with Stand(mesh_of(names, layers=61)) as stand:
        page = open_page(stand, viewport=size, reduced_motion="reduce")
        if size is PHONE:
            page.get_by_role("button", name="Ring").click()
        expect(peers(page)).to_have_count(count)
        expect(peers(page).first).to_contain_text("0–")
        page.wait_for_function("document.querySelector('.held').getAttribute('d') !== ''")
        stood = boxes(page)
        for number, one in enumerate(stood):
            assert one["left"] >= 0
            assert one["right"] <= size["width"]
            for other in stood[:number]:
                is_apart_x = one["right"] <= other["left"] + 1 or other["right"] <= one["left"] + 1
                is_apart_y = one["bottom"] <= other["top"] + 1 or other["bottom"] <= one["top"] + 1
                assert is_apart_x or is_apart_y, (one, other)
        page.close()


def test_a_peer_shows_its_layers_memory_state_and_speed(stand: Stand, page: Page) -> None:
    stand.tell(
        "mesh",
        mesh_of(
            NAMES[:3],
            load={"shelf": (2, 41)},
            phases={"attic": "prepare"},
            activity={"attic": "layer 22, 40 %"},
            reason="waiting for attic to load layers",
        ),
    )
    shelf, attic = peers(page).filter(has_text="shelf"), peers(page).filter(has_text="attic")
    expect(shelf).to_contain_text("10–19")
    expect(shelf).to_contain_text("0.3 of 2.0\u2009GB")
    expect(shelf).to_contain_text("41 tok/s")
    expect(attic).to_contain_text("loads its layers")
    expect(page.get_by_role("region", name="Under way")).to_contain_text("attic: layer 22")
    expect(page.locator(".centre")).to_contain_text("attic loads 20–29")
    expect(page.get_by_role("img")).to_have_accessible_name(
        re.compile("smollm2, epoch 1: desk, layers 0 to 9")
    )


def test_hops_show_latency_and_where_it_was_measured_bandwidth(page: Page) -> None:
    expect(page.locator(".hop")).to_have_count(3)
    expect(page.locator(".hop").first).to_contain_text("0.3\u2009ms1.2\u2009GB/s")


def test_what_carries_a_hop_and_what_a_machine_takes_are_told_where_they_are_known(
    stand: Stand, page: Page
) -> None:
    mesh = mesh_of(NAMES[:3])
    desk = mesh["members"][0]
    desk.update(watts=38.2, joules_per_token=1.61, rdma="on en5")
    desk["links"][0].update(interface="en7", kind="Thunderbolt 5", fabric="jaccl")
    stand.tell("mesh", mesh)
    expect(peers(page).first).to_contain_text("38\u2009W")
    expect(peers(page).first).to_have_attribute("title", re.compile("1.6 J of each token\nRDMA on en5"))
    expect(page.locator(".hop title").first).to_have_text("Thunderbolt 5 en7, jaccl")
    expect(peers(page).nth(1)).not_to_contain_text("W")
    expect(page.locator(".hop title").nth(1)).to_have_text("")


def test_members_without_layers_stand_apart(stand: Stand, page: Page) -> None:
    beside = page.get_by_role("region", name="Peers beside the ring")
    expect(beside).to_be_hidden()
    stand.tell("mesh", mesh_of(NAMES[:3], apart=["loft"]))
    expect(beside).to_contain_text("loft")
    expect(beside).to_contain_text("holds no layers")


def test_without_a_ring_the_reason_stands_in_its_middle(stand: Stand, page: Page) -> None:
    stand.tell(
        "mesh",
        {**mesh_of([], apart=["desk"], reason="start a peer with --model"), "models": [], "model": None},
    )
    expect(page.locator(".centre")).to_contain_text("start a peer with --model")
    expect(page.get_by_text("no ring yet, 1 peer")).to_be_visible()


def test_transfers_of_this_peer_are_shown_in_bytes(stand: Stand, page: Page) -> None:
    transfer = {"what": "layers 3 to 9", "done_bytes": 1_200_000_000, "total_bytes": 4_900_000_000}
    stand.tell("work", work_of("desk", transfers=[transfer]))
    doing = page.get_by_role("region", name="Under way")
    expect(doing).to_contain_text("desk: layers 3 to 9")
    expect(doing).to_contain_text("1.2\u2009GB of 4.9\u2009GB")
    stand.tell("work", work_of("desk"))
    expect(doing).to_be_hidden()


def test_each_of_several_models_has_its_ring(stand: Stand, page: Page) -> None:
    mesh = mesh_of(NAMES[:3])
    second = model_of(["attic", "desk"], 24, 4, {}, None, "tiny")
    stand.tell("mesh", {**mesh, "models": [*mesh["models"], second]})
    page.get_by_role("group", name="Models of the mesh").get_by_role("button", name="tiny").click()
    expect(peers(page)).to_have_count(2)
    expect(peers(page).first).to_contain_text("attic")
    choice = page.get_by_role("combobox", name="Model")
    expect(choice).to_have_value("tiny")
    choice.select_option("smollm2")
    expect(peers(page)).to_have_count(3)


def test_light_travels_for_each_answer_and_rests_for_those_who_want_less_motion(open_page: Open) -> None:
    with Stand(mesh_of(NAMES[:3], load={"shelf": (1, 9)})) as stand:
        stand.tell("work", work_of("desk"))
        page = open_page(stand)
        expect(page.locator(".sparks circle")).to_have_count(1)
        stand.tell("request", {"request": "a", "state": "admitted", "model": "smollm2"})
        expect(page.locator(".sparks circle")).to_have_count(2)
        assert page.evaluate("document.getAnimations().length") > 0
        stand.tell("request", {"request": "a", "state": "ended", "model": "smollm2"})
        expect(page.locator(".sparks circle")).to_have_count(1)
        still = open_page(stand, reduced_motion="reduce")
        expect(still.locator(".sparks circle")).to_have_count(1)
        assert still.evaluate("document.getAnimations().length") == 0
        page.close()
        still.close()
