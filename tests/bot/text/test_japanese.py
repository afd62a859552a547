"""A member and admin who reads Japanese is answered in Japanese, from end to end."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from bot.commands.admin.summaries import STATES
from bot.sandbox import Channel, FakeDiscord, User
from bot.text.languages import LANGUAGES
from storage.schema import JobState
from tests.bot.harness import Stage

JAPANESE = LANGUAGES["ja"].translations
LETTERS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def translated(sentence: str) -> str:
    said = JAPANESE.gettext(sentence)
    assert said != sentence
    return said


@pytest.fixture
def hanako(standin: FakeDiscord) -> User:
    """A member and moderator of the server who reads Japanese."""
    world = standin.world
    hanako = replace(world.add_user("hanako"), locale="ja")
    world.users[hanako.id] = hanako
    world.guild.add_member(hanako, world.moderator)
    return hanako


async def test_the_commands_are_offered_in_japanese(stage: Stage) -> None:
    [anima] = [command for command in stage.discord.commands.of(None) if command["name"] == "anima"]
    assert anima["description_localizations"]["ja"] == JAPANESE.pgettext("description", anima["description"])


async def test_two_people_at_once_are_answered_each_in_their_language(stage: Stage, hanako: User) -> None:
    hers, alices = await asyncio.gather(stage.answer("queue", hanako), stage.answer("queue"))
    assert "順番待ちはありません。" in hers.text
    assert "The queue is empty." in alices.text


async def test_buttons_answer_in_japanese_also_after_a_restart(stage: Stage, hanako: User) -> None:
    message = await stage.answer("privacy", hanako)
    await stage.restart()
    question = await stage.turned(message, "すべて消去…", hanako)
    assert "すべて消去しますか？" in question.text
    kept = await stage.turned(question, "消去しない", hanako)
    assert kept.text == translated("Nothing was erased.")


async def test_blocked_users_read_why_in_japanese(stage: Stage, hanako: User) -> None:
    await stage.database.servers.block(stage.general.guild.id, hanako.id, by=1)
    refused = await (await stage.slash("imagine", hanako, prompt="1girl")).response()
    assert refused.is_ephemeral
    assert refused.text == translated(
        "You can't draw here at the moment. If you think that is a mistake, ask a server admin."
    )


async def test_a_refused_prompt_is_named_in_a_japanese_sentence(stage: Stage, hanako: User) -> None:
    words = [f"word{number}" for number in range(5)]
    await stage.database.servers.change(stage.general.guild.id, {"safety": {"blocked_words": words}}, by=1)
    refused = await refusal(stage, hanako, stage.general, ", ".join(words))
    assert "「word0」、「word1」、「word2」 ほか2件" in refused
    assert LETTERS.search(refused.replace("word", ""))


async def refusal(stage: Stage, user: User, where: Channel, prompt: str) -> str:
    interaction = await stage.slash("imagine", user, where, prompt=prompt)
    await interaction.acknowledged()
    told = await interaction.followup()
    assert told.is_ephemeral
    return told.text


async def test_the_admin_panel_and_its_forms_are_japanese(stage: Stage, hanako: User) -> None:
    sent = await stage.discord.slash(hanako, stage.general, "anima-admin")
    panel = await sent.response()
    assert "このサーバーの Anima" in panel.text
    for page in ("defaults", "limits", "quota", "access", "safety", "words", "people", "log", "statistics"):
        sent = await stage.discord.choose(hanako, panel, "anima-admin:open", (page,))
        panel = await sent.response()
        assert all(LETTERS.search(line) for line in panel.text.splitlines())
        for control in panel.inputs():
            if control["custom_id"].startswith("anima-admin:form-"):
                pressed = await stage.discord.press(hanako, panel, custom_id=control["custom_id"])
                labels = [label for label, _ in (await pressed.modal()).inputs()]
                assert [label for label in labels if not LETTERS.search(label) and label != "LoRA"] == []
    sent = await stage.discord.choose(hanako, panel, "anima-admin:open", ("limits",))
    panel = await sent.response()
    form = await (await stage.discord.press(hanako, panel, label="サイズとステップ数")).modal()
    labels = [label for label, _ in form.inputs()]
    times = "モデル標準サイズに対する倍率"
    assert labels == ["長辺の上限", "メガピクセル", times, f"高解像度化: {times}", "ステップ数"]
    sent = await stage.discord.submit(hanako, form, {"ステップ数": "たくさん"})
    assert "何も保存していません。 **ステップ数** は整数で入力してください。" in (await sent.response()).text


@pytest.mark.parametrize("state", JobState)
def test_every_state_of_a_job_has_a_name_in_statistics(state: JobState) -> None:
    assert translated(STATES[state])
