"""The chat on the page: what is sent, what is shown, and how everything can end."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser import needs_chromium
from tests.meshinfer.web.meshes import NAMES, mesh_of
from tests.meshinfer.web.stand import Stand

pytestmark = needs_chromium


def ask(page: Page, question: str) -> Locator:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
    return page.get_by_role("article", name="Answer").last


def contents(stand: Stand) -> list[tuple[str, str]]:
    """Who said what, in the last question that came."""
    return [(message["role"], message["content"]) for message in stand.asked[-1]["messages"]]


def test_an_answer_streams_and_ends_with_its_figures(stand: Stand, page: Page) -> None:
    answer = ask(page, "Hi")
    stand.write("Hello ")
    expect(answer).to_contain_text("Hello")
    stand.write("**you**")
    expect(answer.locator("strong")).to_have_text("you")
    stand.finish(3)
    expect(answer).to_contain_text(re.compile(r"tokens/s · first after [\d.]+\u2009s · 3 tokens"))
    expect(page.get_by_role("status")).to_have_text("The answer: Hello **you**")
    assert contents(stand) == [("user", "Hi")]
    assert stand.asked[0]["stream_options"] == {"include_usage": True}


def test_what_was_said_and_set_goes_along(stand: Stand, page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Temperature").fill("0.2")
    page.get_by_label("Longest answer").fill("40")
    stand.write("One.")
    stand.finish(1, "length")
    expect(ask(page, "First")).to_contain_text("ended at its length limit")
    stand.write("Two.")
    stand.finish(1)
    expect(ask(page, "Second")).to_contain_text("1 token")
    said = [("system", "Be brief."), ("user", "First"), ("assistant", "One."), ("user", "Second")]
    assert contents(stand) == said
    assert (stand.asked[1]["temperature"], stand.asked[1]["max_tokens"]) == (0.2, 40)


def test_shift_enter_is_a_new_line(stand: Stand, page: Page) -> None:
    page.get_by_label("Your question").fill("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    stand.finish(0)
    expect(page.get_by_role("article", name="Question")).to_have_text("one\ntwo")
    # It is shown before it is asked.
    expect(page.get_by_role("article", name="Answer")).to_contain_text("0 tokens")
    assert contents(stand) == [("user", "one\ntwo")]


def test_reasoning_is_folded_away(stand: Stand, page: Page) -> None:
    answer = ask(page, "Hi")
    stand.write("", reasoning_content="Let me think.")
    expect(answer.get_by_text("Thinks …")).to_be_visible()
    expect(answer.get_by_text("Let me think.")).to_be_hidden()
    stand.write("Done.")
    stand.finish(5)
    answer.get_by_text("What it thought").click()
    expect(answer.get_by_text("Let me think.")).to_be_visible()
    expect(answer.locator(".prose")).to_have_text("Done.")


def test_a_pause_is_explained_and_what_became_of_the_ring_stays(stand: Stand, page: Page) -> None:
    answer = ask(page, "Hi")
    stand.comment("waiting for its turn, or for its prompt to be computed")
    expect(answer).to_contain_text("waiting for its turn")
    stand.write("Half ")
    stand.comment("waiting for a ring: shelf is gone")
    expect(answer).to_contain_text("paused: shelf is gone, the answer goes on")
    stand.tell("mesh", mesh_of(NAMES[:3], gone=["shelf"], reason="the peers are agreeing on a ring"))
    expect(answer).to_contain_text("paused: shelf left, the answer goes on")
    stand.tell("mesh", mesh_of(["desk", "attic"], epoch=2))
    expect(page.get_by_text("live, 2 peers")).to_be_visible()
    stand.write("whole")
    expect(answer.get_by_text("paused")).to_be_hidden()
    stand.finish(2)
    expect(answer).to_contain_text(
        "epoch 2: shelf left, desk takes 0–14, attic takes 15–29 · the answer went on"
    )


def test_escape_stops_an_answer_and_what_there_is_of_it_stays(stand: Stand, page: Page) -> None:
    answer = ask(page, "Hi")
    stand.write("Half")
    expect(answer).to_contain_text("Half")
    page.keyboard.press("Escape")
    expect(answer).to_contain_text("stopped")
    expect(answer.locator(".prose")).to_have_text("Half")


def test_a_failure_is_told_and_may_be_tried_again(stand: Stand, page: Page) -> None:
    answer = ask(page, "Hi")
    stand.write("Half")
    stand.fail("this peer is stopping: ask another one")
    expect(answer).to_contain_text("this peer is stopping: ask another one")
    expect(answer).to_contain_text("not finished")
    answer.get_by_role("button", name="Retry").click()
    stand.write("Whole")
    stand.finish(1)
    expect(page.get_by_role("article", name="Answer").locator(".prose")).to_have_text("Whole")
    assert contents(stand) == [("user", "Hi")]


def test_an_answer_that_breaks_off_says_so(stand: Stand, page: Page) -> None:
    answer = ask(page, "Hi")
    stand.write("Half")
    stand.hang_up()
    expect(answer).to_contain_text("this peer hung up in the middle of the answer")


def test_a_reload_keeps_the_conversation_and_a_new_chat_forgets_it(stand: Stand, page: Page) -> None:
    stand.write("Hello")
    stand.finish(1)
    expect(ask(page, "Hi")).to_contain_text("1 token")
    page.reload()
    expect(page.get_by_role("article", name="Answer")).to_contain_text("1 token")
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("article")).to_have_count(0)
    page.get_by_role("button", name="What is the capital of France?").click()
    stand.write("Paris")
    stand.finish(1)
    expect(page.get_by_role("article", name="Answer")).to_contain_text("Paris")
    assert contents(stand) == [("user", "What is the capital of France?")]


def test_the_page_can_be_used_by_keyboard_alone(stand: Stand, page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the chat")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("Hi")
    page.keyboard.press("Enter")
    stand.write("Hello")
    stand.finish(1)
    expect(page.get_by_role("article", name="Answer")).to_contain_text("Hello")
