"""`/anima compare`, from the command to the grid, and what can be done with each of its pictures."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot.components.upscale import DRAW_ALONE_FIRST
from bot.generation.spec import JobSpec
from bot.messages.buttons import action_row
from bot.messages.layout import StaticLayout
from bot.prompting import expand
from bot.rules.policy import SENTENCES, RefusalReason
from bot.sandbox import Channel, Message, User
from inference.metadata import read
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import Stage, until

PROMPT = "1girl, red hair, smile"
SAMPLERS = ["er_sde", "euler_a", "dpmpp_2m_sde_gpu"]


async def compare(stage: Stage, user: User | None = None, where: Channel | None = None, **options: Any) -> Job:
    """Up to the delivered grid."""
    interaction = await stage.slash("compare", user, where, **{"prompt": PROMPT, **options})
    return await delivered(stage, interaction)


async def delivered(stage: Stage, interaction: Any) -> Job:
    job = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    return await stage.in_state(job.id, JobState.DELIVERED)


def message_of(stage: Stage, job: Job) -> Message:
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    return message


async def picked(stage: Stage, job: Job, label: str, user: User | None = None) -> Message:
    chosen = await stage.discord.choose(
        user or stage.alice, message_of(stage, job), re.compile("anima:pick:.*"), [label]
    )
    return await chosen.response()


def labels(message: Message) -> list[str]:
    return [button["label"] for button in message.inputs() if button["type"] == 2]


async def refused(stage: Stage, **options: Any) -> str:
    """What is said, to the person alone, where nothing is drawn."""
    interaction = await stage.slash("compare", **{"prompt": PROMPT, **options})
    answer = await interaction.followup()
    assert answer.is_ephemeral
    assert await stage.database.jobs.by_interaction(interaction.id) is None
    assert not stage.engine.requests
    return answer.text


async def set_limits(stage: Stage, **limits: Any) -> None:
    await stage.database.servers.change(stage.general.guild.id, {"limits": limits}, by=1)


async def test_one_axis_becomes_one_labelled_picture_in_one_message(stage: Stage) -> None:
    job = await compare(stage, columns="sampler", seed="7")
    assert [request.sampler for request in stage.engine.requests] == SAMPLERS
    assert len({replace(request, sampler="") for request in stage.engine.requests}) == 1
    assert stage.engine.requests[0].seed == 7
    message = message_of(stage, job)
    [file] = message.attachments
    image = Image.open(io.BytesIO(file.data))
    assert image.width > 3 * 256 and image.format == "PNG"
    about = read(file.data)
    assert about is not None and (about.seed, about.sampler, about.scheduler) == (7, None, "simple")
    assert ("X Values", ", ".join(SAMPLERS)) in about.extra
    assert "sampler compared · 64x64, 4 steps, CFG 4, simple · seed 7" in message.text
    assert job.kind == "compare" and job.cost == pytest.approx(3)
    [picture] = await stage.database.images.of_job(job.id)
    assert (picture.index, picture.seed, (picture.width, picture.height)) == (0, 7, image.size)


async def test_two_axes_are_drawn_row_by_row(stage: Stage) -> None:
    await compare(stage, columns="cfg", column_values="1, 4", rows="steps", row_values="2, 3, 4")
    drawn = [(request.cfg_scale, request.steps) for request in stage.engine.requests]
    assert drawn == [(1, 2), (4, 2), (1, 3), (4, 3), (1, 4), (4, 4)]


async def test_weights_and_strengths_of_a_lora_are_varied(stage: Stage) -> None:
    (stage.models / "loras" / "style.safetensors").write_bytes(b"")
    options = {"columns": "weight", "words": "red hair", "rows": "lora strength", "lora": "style", "row_values": "0, 1"}
    job = await compare(stage, **options, raw=True)
    prompts = [f"safe, 1girl, (red hair:{weight}), smile" for weight in ("0.5", "1", "1.5")]
    expected = [(prompt, loras) for loras in ((), (("style", 1.0),)) for prompt in prompts]
    assert [(request.prompt, request.loras) for request in stage.engine.requests] == expected
    message = message_of(stage, job)
    assert "weight of “red hair” and strength of style compared" in message.text
    about = read(message.attachments[0].data)
    assert about is not None and ("X Type", "weight of “red hair”") in about.extra, "in the grid's own language"


REFUSALS = {
    "an unknown sampler": ({"columns": "sampler", "column_values": "er_sde, plms"}, "dpmpp_2m_sde_gpu"),
    "words that are not there": ({"columns": "weight", "words": "hat"}, "“hat” isn't in the prompt"),
    "a lora that is not there": ({"columns": "lora strength", "lora": "none"}, "There is no LoRA called “none”"),
    "the same twice": ({"columns": "cfg", "rows": "cfg"}, "both change CFG"),
    "a wrong seed": ({"columns": "cfg", "seed": "seven"}, "The seed must be a whole number"),
    "an unknown aspect": ({"columns": "cfg", "aspect": "wide"}, "I don't understand that aspect"),
    "more than the server allows": (
        {"columns": "cfg", "column_values": ",".join(map(str, range(1, 14)))},
        "13 pictures at once is too many. The limit here is 12.",
    ),
    "more than anybody may": ({"columns": "steps", "column_values": ",".join(map(str, range(1, 80)))}, "79 pictures"),
    "what no channel may have": ({"columns": "cfg", "prompt": "1girl, nude"}, "nude"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_mistakes_are_explained_privately_and_nothing_is_drawn(stage: Stage, case: str) -> None:
    options, sentence = REFUSALS[case]
    assert sentence in await refused(stage, **options)


async def test_a_refused_comparison_says_that_comparing_is_switched_off(stage: Stage) -> None:
    await set_limits(stage, compared=0)
    assert await refused(stage, columns="cfg") == SENTENCES[RefusalReason.COMPARING]
    await stage.draw("1girl")


async def test_every_cell_is_bound_by_the_servers_limits(stage: Stage) -> None:
    await set_limits(stage, steps=10)
    assert "12 steps is too many" in await refused(stage, columns="steps", column_values="5, 12")


async def test_a_cell_is_picked_by_its_label_and_drawn_alone_as_it_was(stage: Stage) -> None:
    job = await compare(stage, columns="sampler", rows="cfg", row_values="2, 6", seed="9", artist="nnn yryr")
    cells = list(stage.engine.requests)
    shown = await picked(stage, job, "CFG 6, euler_a")
    assert shown.is_ephemeral and not shown.attachments
    assert "CFG 6, euler_a" in shown.text and "64x64, 4 steps" in shown.text
    assert labels(shown) == ["Draw this one", "Vary (subtle)", "Vary (strong)", "Edit…", "Info"]
    alone = await delivered(stage, await stage.press(shown, "Draw this one"))
    assert stage.engine.requests[len(cells) :] == [cells[4]]
    assert alone.kind == "alone"
    message = message_of(stage, alone)
    assert f"[from a comparison]({link(stage, job)})" in message.text
    assert "Upscale" in labels(message)


async def test_a_cell_can_be_varied_and_edited(stage: Stage) -> None:
    job = await compare(stage, columns="weight", words="red hair", prompt="{1girl|1boy}, red hair", seed="9")
    cell = stage.engine.requests[2]
    shown = await picked(stage, job, "weight 1.5")
    await delivered(stage, await stage.press(shown, "Vary (subtle)"))
    varied = stage.engine.requests[3]
    assert varied.variation_strength == 0.2
    assert replace(varied, variation_seed=None, variation_strength=0.0) == cell
    form = await (await stage.press(shown, "Edit…")).modal()
    await delivered(stage, await stage.discord.submit(stage.alice, form))
    assert stage.engine.requests[4] == cell


async def test_info_names_the_cell_and_its_settings(stage: Stage) -> None:
    job = await compare(stage, columns="sampler")
    shown = await picked(stage, job, "euler_a")
    told = await stage.turned(shown, "Info")
    assert "**euler\\_a** · sampler compared" in told.text and "**Sampler** `euler_a`" in told.text


async def test_a_cell_is_not_made_larger_before_it_is_drawn_alone(stage: Stage) -> None:
    job = await compare(stage, columns="sampler")
    count = len(stage.engine.requests)
    channel: Any = stage.client.get_channel(stage.general.id)
    sent = await channel.send(view=StaticLayout(action_row(("upscale",), job.id, 1)))
    message = await stage.discord.wait_for_message(stage.general, lambda message: message.id == sent.id)
    answer = await (await stage.press(message, "Upscale")).followup()
    assert answer.is_ephemeral and answer.text == DRAW_ALONE_FIRST
    assert len(stage.engine.requests) == count


async def test_a_rerolled_comparison_is_the_same_with_another_seed(stage: Stage) -> None:
    job = await compare(stage, columns="weight", words="red hair", rows="sampler", row_values="heun, lcm", seed="9")
    first = list(stage.engine.requests)
    again = await delivered(stage, await stage.press(message_of(stage, job), "Re-roll"))
    second = stage.engine.requests[len(first) :]
    assert [replace(request, seed=0) for request in second] == [replace(request, seed=0) for request in first]
    assert len({request.seed for request in second}) == 1 and second[0].seed != 9
    assert again.prompt == PROMPT and JobSpec.of(again).comparison == JobSpec.of(job).comparison
    assert len(message_of(stage, again).attachments) == 1


async def test_a_rerolled_comparison_whose_wildcards_lose_the_words_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "{red|blue} hair"
    red, blue = (next(seed for seed in range(99) if expand(prompt, seed) == f"{hair} hair") for hair in ("red", "blue"))
    job = await compare(stage, columns="weight", words="red", prompt=prompt, seed=str(red))
    monkeypatch.setattr("bot.generation.recipe.new_seed", lambda: blue)
    answer = await (await stage.press(message_of(stage, job), "Re-roll")).followup()
    assert answer.is_ephemeral and "“red” isn't in the prompt" in answer.text
    assert len(stage.engine.requests) == 3


async def test_a_private_comparison_is_seen_by_who_asked_alone(stage: Stage) -> None:
    interaction = await stage.slash("compare", prompt=PROMPT, columns="sampler", private=True)
    job = await delivered(stage, interaction)
    assert job.private
    message = await interaction.response()
    assert message.is_ephemeral and message.visible_to == stage.alice and len(message.attachments) == 1
    chosen = await stage.discord.choose(stage.alice, message, re.compile("anima:pick:.*"), ["euler_a"])
    shown = await chosen.response()
    alone = await delivered(stage, await stage.press(shown, "Draw this one"))
    assert alone.private and stage.engine.requests[3] == stage.engine.requests[1]


async def test_others_may_pick_from_a_comparison_too_and_edit_what_they_picked(stage: Stage) -> None:
    job = await compare(stage, columns="sampler")
    shown = await picked(stage, job, "euler_a", stage.bob)
    alone = await delivered(stage, await stage.press(shown, "Draw this one", stage.bob))
    assert alone.user_id == stage.bob.id and stage.engine.requests[3] == stage.engine.requests[1]
    modal = await (await stage.press(shown, "Edit…", stage.bob)).modal()
    edit = await delivered(stage, await stage.discord.submit(stage.bob, modal, {"Prompt": "1boy"}))
    assert (edit.user_id, edit.prompt, stage.engine.requests[-1].sampler) == (stage.bob.id, "1boy", "euler_a")


async def test_a_comparison_continues_after_a_restart(stage: Stage) -> None:
    stage.engine.hold()
    interaction = await stage.slash("compare", prompt=PROMPT, columns="sampler")
    job = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    await stage.in_state(job.id, JobState.RUNNING)
    stage.engine.let_go()
    await stage.restart()
    job = await stage.in_state(job.id, JobState.DELIVERED)
    assert len(message_of(stage, job).attachments) == 1


async def test_values_are_completed_for_the_axis_that_was_chosen(stage: Stage) -> None:
    async def offered(option: str, typed: str, **options: str) -> list[str]:
        others = {"prompt": PROMPT, **options}
        found = await stage.discord.autocomplete(
            stage.alice, stage.general, "anima compare", option, typed, options=others
        )
        return [str(choice.value) for choice in found]

    found = await offered("column_values", "heun, eul", columns="sampler")
    assert found[:2] == ["heun, euler_a", "heun, euler"] and "heun, euler_cfg_pp" in found
    assert (await offered("row_values", "", columns="sampler", rows="scheduler"))[0] == "simple, beta57, normal"
    assert await offered("column_values", "", columns="cfg") == ["2, 4, 6"]
    assert await offered("row_values", "e", columns="sampler") == []


def link(stage: Stage, job: Job) -> str:
    return f"https://discord.com/channels/{job.guild_id}/{job.channel_id}/{job.message_id}"
