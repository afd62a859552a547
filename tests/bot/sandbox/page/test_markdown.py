"""Discord's markdown as the page shows it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser import BROWSER_TIMEOUT

from .conftest import Screen

pytestmark = pytest.mark.asyncio(loop_scope="session")

RENDER = """async (text) => {
    const { markdown } = await import("/page/markdown.js");
    const box = document.createElement("div");
    box.append(...markdown(text));
    for (const element of box.querySelectorAll("*")) {
        for (const { name } of [...element.attributes]) {
            if (!["class", "href", "start"].includes(name)) element.removeAttribute(name);
        }
    }
    return box.innerHTML;
}"""


async def render(screen: Screen, text: str) -> str:
    html: Any = await screen.page.evaluate(RENDER, text)
    return str(html)


EXAMPLES = [
    ("plain", "plain"),
    ("**bold** *italic* _italic_", "<strong>bold</strong> <em>italic</em> <em>italic</em>"),
    ("***both***", "<strong><em>both</em></strong>"),
    ("*a **b** c*", "<em>a <strong>b</strong> c</em>"),
    ("__under__ ~~gone~~", "<u>under</u> <s>gone</s>"),
    ("snake_case_name", "snake_case_name"),
    ("2 * 3 * 4", "2 * 3 * 4"),
    ("**open", "**open"),
    (r"\*not italic\* \<@1>", "*not italic* &lt;@1&gt;"),
    ("`code **not bold**`", "<code>code **not bold**</code>"),
    ("``a ` b``", "<code>a ` b</code>"),
    ("```\na\n b\n```", "<pre><code>a\n b</code></pre>"),
    ("```py\nprint()\n```after", "<pre><code>print()</code></pre>after"),
    ("before ```x``` after", "before <pre><code>x</code></pre> after"),
    ("> quoted\n> twice\nnot", "<blockquote>quoted\ntwice</blockquote>not"),
    (">>> all\nof it", "<blockquote>all\nof it</blockquote>"),
    (">not quoted", "&gt;not quoted"),
    ("# One", '<p class="heading-1">One</p>'),
    ("### Three **bold**", '<p class="heading-3">Three <strong>bold</strong></p>'),
    ("#none", "#none"),
    ("-# small", '<p class="subtext">small</p>'),
    ("- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
    ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    ("||hidden||", '<span class="spoiler"><span class="spoiler-words">hidden</span></span>'),
    ("[words](https://example.com)", '<a href="https://example.com/">words</a>'),
    ("see https://example.com/a_b_c.", 'see <a href="https://example.com/a_b_c">https://example.com/a_b_c</a>.'),
    ("[words](javascript:alert(1))", "[words](javascript:alert(1))"),
    ("<b>bold</b>", "&lt;b&gt;bold&lt;/b&gt;"),
    ("@everyone", '<span class="mention">@everyone</span>'),
    ("</anima imagine:1>", '<button class="mention">/anima imagine</button>'),
    ("<@1> <#2> <@&3>", '<span class="mention">@unknown-user</span> <span class="mention">#unknown</span> '
     '<span class="mention">@unknown-role</span>'),
    ("<:smile:123>", '<span class="custom-emoji">:smile:</span>'),
    ("<t:9999999999999:R>", "&lt;t:9999999999999:R&gt;"),
    ("one\n\ntwo", "one\n\ntwo"),
]  # fmt: skip


async def test_text_becomes_what_discord_shows(screen: Screen) -> None:
    rendered = [(text, await render(screen, text)) for text, _ in EXAMPLES]
    assert rendered == EXAMPLES


async def test_mentions_name_what_they_mean(screen: Screen, stage: Any) -> None:
    world = stage.discord.world
    text = f"<@{world.bob.id}> <#{world.gallery.id}> <@&{world.moderator.id}>"
    for name in ("@Bob", "#gallery", "@moderator"):
        assert f">{name}</" in await render(screen, text)


async def test_times_are_shown_in_the_language_of_the_user(screen: Screen) -> None:
    assert "November 14, 2023" in await render(screen, "<t:1700000000:D>")
    assert "years ago" in await render(screen, "<t:1700000000:R>")
    await screen.page.get_by_label("Language").select_option("ja")
    await expect(screen.page.locator("html")).to_have_attribute("lang", "ja")
    assert "2023年11月14日" in await render(screen, "<t:1700000000:D>")
    assert "年前" in await render(screen, "<t:1700000000:R>")


@pytest.mark.parametrize(
    "mark", ["*", "**a", "_", "__a", "|", "||", "`", "[", "<", "~~", "\\", "> ", "- ", "<t:1", "[a]("]
)
async def test_no_text_keeps_the_page_busy(screen: Screen, mark: str) -> None:
    """4,000 characters are the most that a message shows; backtracking patterns would take forever."""
    text = "*" + mark * (3999 // len(mark))
    async with asyncio.timeout(BROWSER_TIMEOUT / 1000):
        rendered = await screen.page.evaluate(
            """async (text) => {
                const { markdown } = await import("/page/markdown.js");
                return markdown(text).length;
            }""",
            text,
        )
    assert rendered > 0
