"""How the page follows its peer: by events or without, and back again after the connection was lost."""

from playwright.sync_api import Browser, Page, expect

from tests.browser import browsing, needs_chromium
from tests.meshinfer.web.meshes import NAMES, mesh_of
from tests.meshinfer.web.stand import Stand
from tests.ports import deaf_port

pytestmark = needs_chromium


def test_a_peer_without_events_is_asked_again_and_again(browser: Browser) -> None:
    with Stand(mesh_of(NAMES[:3]), has_events=False) as stand, browsing(browser) as context:
        page = context.new_page()
        page.goto(stand.url)
        expect(page.get_by_text("live, 3 peers")).to_be_visible()
        stand.tell("mesh", mesh_of(NAMES[:2], epoch=2))
        expect(page.get_by_text("live, 2 peers")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_hidden()
        page.close()


def test_a_refusal_is_told_in_words(browser: Browser, stand: Stand) -> None:
    stand.refusal = 429, "too many requests wait already"
    with browsing(browser) as context:
        page = context.new_page()
        page.goto(stand.url)
        ask_and_see(page, "too many requests wait already (worth another try in 3 s)")
        page.close()


def ask_and_see(page: Page, words: str) -> None:
    page.get_by_label("Your question").fill("Hi")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="Answer")).to_contain_text(words)


def test_a_lost_connection_comes_back_by_itself(browser: Browser) -> None:
    with browsing(browser) as context, deaf_port() as port:
        page = context.new_page()
        with Stand(mesh_of(NAMES[:3]), port=port) as stand:
            page.goto(stand.url)
            expect(page.get_by_text("live, 3 peers")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        ask_and_see(page, "this peer does not answer")
        with Stand(mesh_of(NAMES[:2], epoch=2), port=port):
            expect(page.get_by_text("live, 2 peers")).to_be_visible()
            expect(page.get_by_role("alert")).to_be_hidden()
            page.close()
