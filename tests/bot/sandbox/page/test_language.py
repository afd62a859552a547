"""The page speaks the language of whoever uses it."""

from __future__ import annotations

import discord
import pytest
from playwright.async_api import expect

from bot.sandbox.page_server.catalogs import page_catalog
from tests.bot.sandbox.conftest import SpecimenStage

from .conftest import Screen, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Every text and every label on the page, but for what people and the bot wrote.
TEXTS = """() => [...document.querySelectorAll("body *")]
    .filter((element) => element.checkVisibility() && !element.closest("option, .message .text, .channel-name"))
    .flatMap((element) => [
        ...[...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent),
        ...["aria-label", "title", "placeholder"].map((name) => element.getAttribute(name) ?? ""),
    ])
    .map((text) => text.trim()).filter(Boolean)"""


async def choose(screen: Screen, language: str) -> None:
    await screen.page.locator("#language").select_option(label=language)


async def test_everything_on_the_page_is_in_the_chosen_language(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        view = discord.ui.View().add_item(discord.ui.Select(options=[discord.SelectOption(label="7")]))
        await interaction.response.send_message("only you", ephemeral=True, view=view)

    await screen.ask(stage, answer)
    await expect(screen.last).to_contain_text("Only you can see this")
    await choose(screen, "日本語")
    await expect(screen.page.locator("#notice")).to_contain_text("サンドボックス")
    await expect(screen.page.locator("html")).to_have_attribute("lang", "ja")
    await expect(screen.last).to_contain_text("これはあなただけに表示されています")
    await expect(screen.last.locator(".context")).to_have_text("AAlice が /specimen を使用")
    await expect(screen.text).to_have_attribute("placeholder", "#general へメッセージを送信")
    await screen.type("/")
    await expect(screen.page.get_by_role("listbox", name="コマンド")).to_be_visible()
    texts = await screen.page.evaluate(TEXTS)
    english = {key for key, said in page_catalog("ja").sentences.items() if said != key}
    assert len(texts) > 40 and english.intersection(texts) == set()
    await screen.press("Escape")
    await choose(screen, "English")
    await expect(screen.last).to_contain_text("Only you can see this")
    await expect(screen.page.locator("html")).to_have_attribute("lang", "en-US")


async def test_a_commands_options_are_in_the_chosen_language(stage: SpecimenStage, screen: Screen) -> None:
    await choose(screen, "日本語")
    await expect(screen.page.locator("html")).to_have_attribute("lang", "ja")
    await screen.pick_command("anima imagine")
    await expect(screen.page.locator(".panel-about")).to_contain_text("50文字")
    await screen.press("Enter")
    await expect(screen.page.locator("#panel [role=alert]")).to_contain_text("このオプションは必須です。")


async def test_a_refusal_is_in_the_chosen_language(stage: SpecimenStage, screen: Screen) -> None:
    await choose(screen, "日本語")
    await until(lambda: stage.discord.world.alice.locale == "ja")
    await screen.text.fill("x" * 2001)
    await screen.press("Enter")
    await expect(screen.page.locator(".note")).to_contain_text("メッセージが長すぎます。上限は2000文字です。")


async def test_users_without_a_catalog_read_english(stage: SpecimenStage, screen: Screen) -> None:
    assert stage.discord.world.bob.locale == "de"
    await screen.switch_to(stage.discord.world.bob, stage.discord.world.general)
    await expect(screen.page.locator("html")).to_have_attribute("lang", "en-US")
    await expect(screen.page.locator("#notice")).to_contain_text("A sandbox on this computer.")
    await expect(screen.page.locator("#language")).to_have_value("de")


async def test_numbers_choose_the_form_that_the_language_has_for_them(screen: Screen) -> None:
    said = await screen.page.evaluate(
        """async () => {
            const { formatNumber, setLanguage, t, tPlural } = await import("/page/translation.js");
            const say = (count) => tPlural("{count} file of {name}", "{count} files of {name}", count, { name: "{x}" });
            const english = [1, 2].map(say);
            const forms = { one: "{count} archivo de {name}", many: "{count} de archivos", other: "{count} archivos" };
            setLanguage({ language: "es-ES", sentences: { "{count} file of {name}": forms } });
            return [...english, ...[1, 2, 1e6].map(say), formatNumber(1.5), t("{a} and {b}", { a: 1 })];
        }"""
    )
    spanish = ["1 archivo de {x}", "2 archivos", "1.000.000 de archivos", "1,5"]
    assert said == ["1 file of {x}", "2 files of {x}", *spanish, "1 and {b}"]
