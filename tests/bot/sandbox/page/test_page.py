"""The page as such: sizes, colours, keyboard, who it talks to, and what it does when the server goes away."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord import ui
from playwright.async_api import Browser, BrowserContext, expect

from bot.ops.endpoints import point_discord_at
from bot.sandbox import FakeDiscord, Upload, page_server
from tests.bot.sandbox.conftest import SpecimenStage, png
from tests.ports import free_port

from .conftest import Screen, new_screen, new_tab, shown

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = [page_server.add_routes]

CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
    const background = (element) => {
        if (!element) return [255, 255, 255, 1];
        const own = rgba(getComputedStyle(element).backgroundColor);
        return own[3] === 1 ? own : over(own, background(element.parentElement));
    };
    const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const poor = [];
    let looked = 0;
    for (const element of document.querySelectorAll("body *")) {
        const words = [...element.childNodes].filter((n) => n.nodeType === 3 && n.textContent.trim());
        const isShown = element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
        if (words.length === 0 || !isShown) continue;
        if (element.closest(":disabled, [inert], .visually-hidden, option")) continue;
        const ground = background(element);
        const ink = over(rgba(getComputedStyle(element).color), ground);
        const [light, dark] = [luminance(ink), luminance(ground)].sort((a, b) => b - a);
        const size = parseFloat(getComputedStyle(element).fontSize);
        looked += 1;
        if ((light + 0.05) / (dark + 0.05) < (size >= 24 ? 3 : 4.5)) {
            poor.push(`${element.className || element.tagName}: ${element.textContent.trim().slice(0, 30)}`);
        }
    }
    return { looked, poor };
}"""


class Everything(ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        for style in ("primary", "secondary", "success", "danger"):
            self.add_item(ui.Button(label=style, style=discord.ButtonStyle[style], custom_id=style))
        self.add_item(ui.Select(custom_id="s", placeholder="Sampler", options=[discord.SelectOption(label="Euler")]))


async def fill(stage: SpecimenStage) -> None:
    """A conversation with something of everything in it."""
    world = stage.discord.world
    text = (
        f"# Title\n-# small\n> quote\n`code` [link](https://example.com) <@{world.alice.id}>\n```\n{'code ' * 60}\n```"
    )
    await stage.discord.say(world.bob, world.general, text + "x" * 300)
    await stage.discord.say(
        world.bob, world.general, "", [Upload(f"{'long' * 30}.txt", b"x"), Upload("a.png", png(900, 40))]
    )

    async def answer(interaction: discord.Interaction) -> None:
        embed = discord.Embed(title="Title " * 20, description="word " * 100).add_field(name="a", value="b")
        await interaction.response.send_message("only you", embed=embed, view=Everything(), ephemeral=True)

    await shown(stage, answer)


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_all_words_can_be_read(stage: SpecimenStage, browser: Browser, scheme: Any) -> None:
    await fill(stage)
    screen = await new_screen(browser, stage.discord.page_url, color_scheme=scheme)
    await screen.open(stage.discord.world.alice, stage.discord.world.general)
    await expect(screen.messages).to_have_count(3)
    ground = await screen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"dark": "rgb(29, 30, 36)", "light": "rgb(255, 255, 255)"}[scheme]
    for prepare in (screen.text.focus, lambda: screen.type("/")):
        await prepare()
        found = await screen.page.evaluate(CONTRAST)
        assert found["poor"] == [] and found["looked"] > 40
    await screen.page.context.close()


@pytest.mark.parametrize("width", [380, 720, 1024, 1280, 2560])
async def test_it_fits_every_width(stage: SpecimenStage, window: BrowserContext, width: int) -> None:
    world = stage.discord.world
    await fill(stage)
    screen = await new_tab(window, stage.discord.page_url, {"width": width, "height": 700})
    await screen.open(world.alice, world.general)
    await expect(screen.messages).to_have_count(3)
    await screen.pick_command("anima imagine")
    await screen.type("a rather long prompt " * 6)
    await screen.press("Tab")
    too_wide = await screen.page.evaluate(
        """(width) => [...document.querySelectorAll("body *")]
            .filter((e) => e.checkVisibility() && !e.closest("pre, .visually-hidden, .option-field"))
            .filter((e) => e.getBoundingClientRect().right > width + 0.5 || e.getBoundingClientRect().left < -0.5)
            .map((e) => `${e.tagName}.${e.className}`)""",
        width,
    )
    assert too_wide == []
    sides = [await screen.page.locator(part).is_visible() for part in ("#sidebar", "#members")]
    assert sides == [width > 720, width > 1100]
    await screen.page.close()


async def test_on_a_small_screen_the_sides_open_over_the_conversation(
    stage: SpecimenStage, window: BrowserContext
) -> None:
    world = stage.discord.world
    screen = await new_tab(window, stage.discord.page_url, {"width": 380, "height": 700})
    await screen.open(world.alice, world.general)
    opener = screen.button("Channels and users")
    await opener.click()
    await expect(opener).to_have_attribute("aria-expanded", "true")
    await screen.press("Escape")
    await expect(screen.page.locator("#sidebar")).not_to_be_visible()
    await expect(opener).to_be_focused()
    await opener.click()
    await screen.page.get_by_role("link", name="gallery").click()
    await screen.shows(world.gallery)
    await expect(screen.page.locator("#sidebar")).not_to_be_visible()
    await screen.button("Members").click()
    await expect(screen.page.locator("#members .member", has_text="Emi")).to_be_visible()
    await screen.page.close()


async def test_everything_that_can_be_pressed_has_a_name(stage: SpecimenStage, screen: Screen) -> None:
    await fill(stage)
    await expect(screen.messages).to_have_count(3)
    await screen.type("/")
    nameless = await screen.page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, textarea, select, [role=listbox], img")]
            .filter((e) => e.checkVisibility())
            .filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.alt !== undefined
                || e.labels?.length || e.textContent.trim()))
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    landmarks = await screen.page.evaluate(
        "[...document.querySelectorAll('nav, main, aside, h1')].map((e) => e.tagName).join()"
    )
    assert landmarks == "NAV,MAIN,H1,ASIDE"


async def test_a_picture_is_asked_for_and_drawn_again_without_a_mouse(stage: SpecimenStage, screen: Screen) -> None:
    await screen.page.get_by_role("link", name="Skip to the message field").focus()
    await screen.press("Enter")
    await expect(screen.text).to_be_focused()
    await screen.type("/imag")
    await screen.press("Enter")
    await screen.type("1girl")
    await screen.press("Enter")
    await expect(screen.last.locator(".image img")).to_be_visible()
    await expect(screen.text).to_be_focused()
    for _ in range(10):
        await screen.press("Shift+Tab")
        if await screen.page.evaluate("document.activeElement.textContent") == "Re-roll":
            break
    await screen.press("Enter")
    await expect(screen.last).to_contain_text("seed 8")
    await screen.press("Tab")
    await expect(screen.last.locator(".more")).to_be_focused()
    await screen.press("Enter")
    await expect(screen.page.get_by_role("menuitem", name="Parameters")).to_be_focused()
    await screen.press("Enter")
    await expect(screen.last).to_contain_text("about seed 8")


async def test_nothing_is_loaded_from_elsewhere_even_when_asked_to(stage: SpecimenStage, screen: Screen) -> None:
    refused = await screen.page.evaluate(
        """async () => {
            const refusals = [];
            document.addEventListener("securitypolicyviolation", (event) => refusals.push(event.effectiveDirective));
            await fetch("https://example.com/").catch(() => {});
            const image = document.createElement("img");
            image.src = "https://example.com/x.png";
            document.body.append(image);
            await new Promise((resolve) => (image.onerror = resolve));
            image.remove();
            return refusals;
        }"""
    )
    assert refused == ["connect-src", "img-src"]
    screen.mistakes.clear()  # the browser reports what it refused
    screen.requested[:] = [url for url in screen.requested if "example.com" not in url]


async def test_motion_can_be_turned_off(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True)

    await shown(stage, answer)
    await expect(screen.last.locator(".dots i").first).to_have_css("animation-name", "none")


async def test_the_page_comes_back_with_the_server(browser: Browser, stage: SpecimenStage) -> None:
    """The page stays open while the sandbox is stopped and started again on the same port."""
    port = free_port()
    async with FakeDiscord(port=port, routes=PAGE) as first:
        world = first.world
        await first.say(world.bob, world.general, "before")
        screen = await new_screen(browser, first.page_url)
        await screen.open(world.alice, world.general)
        await expect(screen.last).to_contain_text("before")
    await expect(screen.page.locator("#status")).to_contain_text("The sandbox isn't responding")
    await screen.text.fill("hello?")
    await screen.press("Enter")
    await expect(screen.page.locator(".note")).to_contain_text("Is it still running?")
    async with FakeDiscord(port=port, routes=PAGE) as second:
        point_discord_at(second.api_url, second.gateway_url)
        restarted = SpecimenStage(second)
        await restarted.start()
        await second.say(second.world.bob, second.world.general, "after")
        await expect(screen.last).to_contain_text("after")
        await expect(screen.messages).to_have_count(1)
        await expect(screen.page.locator("#status")).to_be_hidden()
        await screen.pick_command("anima imagine")
        await screen.type("1girl")
        await screen.press("Enter")
        await expect(screen.last.locator(".image img")).to_be_visible()
        await screen.page.context.close()
        await restarted.stop()


async def test_a_command_that_is_being_written_outlasts_the_server(browser: Browser, stage: SpecimenStage) -> None:
    port = free_port()
    async with FakeDiscord(port=port, routes=PAGE) as first:
        world = first.world
        point_discord_at(first.api_url, first.gateway_url)
        earlier = SpecimenStage(first)
        await earlier.start()
        await first.say(world.bob, world.general, "before")
        screen = await new_screen(browser, first.page_url)
        await screen.open(world.alice, world.general)
        await screen.pick_command("anima imagine")
        await screen.type("1girl")
        await earlier.stop()
    async with FakeDiscord(port=port, routes=PAGE) as second:
        point_discord_at(second.api_url, second.gateway_url)
        restarted = SpecimenStage(second)
        await restarted.start()
        await expect(screen.messages).to_have_count(0)
        await screen.press("Enter")
        await expect(screen.last.locator(".image img")).to_be_visible()
        await screen.page.context.close()
        await restarted.stop()


async def test_the_page_misses_nothing_when_only_the_connection_breaks(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await screen.page.context.set_offline(True)
    await stage.discord.say(world.bob, world.general, "meanwhile")
    await screen.page.context.set_offline(False)
    await expect(screen.last).to_contain_text("meanwhile")
    await expect(screen.messages).to_have_count(1)
    screen.mistakes.clear()  # the browser reports what it could not reach
