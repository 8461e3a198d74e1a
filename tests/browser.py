"""A real browser for the tests of the page: Debian's Chromium, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    expect,
    sync_playwright,
)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium: apt-get install chromium-headless-shell"
)

PATIENCE_MS = 150_000
"""How long the browser and its pages may take on a busy machine; a test that fails waits for it."""

# Once for all tests of a process: whoever set it last would set it for the others as well.
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Heard:
    """What a page said and asked for while it was open: faults in its console, and the URLs of all requests.

    Without slots: Playwright writes to whatever owns the methods that it calls.
    """

    faults: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Listen to a page from now on."""
        page.on("console", self._console)
        page.on("pageerror", self._fault)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _fault(self, error: Error) -> None:
        self.faults.append(f"exception: {error}")

    def _request(self, request: Request) -> None:
        self.urls.append(request.url)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, until the context ends."""
    with sync_playwright() as playwright:
        # As root, in a container, it has no sandbox of its own; it opens nothing but our own pages.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def browsing(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A context of its own, whose pages may take their time. options: as of `Browser.new_context`."""
    with browser.new_context(**options) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context
