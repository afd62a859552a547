"""What people could try on others, end to end: forged presses, markdown in every text, paths in the place of names."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bot.app import HANDLERS
from bot.commands.admin import ACTIONS
from bot.components.base import JobComponent
from bot.generation import compose
from bot.jobs import submission
from bot.jobs.acknowledgement import acknowledgements
from bot.jobs.delivery import places
from bot.messages.buttons import LABELS
from bot.sandbox import InteractionHandle, Message, Upload
from storage.jobs import Job
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.generation.test_source_image import encoded
from tests.bot.harness import Stage, interaction_tasks, until

MENUS = ["anima:pick:{job}", "anima:history:show"]
SECRET = "unspeakablesecret"
#: Every custom_id that names a job or a picture, or shows what is somebody's own.
OTHERS = [
    *(f"anima:{action}:{{job}}:0" for action in LABELS),
    *(f"anima:{what}:{{job}}" for what in ("cancel", "queue:cancel", "fixed", "triggers")),
    *(f"anima:moderate:{what}:{{job}}" for what in ("delete", "block", "both", "unblock")),
    *(f"anima:redraw-{what}:{{job}}:0{cells}" for what, cells in (("cells", ""), ("lines", ":1"), ("chosen", ":1"))),
    *(f"anima:history:{what}:{{picture}}" for what in ("again", "delete", "delete-for-good", "keep")),
    "anima:history:older:999999999:",
    "anima:privacy:export",
]


@pytest.fixture(autouse=True)
def slow_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Much is not answered at all here, and what is not answered within Discord's three seconds has failed."""
    monkeypatch.setattr(acknowledgements, "DATABASE_TIMEOUT", 2.5)


async def answered(stage: Stage, sent: InteractionHandle) -> str:
    """Everything a user is told until the bot is done; "" if it says nothing."""
    if sent.interaction.original_id is None and await sent.failed():
        return ""
    await sent.acknowledged()

    async def something() -> list[Message] | None:
        ids = [sent.interaction.original_id, *sent.interaction.followup_ids]
        told = [message for id in ids if id is not None and (message := stage.discord.messages.get(id)) is not None]
        return told if told and not any(message.is_loading for message in told) else None

    if sent.interaction.callback is not None and sent.interaction.callback.type == 9:
        return str(sent.interaction.callback.data)
    messages = await until(something)
    return "\n".join(message.text + "".join(file.filename for file in message.attachments) for message in messages)


async def hidden_picture(stage: Stage) -> tuple[Job, int]:
    """Alice's, which she alone may see."""
    job = await stage.in_state((await stage.ask(SECRET, private=True)).id, JobState.DELIVERED)
    return job, (await stage.database.images.of_job(job.id))[0].id


@pytest.mark.parametrize("custom_id", OTHERS)
async def test_a_forged_press_reveals_and_changes_nothing_of_a_private_image(stage: Stage, custom_id: str) -> None:
    job, picture = await hidden_picture(stage)
    _, public = await stage.draw("1girl", stage.emi)
    spent = (await stage.database.quotas.usage(Account(stage.alice.id, stage.general.guild.id))).spent
    sent = await stage.press_forged(public, custom_id.format(job=job.id, picture=picture), stage.emi)
    assert SECRET not in await answered(stage, sent)
    assert SECRET not in "".join(request.prompt for request in stage.engine.requests[2:])
    assert (await stage.database.jobs.get(job.id)) == job
    assert (await stage.database.images.of_job(job.id))[0].deleted_at is None
    usage = await stage.database.quotas.usage(Account(stage.alice.id, stage.general.guild.id))
    assert usage.spent == spent


def test_every_button_and_menu_of_a_job_is_among_them() -> None:
    forged = [custom_id.format(job=12, picture=12) for custom_id in (*OTHERS, *MENUS)]
    for handler in HANDLERS:
        if issubclass(handler, JobComponent):
            template = handler.__discord_ui_compiled_template__
            assert any(template.fullmatch(custom_id) for custom_id in forged), handler


@pytest.mark.parametrize("custom_id", MENUS)
async def test_a_forged_choice_shows_nothing_of_anothers_private_picture(stage: Stage, custom_id: str) -> None:
    job, picture = await hidden_picture(stage)
    _, public = await stage.draw("1girl", stage.emi)
    values = ["0"] if "pick" in custom_id else [str(picture)]
    sent = await stage.press_forged(public, custom_id.format(job=job.id), stage.emi, values)
    assert SECRET not in await answered(stage, sent)


@pytest.mark.parametrize("action", [*ACTIONS, "no-such-action"])
async def test_forged_custom_ids_open_no_part_of_the_panel_for_members(stage: Stage, action: str) -> None:
    _, public = await stage.draw("1girl")
    for values in (None, ["1", "on"]):
        sent = await stage.press_forged(public, f"anima-admin:{action}:1", stage.alice, values)
        told = await answered(stage, sent)
        assert "Manage Server" in told, told
    guild = stage.general.guild.id
    assert (await stage.database.servers.settings(guild)).version == 0
    assert list(await stage.database.servers.audit_log(guild)) == []


async def test_the_user_who_presses_pays(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    for label in ("Re-roll", "Vary"):
        sent = await stage.press(message, label, stage.emi)
        await sent.acknowledged()
        again = await until(lambda sent=sent: stage.database.jobs.by_interaction(sent.id))
        await stage.in_state(again.id, JobState.DELIVERED)
    guild = stage.general.guild.id
    assert (await stage.database.quotas.usage(Account(stage.alice.id, guild))).spent == job.cost
    assert (await stage.database.quotas.usage(Account(stage.emi.id, guild))).spent == 2 * job.cost


# Texts that would be something else than text

MARKDOWN = (
    "@everyone @here <@{alice}> <@&{role}> <#{channel}> </anima imagine:1234567890123456789> <t:1:R> "
    "**bold** __under__ ~~out~~ ||spoiler|| `code` ```block``` [name](https://evil.example) https://evil.example "
    "<https://evil.example>\n# big\n- list\n> quote\n-# small\n1. first\u2028# hidden\x85# line"
)
LIVE_MARKDOWN = re.compile(
    r"(?<!\\)(?:\*\*bold|__under|~~out|\|\|spoiler|`code|```block|\[name\]|<@&|<#|</anima|<t:1:R|<https)|https://evil"
    r"|@everyone|@here|^(?:> )?\s*(?:# (?:big|hidden|line)|- list|> quote|-# small|1\. first)",
    re.MULTILINE,
)


def everything_said(stage: Stage) -> list[Message]:
    """Every version of every message of the bot."""
    events = [event.message for event in stage.discord.events.history if event.message is not None]
    return [message for message in events if message.author.is_bot]


def hostile(stage: Stage, longest: int) -> str:
    world = stage.discord.world
    text = MARKDOWN.format(alice=stage.alice.id, role=world.moderator.id, channel=world.general.id)
    return text[:longest]


def assert_inert(stage: Stage) -> None:
    for message in everything_said(stage):
        found = LIVE_MARKDOWN.search(message.text)
        assert found is None, (found, message.text)
        assert not message.mentions.everyone and not message.mentions.roles
        assert set(message.mentions.users) <= {stage.alice}


async def test_a_prompt_is_shown_as_it_was_typed_and_is_nothing_but_text(stage: Stage) -> None:
    text = hostile(stage, 1000)
    stage.engine.hold()
    await stage.ask("first", stage.alice)
    job = await stage.ask(text, stage.alice, negative=text[:900], artist=text[:150])
    await stage.answer("queue", stage.alice)
    stage.engine.let_go()
    job = await stage.in_state(job.id, JobState.DELIVERED)
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    await (await stage.press_more(message, "Info", stage.alice)).response()
    await stage.answer("history", stage.alice)
    assert text.split("\n")[0][-12:].strip("<>") in job.prompt
    assert_inert(stage)


async def test_names_of_loras_and_presets_are_nothing_but_text(stage: Stage) -> None:
    text = hostile(stage, 400)
    for start in (0, 60, 120, 180, 240, 300):
        part = text[start : start + 90]
        for options in ({"lora": part}, {"preset": part}, {"aspect": part}):
            sent = await stage.slash("imagine", stage.alice, prompt="1girl", **options)
            await answered(stage, sent)
    assert stage.engine.requests == []
    assert_inert(stage)


@pytest.mark.parametrize("stem", ["**bold** [name](https:", "@everyone <@&1> ||spoiler|| `code`"])
async def test_a_lora_file_with_a_hostile_name_is_nothing_but_text(stage: Stage, stem: str) -> None:
    (stage.models / "loras" / f"{stem}.safetensors").parent.mkdir(parents=True, exist_ok=True)
    (stage.models / "loras" / f"{stem}.safetensors").touch()
    _, message = await stage.draw("1girl", stage.alice, lora=stem)
    await (await stage.press_more(message, "Info", stage.alice)).response()
    assert_inert(stage)


async def test_the_name_of_an_attached_file_is_nothing_but_text(stage: Stage) -> None:
    from PIL import Image

    picture = encoded(Image.new("RGB", (8, 8)))
    posted = await stage.discord.say(
        stage.alice, stage.general, files=[Upload("**bold**__under__@everyone.png", picture)]
    )
    attachment = posted.attachments[0]
    object.__setattr__(attachment, "filename", "**bold** __under__ @everyone `code`.png")
    sent = await stage.discord.menu(stage.alice, posted, "Anima: parameters")
    await answered(stage, sent)
    assert_inert(stage)


# Paths in the place of names


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "ink/../../secret",
        "/etc/passwd",
        "{outside}",
        "..\\secret",
        "C:\\secret",
        "\\\\host\\share\\secret",
        "ink\0",
        "ink\0/../../secret",
        ".",
        "..",
        "ink.safetensors/..",
        "~/secret",
        "%2e%2e/secret",
    ],
)
async def test_only_lora_files_in_the_folder_can_be_named(stage: Stage, name: str) -> None:
    outside = stage.models / "secret.safetensors"
    outside.touch()
    (stage.models / "loras" / "ink.safetensors").touch()
    options: dict[str, Any] = {"lora": name.format(outside=outside.with_suffix(""))}
    sent = await stage.slash("imagine", stage.alice, prompt="1girl", **options)
    assert "There is no LoRA called" in await answered(stage, sent)
    assert stage.engine.requests == []


# Prompts that are made to take long


async def test_a_prompt_is_judged_beside_the_event_loop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[str] = []
    for module, name in ((submission, "permit"), (compose, "expand"), (places, "check_text")):
        monkeypatch.setattr(module, name, noting_its_thread(getattr(module, name), where))
    await stage.draw("{" * 500 + "hat|" * 200 + "}" * 500)
    assert len(where) >= 3 and threading.main_thread().name not in where


def noting_its_thread(function: Callable[..., Any], where: list[str]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        where.append(threading.current_thread().name)
        return function(*args, **kwargs)

    return noted


@pytest.mark.parametrize("custom_id", OTHERS)
async def test_a_forged_press_tells_nothing_of_what_was_drawn_in_another_place(stage: Stage, custom_id: str) -> None:
    """In a private message nothing has to be marked as private to be so."""
    job, _ = await stage.draw(SECRET, where=stage.discord.dm(stage.alice))
    picture = (await stage.database.images.of_job(job.id))[0].id
    _, public = await stage.draw("1girl", stage.emi)
    sent = await stage.press_forged(public, custom_id.format(job=job.id, picture=picture), stage.emi)
    assert SECRET not in await answered(stage, sent)
    assert SECRET not in "".join(request.prompt for request in stage.engine.requests[2:])


@pytest.mark.parametrize("action", ["delete", "delete-for-good"])
async def test_a_moderator_reaches_no_private_picture_by_a_forged_custom_id(stage: Stage, action: str) -> None:
    job, _ = await hidden_picture(stage)
    _, public = await stage.draw("1girl", stage.emi)
    sent = await stage.press_forged(public, f"anima:{action}:{job.id}:0", stage.bob)
    assert f"<@{stage.alice.id}>" not in await answered(stage, sent)
    await asyncio.gather(*interaction_tasks())
    assert (await stage.database.images.of_job(job.id))[0].deleted_at is None
