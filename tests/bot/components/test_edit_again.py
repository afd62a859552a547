"""*Edit again*: a form that could not be taken comes back as it was typed, also after a restart, and to nobody else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from bot.components.edit_again import NO_DRAFT
from bot.sandbox import ClientModal, InteractionHandle, Message
from storage.preferences import MAX_DRAFTS, MAX_PRESETS
from storage.schema import JobState
from tests.bot.harness import Stage, until

EDIT_AGAIN = "Edit again…"
SETTINGS = "Size, steps, CFG, scheduler"


def values_of(modal: ClientModal) -> dict[str, Any]:
    """What the fields show, by what their custom_ids begin with; of a select what is chosen."""
    shown = {}
    for _, field in modal.inputs():
        options = field.get("options")
        chosen = [option["value"] for option in options or [] if option.get("default")]
        shown[field["custom_id"].partition(":")[0]] = chosen if options else field.get("value") or ""
    return shown


async def refusal(stage: Stage, sent: InteractionHandle) -> Message:
    """The private message that offers the form again."""
    await sent.acknowledged()

    async def found() -> Message | None:
        ids = [sent.interaction.original_id, *sent.interaction.followup_ids]
        messages = [stage.discord.messages.get(id) for id in ids if id is not None]
        return next((each for each in messages if each is not None and has_button(each)), None)

    answer: Message = await until(found)
    assert answer.is_ephemeral
    return answer


def has_button(message: Message) -> bool:
    return any(part.get("label") == EDIT_AGAIN for part in message.inputs())


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"Prompt": "1boy", SETTINGS: "as before"}, "I don't understand “as before”"),
        ({"Prompt": "1girl, nsfw", "Sampler": ["heun"]}, "isn't allowed in this channel"),
    ],
)
async def test_an_edit_that_was_refused_reopens_after_a_restart(
    stage: Stage, typed: dict[str, Any], sentence: str
) -> None:
    _, message = await stage.draw("1girl", stage.bob, negative="hat")
    modal = await (await stage.press(message, "Edit…")).modal()
    sent = await stage.discord.submit(stage.alice, modal, {"Seed (leave empty for a new one)": "", **typed})
    answer = await refusal(stage, sent)
    assert sentence in answer.text
    await stage.restart()
    again = await (await stage.press(answer, EDIT_AGAIN)).modal()
    shown = values_of(again)
    assert shown["prompt"] == typed["Prompt"] and shown["negative"] == "hat" and shown["seed"] == ""
    assert shown["settings"] == typed.get(SETTINGS, shown["settings"])
    assert shown["sampler"] == typed.get("Sampler", ["er_sde"])
    sent = await stage.discord.submit(stage.alice, again, {"Prompt": "1boy", SETTINGS: "5 steps"})
    await sent.acknowledged()
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    assert (job.prompt, job.user_id, job.negative_prompt) == ("1boy", stage.alice.id, "hat")


async def test_an_edit_that_was_accepted_stores_no_draft(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    modal = await (await stage.press(message, "Edit…")).modal()
    sent = await stage.discord.submit(stage.alice, modal, {"Prompt": "1boy"})
    await sent.acknowledged()
    await until(lambda: stage.database.jobs.by_interaction(sent.id))
    with closing(sqlite3.connect(stage.database_file)) as database:
        assert database.execute("SELECT count(*) FROM drafts").fetchone() == (0,)


async def test_a_preset_without_a_name_is_asked_for_again(stage: Stage) -> None:
    _, message = await stage.draw("1girl", steps=7)
    modal = await (await stage.press_more(message, "Save as preset…")).modal()
    answer = await refusal(stage, await stage.discord.submit(stage.alice, modal, {"Name": "\u200b"}))
    assert "must have 1 to" in answer.text
    again = await (await stage.press(answer, EDIT_AGAIN)).modal()
    saved = await (await stage.discord.submit(stage.alice, again, {"Name": "good"})).response()
    assert "Saved as “good”" in saved.text


async def test_a_preset_above_the_limit_keeps_its_name(stage: Stage) -> None:
    for number in range(MAX_PRESETS):
        await stage.database.preferences.save_preset(stage.alice.id, f"{number:02}", {"steps": 5})
    _, message = await stage.draw("1girl")
    modal = await (await stage.press_more(message, "Save as preset…")).modal()
    answer = await refusal(stage, await stage.discord.submit(stage.alice, modal, {"Name": "one more"}))
    again = await (await stage.press(answer, EDIT_AGAIN)).modal()
    assert values_of(again) == {"name": "one more"}


async def test_a_form_of_own_defaults_reopens_from_the_panel(stage: Stage) -> None:
    panel = await stage.answer("preferences")
    form = await (await stage.press(panel, "Size, steps, CFG…")).modal()
    fields = {field["custom_id"].partition(":")[0]: label for label, field in form.inputs()}
    refused = await (
        await stage.discord.submit(stage.alice, form, {fields["steps"]: "many", fields["count"]: "2"})
    ).response()
    assert "Nothing was saved." in refused.text and has_button(refused)
    await stage.database.preferences.change_defaults(stage.alice.id, {"count": 3})
    again = await (await stage.press(refused, EDIT_AGAIN)).modal()
    assert values_of(again)["steps"] == "many" and values_of(again)["count"] == "2"
    saved = await (await stage.discord.submit(stage.alice, again, {fields["steps"]: "9"})).response()
    assert "Saved." in saved.text and not has_button(saved)
    assert await stage.database.preferences.defaults(stage.alice.id) == {"steps": 9, "count": 2}


async def test_a_draft_opens_only_for_its_user(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    modal = await (await stage.press(message, "Edit…")).modal()
    answer = await refusal(stage, await stage.discord.submit(stage.alice, modal, {"Prompt": "secret", SETTINGS: "x"}))
    [button] = [part for part in answer.inputs() if part.get("label") == EDIT_AGAIN]
    forged = await stage.press_forged(message, button["custom_id"], stage.bob)
    assert (await forged.response()).text == NO_DRAFT


async def test_a_deleted_draft_is_explained(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    modal = await (await stage.press(message, "Edit…")).modal()
    answers = [
        await refusal(stage, await stage.discord.submit(stage.alice, modal, {SETTINGS: "x"}))
        for _ in range(MAX_DRAFTS + 1)
    ]
    assert (await (await stage.press(answers[0], EDIT_AGAIN)).response()).text == NO_DRAFT
    await (await stage.press(answers[-1], EDIT_AGAIN)).modal()
    await stage.database.privacy.erase(stage.alice.id)
    assert (await (await stage.press(answers[-1], EDIT_AGAIN)).response()).text == NO_DRAFT


async def test_a_refused_comparison_reopens_with_all_of_its_options(stage: Stage) -> None:
    sent = await stage.slash(
        "compare", prompt="1girl", columns="cfg", column_values="high, low", seed="7", private=True, steps=3
    )
    answer = await refusal(stage, sent)
    assert "“high” can't be used" in answer.text
    await stage.restart()
    form = await (await stage.press(answer, EDIT_AGAIN)).modal()
    shown = values_of(form)
    assert shown["prompt"] == "1girl"
    assert set(shown["options"].splitlines()) == {
        *("columns: cfg", "column_values: high, low", "seed: 7", "private: true", "steps: 3")
    }
    wrong = await refusal(stage, await stage.discord.submit(stage.alice, form, {"Options": "columns cfg"}))
    assert "“columns cfg”" in wrong.text
    form = await (await stage.press(wrong, EDIT_AGAIN)).modal()
    for text, mistake in (("columns: hats", "hats"), ("columns: cfg\nsteps: many", "many"), ("raw: yes", "yes")):
        wrong = await refusal(stage, await stage.discord.submit(stage.alice, form, {"Options": text}))
        assert mistake in wrong.text
    sent = await stage.discord.submit(
        stage.alice, form, {"Options": "columns: cfg\ncolumn_values: 2, 3\nseed: 7\nsteps: 3\nprivate: true"}
    )
    await sent.acknowledged()
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    await stage.in_state(job.id, JobState.DELIVERED)
    assert (job.kind, job.prompt, job.private) == ("compare", "1girl", True)
    assert [(request.cfg_scale, request.seed, request.steps) for request in stage.engine.requests] == [
        (2.0, 7, 3),
        (3.0, 7, 3),
    ]


async def test_a_comparison_that_is_not_allowed_reopens_too(stage: Stage) -> None:
    sent = await stage.slash("compare", prompt="1girl, nsfw", columns="sampler")
    answer = await refusal(stage, sent)
    assert "isn't allowed in this channel" in answer.text
    assert values_of(await (await stage.press(answer, EDIT_AGAIN)).modal())["prompt"] == "1girl, nsfw"
