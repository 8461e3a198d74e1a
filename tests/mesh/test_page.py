"""The page in a real browser, over real processes: it draws the ring, chats, and sees a killed peer leave."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import Heard, browsing, chromium, needs_chromium
from tests.mesh.processes import API_KEY, PeerProcess, ProcessMesh, ring, until, wait_for_ring
from tests.smollm2 import smollm2
from tests.tiny import make_tiny_model

pytestmark = [pytest.mark.mesh, needs_chromium]

SPEED = re.compile(r"[\d.,]+ tokens/s · first after [\d.]+\u2009s · \d+ tokens?")
LONG_CONTEXT = 1 << 15
LONG_ANSWER = 1000
"""It goes on for some seconds, in which a peer is killed."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[PeerProcess]]:
    """Three peers that share SmolLM2; no test changes them."""
    with ring(3, smollm2("float32").path, tmp_path_factory.mktemp("ring")) as peers:
        yield peers


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def page(browser: Browser, heard: Heard) -> Iterator[Page]:
    """A page that must keep its console clean, and speak to the peer that it is from alone."""
    with browsing(browser, viewport={"width": 1280, "height": 860}) as context:
        page = context.new_page()
        heard.watch(page)
        yield page
        host = urlsplit(page.url).netloc
        assert {urlsplit(url).netloc for url in heard.urls} == {host}
    assert not heard.faults


def ask(page: Page, question: str) -> Locator:
    """Ask as people do, and give the last answer."""
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
    return page.get_by_role("article", name="Answer").last


def settle(page: Page, longest: int | None = None) -> None:
    """Have the model say what is most likely, which a small one needs to make sense.

    longest: tokens of an answer; the peer's default unless given.
    """
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Temperature").fill("0")
    if longest is not None:
        page.get_by_label("Longest answer").fill(str(longest))


def here(page: Page) -> Locator:
    """The peer that the page comes from."""
    return labels(page).filter(has=page.locator(".peer-here:visible"))


def labels(page: Page) -> Locator:
    """The peers that stand around the ring."""
    return page.get_by_role("list", name="Peers of the ring").get_by_role("listitem")


def test_the_ring_is_drawn_as_every_peer_shows_it(page: Page, peers: list[PeerProcess]) -> None:
    page.goto(peers[1].url)
    expect(labels(page)).to_have_count(3)

    def is_drawn() -> bool:
        """Of the ring as it is now: a better one may take its place."""
        texts = labels(page).all_inner_texts()
        ranges = {stage["name"]: stage["layers"] for stage in peers[1].mesh()["ring"]}
        return all(
            any(name in text and f"{first}–{end - 1}" in text for text in texts)
            for name, (first, end) in ranges.items()
        )

    until(is_drawn, "each peer's layers")
    for peer in peers:
        label = labels(page).filter(has_text=peer.name)
        expect(label).to_contain_text("serves")
        expect(label).to_contain_text(re.compile(r"[\d.]+ of 1\.0\u2009GB"))
    expect(here(page)).to_contain_text("p1")
    expect(page.get_by_text("live, 3 peers")).to_be_visible()
    expect(page.locator(".hop text").filter(has_text=re.compile("ms|µs"))).to_have_count(3)
    expect(page.get_by_role("region", name="What happened")).to_contain_text(re.compile(r"epoch \d+: p\d 0–"))


def test_a_chat_streams_and_shows_how_fast_it_was(page: Page, peers: list[PeerProcess]) -> None:
    page.goto(peers[2].url)
    settle(page)
    answer = ask(page, "What is the capital of France?")
    expect(answer).to_contain_text("Paris")
    expect(answer).to_contain_text(SPEED)
    again = ask(page, "And of Italy?")
    expect(again).to_contain_text(SPEED)
    expect(page.get_by_role("article", name="Question")).to_have_count(2)


def test_light_goes_round_while_an_answer_is_written_and_stop_ends_it(
    page: Page, peers: list[PeerProcess]
) -> None:
    page.goto(peers[0].url)
    # It does not end by itself meanwhile.
    settle(page, longest=4000)
    answer = ask(page, "Write a very long story about the sea, with many chapters.")
    expect(answer.locator(".prose")).not_to_be_empty()
    expect(page.locator(".sparks circle")).to_have_count(1)
    expect(page.locator(".centre")).to_contain_text("tokens/s")
    page.keyboard.press("Escape")
    expect(answer).to_contain_text("stopped")
    expect(page.locator(".sparks circle")).to_have_count(0)
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_killed_peer_is_seen_leaving_while_the_answer_goes_on_to_its_end(
    page: Page, tmp_path: Path
) -> None:
    tiny = make_tiny_model(tmp_path / "tiny", layers=6, context_tokens=LONG_CONTEXT)
    with ring(3, tiny, tmp_path, min_peers=1) as peers:
        page.goto(peers[0].url)
        settle(page, longest=LONG_ANSWER)
        expect(labels(page)).to_have_count(3)
        answer = ask(page, "Hello world, this")
        expect(answer.locator(".prose")).not_to_be_empty()
        peers[2].kill()
        story = page.get_by_role("region", name="What happened")
        expect(story).to_contain_text("p2 left")
        expect(story).to_contain_text(re.compile(r"epoch \d+: p2 left"))
        expect(labels(page)).to_have_count(2)
        expect(labels(page).filter(has_text="p2")).to_have_count(0)
        expect(answer).to_contain_text(re.compile("p2 left.* the answer went on"))
        expect(answer).to_contain_text(f"{LONG_ANSWER:,} tokens · ended at its length limit")
        # Before the peers go: a page that loses its own says so in the console.
        page.close()


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page, peers: list[PeerProcess]) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(peers[0].url)
    settle(page)
    answer = ask(page, "What is the capital of France?")
    expect(answer).to_contain_text(SPEED)
    assert widest(page) <= 360
    page.get_by_role("button", name="Ring").click()
    expect(labels(page)).to_have_count(3)
    expect(page.get_by_label("Your question")).to_be_hidden()
    assert widest(page) <= 360


def widest(page: Page) -> int:
    """How far anything that is seen reaches to the right, in pixels, whether one can scroll there or not."""
    reach = page.evaluate(
        """() => Math.max(document.documentElement.scrollWidth,
            ...[...document.body.querySelectorAll("main *, header *")]
                .filter((node) => node.checkVisibility() && !node.closest(".unseen"))
                .map((node) => Math.ceil(node.getBoundingClientRect().right)))"""
    )
    assert isinstance(reach, int)
    return reach


def test_dark_is_what_the_system_says_until_somebody_chooses(page: Page, peers: list[PeerProcess]) -> None:
    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    page.emulate_media(color_scheme="dark")
    page.goto(peers[0].url)
    toggle = page.get_by_role("button", name="Dark colours")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    dark = paper()
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    assert paper() != dark
    page.reload()
    expect(toggle).to_have_attribute("aria-pressed", "false")


def test_a_page_whose_peer_is_gone_says_so_and_names_who_is_left(browser: Browser, tmp_path: Path) -> None:
    tiny = make_tiny_model(tmp_path / "tiny", layers=4)
    with ring(2, tiny, tmp_path, min_peers=1) as peers, browsing(browser) as context:
        page = context.new_page()
        page.goto(peers[0].url)
        expect(labels(page)).to_have_count(2)
        peers[0].kill()
        banner = page.get_by_role("alert")
        expect(banner).to_contain_text("p0 does not answer")
        banner.get_by_role("link", name="p1").click()
        expect(here(page)).to_contain_text("p1")
        expect(page.get_by_text("live, 1 peer")).to_be_visible()


def test_a_peer_that_asks_for_a_key_is_opened_with_it(browser: Browser, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny")
    with ProcessMesh(tmp_path) as mesh, browsing(browser) as context:
        peer = mesh.start("alone", model, "--api-key", API_KEY)
        wait_for_ring([peer])
        page = context.new_page()
        page.goto(peer.url)
        key = page.get_by_label("asks for a key")
        key.fill("this is none of them")
        page.keyboard.press("Enter")
        key = page.get_by_label("not the key")
        key.fill(API_KEY)
        page.keyboard.press("Enter")
        expect(labels(page)).to_contain_text("alone")
        expect(ask(page, "Hello")).to_contain_text(SPEED)
        page.reload()
        expect(labels(page)).to_contain_text("alone")
