"""Pictures of the page for the README, out of a real ring of three peers: `python -m tests.pictures.page`.

Writes docs/page-light.png, page-dark.png and page-phone.png. Fonts are those of this machine; the README's
pictures were taken with Inter (Debian: fonts-inter).
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser import chromium
from tests.mesh.processes import PATIENCE_S, ProcessMesh, wait_for_ring
from tests.smollm2 import smollm2

DOCS = Path(__file__).parents[2] / "docs"
CALLED = ("--mesh", "home")
WINDOW = ViewportSize(width=1400, height=900)
PHONE = ViewportSize(width=390, height=780)
QUESTION = "What is the capital of France?"
LONGER = "Explain why the sky is blue."
SHOWN_WORDS = 40


def main() -> None:
    """Start the ring, ask, and take the pictures while it answers."""
    expect.set_options(timeout=1000 * PATIENCE_S)
    with tempfile.TemporaryDirectory() as scratch, ProcessMesh(Path(scratch), is_quiet=True) as mesh:
        # By its name it is looked for in the peers' cache.
        (Path(scratch) / "cache").mkdir()
        (Path(scratch) / "cache" / "models").symlink_to(smollm2("float32").path.parent)
        first = mesh.start("desk", "smollm2", *CALLED, min_peers=3, memory_gb=2.0)
        mesh.start("shelf", None, *CALLED, seeds=[first], min_peers=3, memory_gb=1.0)
        mesh.start("attic", None, *CALLED, seeds=[first], min_peers=3, memory_gb=4.0)
        wait_for_ring(mesh.peers)
        with chromium() as browser:
            take(browser, first.url, "page-light.png", WINDOW, is_dark=False)
            take(browser, first.url, "page-dark.png", WINDOW, is_dark=True)
            take(browser, first.url, "page-phone.png", PHONE, is_dark=True)


def take(browser: Browser, url: str, name: str, size: ViewportSize, *, is_dark: bool) -> None:
    """One picture, in the middle of an answer."""
    scale = 2 if size is PHONE else 1
    with browser.new_context(
        viewport=size, color_scheme="dark" if is_dark else "light", device_scale_factor=scale
    ) as context:
        page = context.new_page()
        page.goto(url)
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("Temperature").fill("0")
        page.get_by_role("button", name="Settings").click()
        ask(page, QUESTION)
        expect(page.get_by_role("article", name="Answer").last).to_contain_text("tokens/s")
        ask(page, LONGER)
        words = re.compile(rf"(\S+\s+){{{SHOWN_WORDS}}}")
        expect(page.get_by_role("article", name="Answer").last.locator(".prose")).to_have_text(words)
        if size is PHONE:
            page.get_by_role("button", name="Ring").click()
        page.mouse.move(0, 0)
        expect(page.locator(".sparks circle")).to_be_visible()
        page.screenshot(path=DOCS / name)
        page.keyboard.press("Escape")
    shrink(DOCS / name)
    print(f"{name}: {(DOCS / name).stat().st_size / 1000:.0f} kB")


def ask(page: Page, question: str) -> None:
    """Ask as people do."""
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def shrink(picture: Path) -> None:
    """Fewer colours, where this machine has pngquant: nobody sees the difference, and it loads sooner."""
    if pngquant := shutil.which("pngquant"):
        subprocess.run([pngquant, "--force", "--skip-if-larger", "--output", picture, picture], check=False)


if __name__ == "__main__":
    main()
