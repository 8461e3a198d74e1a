"""A browser for each module of tests: Playwright runs a loop of its own for as long as one is open."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import Heard, browsing, chromium
from tests.meshinfer.web.meshes import NAMES, mesh_of, work_of
from tests.meshinfer.web.stand import Stand

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stand() -> Iterator[Stand]:
    """The page of `desk`, which shares a model with two others."""
    with Stand(mesh_of(NAMES[:3])) as stand:
        stand.tell("work", work_of("desk"))
        yield stand


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens the page of a stand, in a context of its own; none of them may complain in its console."""
    heard = Heard()
    with ExitStack() as stack:

        def opened(stand: Stand, **context: Any) -> Page:
            page = stack.enter_context(browsing(browser, **context)).new_page()
            heard.watch(page)
            page.goto(stand.url)
            return page

        yield opened
    assert not heard.faults


@pytest.fixture
def page(stand: Stand, open_page: Open) -> Page:
    return open_page(stand, viewport={"width": 1280, "height": 860})


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Iterator[Page]:
    """A page in which modules can be imported and tried; nobody looks at it."""
    with Stand(mesh_of(NAMES[:3])) as stand, browsing(browser) as context:
        page = context.new_page()
        page.goto(stand.url)
        yield page
        page.close()
