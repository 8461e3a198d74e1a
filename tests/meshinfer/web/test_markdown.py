"""What models write becomes elements that were thought of, and nothing else."""

import pytest
from playwright.sync_api import Page

from tests.browser import needs_chromium

pytestmark = needs_chromium

SHOW = """async (texts) => {
  const { Markdown } = await import("./web/markdown.js");
  const host = document.createElement("div");
  const markdown = new Markdown(host);
  for (const text of texts) markdown.show(text);
  return host.innerHTML;
}"""

MADE = """async (text) => {
  const { Markdown } = await import("./web/markdown.js");
  const host = document.createElement("div");
  new Markdown(host).show(text);
  const told = (node) => [node.localName, node.protocol ?? null, ...node.getAttributeNames()];
  return [...host.querySelectorAll("*")].map(told);
}"""

LISTS, TABLES = {"ul", "li"}, {"div", "table", "thead", "tbody", "tr", "th", "td"}
MADE_OF = {"p", "a", "code", "pre", "span", "button", *LISTS, *TABLES}

LINK = '<a href="{0}" target="_blank" rel="noopener noreferrer nofollow">{1}</a>'


def shown(page: Page, *texts: str) -> str:
    """The HTML after a text has grown through these."""
    html = page.evaluate(SHOW, list(texts))
    assert isinstance(html, str)
    return html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "<p>plain</p>"),
        ("one\ntwo\n\nthree", "<p>one<br>two</p><p>three</p>"),
        ("## Title ##\ntext", "<h4>Title</h4><p>text</p>"),
        ("**b** *i* `c` ~~d~~", "<p><strong>b</strong> <em>i</em> <code>c</code> <del>d</del></p>"),
        ("__b__ _i_", "<p><strong>b</strong> <em>i</em></p>"),
        ("**bold with `code` in it**", "<p><strong>bold with <code>code</code> in it</strong></p>"),
        ("2 * 3 * 4, snake_case_name, a_b", "<p>2 * 3 * 4, snake_case_name, a_b</p>"),
        (r"\*not\* \`code\`", "<p>*not* `code`</p>"),
        ("- a\n- b\n  - c\n- d", "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("1. a\n\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("Look:\n- a", "<p>Look:</p><ul><li>a</li></ul>"),
        ("> said\n> so", "<blockquote><p>said<br>so</p></blockquote>"),
        ("---", "<hr>"),
        ("[t](https://a.example/b)", f"<p>{LINK.format('https://a.example/b', 't')}</p>"),
        (
            "See https://a.example/b.",
            f"<p>See {LINK.format('https://a.example/b', 'https://a.example/b')}.</p>",
        ),
        (
            "| a | b |\n|---|---|\n| 1 | 2 |",
            '<div class="table" tabindex="0"><table><thead><tr><th>a</th><th>b</th></tr></thead>'
            "<tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>",
        ),
    ],
)
def test_text_becomes_elements(modules: Page, text: str, html: str) -> None:
    assert shown(modules, text) == html


@pytest.mark.parametrize("end", ["\n```", ""], ids=["closed", "still open"])
def test_code_stays_as_it_is(modules: Page, end: str) -> None:
    html = shown(modules, "```python\nif a < b:\n\n    # **no** <b>\n    pass" + end)
    assert "<code>if a &lt; b:\n\n    # **no** &lt;b&gt;\n    pass</code>" in html
    assert "<span>python</span>" in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![p](https://a.example/p.png)",
        '[x](https://a.example/"onmouseover="alert(1))',
        "```html\n<iframe src=//a.example></iframe>\n```",
        "| <b>a</b> |\n|---|\n| <svg onload=alert(1)> |",
        "- <style>*{display:none}</style>",
    ],
)
def test_nothing_that_a_model_writes_becomes_markup_or_is_fetched(modules: Page, text: str) -> None:
    made = modules.evaluate(MADE, text)
    for tag, protocol, *attributes in made:
        assert tag in MADE_OF
        assert protocol in (None, "https:")
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style")]


def test_a_text_that_grows_ends_as_if_it_had_come_at_once(modules: Page) -> None:
    text = "# T\n\n1. a **b**\n   - c\n2. d\n\n```py\nx = 1\n\n\ny\n```\n\n> q\n\n"
    text += "| a | b |\n|--|--|\n| 1 | 2 |\n\nend"
    grown = [text[:length] for length in range(len(text) + 1)]
    assert shown(modules, *grown) == shown(modules, text)


@pytest.mark.parametrize("text", ["*", "[", "`", "- ", "> ", "_a", "|", "1. ", "**a"])
def test_what_makes_no_sense_takes_no_time(modules: Page, text: str) -> None:
    assert shown(modules, 2001 * text)
