"""`/anima imagine`: what each option does to the picture, what completes it, what is refused and who sees it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.generation.spec import JobSpec
from bot.messages import attachments
from bot.rules.server_settings import ServerDefaults, ServerLimits, ServerSettings
from bot.sandbox import FakeDiscord, Upload
from inference.request import TurboLora
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import Stage, until


def png(width: int = 64, height: int = 48, colour: str = "teal") -> Upload:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return Upload("cat.png", buffer.getvalue())


async def refusal(stage: Stage, **options: Any) -> str:
    """What the person alone is told."""
    interaction = await stage.slash("imagine", **{"prompt": "1girl", **options})
    told = await interaction.followup()
    assert told.is_ephemeral
    assert stage.engine.requests == []
    return told.text


async def test_every_option_reaches_the_engine(stage: Stage) -> None:
    for name in ("ink", "chibi", "lineart"):
        (stage.models / "loras" / f"{name}.safetensors").touch()
    await stage.draw(
        "1girl, smile",
        negative="hat",
        tags="red hair, hat,",
        aspect="65x100",
        steps=7,
        cfg=5.5,
        sampler="euler_a",
        scheduler="beta57",
        seed="18446744073709551615",
        lora="ink:0.7",
        lora2="chibi",
        lora3="lineart:-1.5",
        artist="nnn yryr",
    )
    [request] = stage.engine.requests
    assert (request.width, request.height) == (64, 96)
    assert (request.steps, request.cfg_scale) == (7, 5.5)
    assert (request.sampler, request.scheduler, request.seed) == ("euler_a", "beta57", 2**64 - 1)
    assert request.loras == (("ink", 0.7), ("chibi", 1.0), ("lineart", -1.5))
    assert request.prompt.endswith("smile, red hair, hat")
    assert "@nnn yryr" in request.prompt and "hat" in request.negative_prompt


async def test_omitted_options_come_from_the_server_and_the_model(stage: Stage) -> None:
    await stage.draw("1girl")
    [request] = stage.engine.requests
    assert (request.width, request.height, request.steps, request.cfg_scale) == (64, 64, 4, 4.0)
    assert request.prompt == "masterpiece, best quality, score_7, safe, 1girl"
    assert "worst quality" in request.negative_prompt and "nsfw" in request.negative_prompt


async def test_the_command_wins_over_the_person_and_the_person_over_the_server(stage: Stage) -> None:
    settings = ServerSettings(defaults=ServerDefaults(steps=10, cfg_scale=3.0, sampler="lcm"))
    changes = ServerSettings().changes_to(settings)
    await stage.database.servers.change(stage.general.guild.id, changes, by=stage.bob.id)
    await stage.database.preferences.change_defaults(stage.alice.id, {"steps": 20, "cfg_scale": 2.0})
    await stage.draw("1girl", steps=30)
    [request] = stage.engine.requests
    assert (request.steps, request.cfg_scale, request.sampler) == (30, 2.0, "lcm")


async def test_a_preset_wins_over_the_users_defaults_and_loses_to_the_command(stage: Stage) -> None:
    await stage.database.preferences.change_defaults(stage.alice.id, {"steps": 20, "cfg_scale": 2.0})
    await stage.database.preferences.save_preset(stage.alice.id, "Ink", {"steps": 12, "sampler": "euler"})
    await stage.draw("1girl", preset="Ink", sampler="heun")
    [request] = stage.engine.requests
    assert (request.steps, request.cfg_scale, request.sampler) == (12, 2.0, "heun")
    assert [choice.name for choice in await completed(stage, "preset", "in")] == ["Ink"]


async def test_raw_adds_nothing_but_what_keeps_the_channel_safe(stage: Stage) -> None:
    await stage.draw("1girl", raw=True)
    await stage.draw("1girl", raw=True, where=stage.discord.world.after_dark)
    general, after_dark = stage.engine.requests
    assert (general.prompt, general.negative_prompt) == ("safe, 1girl", "nsfw, explicit")
    assert (after_dark.prompt, after_dark.negative_prompt) == ("1girl", "")


async def test_each_picture_chooses_its_own_wildcards_by_its_seed(stage: Stage) -> None:
    words = ["red", "blue", "green", "pink", "black", "white", "brown", "grey"]
    job, message = await stage.draw("{" + "|".join(words) + "} hair", count=4, seed="1")
    assert [request.seed for request in stage.engine.requests] == [1, 2, 3, 4]
    assert len({request.prompt for request in stage.engine.requests}) > 1
    assert len(message.attachments) == 4
    pictures = await stage.database.images.of_job(job.id)
    assert [picture.prompt for picture in pictures] == [request.prompt for request in stage.engine.requests]


async def test_a_picture_is_drawn_from_a_picture(stage: Stage) -> None:
    job, _ = await stage.draw("1girl", image=png(colour="teal"), denoise=0.4)
    [request] = stage.engine.requests
    assert request.denoise == 0.4
    assert (request.width, request.height) == (80, 64), "the nearest to its shape"
    assert request.image.size == (64, 48) and request.image.getpixel((5, 5)) == (0, 128, 128)
    assert await stage.database.source_images.of_job(job.id) is not None


async def test_a_picture_is_cropped_only_for_an_explicit_size_and_a_note_says_so(stage: Stage) -> None:
    await stage.database.preferences.change_defaults(stage.alice.id, {"size": [64, 64]})
    await stage.draw("1girl", image=png(64, 96))
    interaction = await stage.slash("imagine", prompt="1girl", image=png(64, 96), aspect="64x64")
    assert "Your picture is cropped to 64x64" in (await interaction.followup()).text
    await until(lambda: asyncio.sleep(0, len(stage.engine.requests) == 2))
    uncropped, cropped = stage.engine.requests
    assert uncropped.width / uncropped.height == 2 / 3
    assert (cropped.width, cropped.height) == (64, 64)


async def test_a_pictures_shape_keeps_to_the_servers_limits(stage: Stage) -> None:
    changes = ServerSettings().changes_to(ServerSettings(limits=ServerLimits(side=64)))
    await stage.database.servers.change(stage.general.guild.id, changes, by=stage.bob.id)
    await stage.draw("1girl", image=png(96, 64))
    [request] = stage.engine.requests
    assert request.width == 64


async def test_an_unreadable_source_is_refused_with_an_explanation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "can't read that file as a picture" in await refusal(stage, image=Upload("cat.png", b"not a picture"))
    monkeypatch.setattr(attachments, "MAX_FETCHED_SIZE", 1 << 20)
    assert "too large" in await refusal(stage, image=Upload("cat.png", bytes(2 << 20)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": "twelve"}, "The seed must be a whole number"),
        ({"seed": "18446744073709551616"}, "The seed must be a whole number"),
        ({"lora": "../../secret"}, "no LoRA called"),
        ({"speed": "turbo"}, "no turbo LoRA"),
        ({"aspect": "wide"}, "I don't understand that aspect"),
        ({"preset": "mine"}, "no preset called"),
        ({"aspect": "4096x4096"}, "too large"),
        ({"steps": 999}, "too many"),
        ({"prompt": "1girl, nsfw"}, "isn't allowed in this channel"),
        ({"negative": "(loli, nude:-1)"}, "is never allowed"),
        ({"artist": "l o l i", "prompt": "nude"}, "is never allowed"),
    ],
)
async def test_invalid_options_are_explained_privately_and_not_charged(
    stage: Stage, options: dict[str, Any], sentence: str
) -> None:
    assert sentence in await refusal(stage, **options)
    assert stage.discord.messages_in(stage.general, stage.bob) == []


@pytest.fixture
async def turbo_stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    stage.engine.turbo = TurboLora("turbo", steps=8, cfg_scale=1.0)
    await stage.start()
    yield stage
    await stage.stop()


async def test_turbo_takes_its_lora_steps_and_cfg_unless_the_command_says_otherwise(turbo_stage: Stage) -> None:
    await turbo_stage.draw("1girl", speed="turbo")
    await turbo_stage.draw("1girl", speed="turbo", steps=5)
    await turbo_stage.draw("1girl")
    quick, quicker, usual = turbo_stage.engine.requests
    assert (quick.steps, quick.cfg_scale, quick.loras) == (8, 1.0, (("turbo", 1.0),))
    assert (quicker.steps, quicker.cfg_scale) == (5, 1.0)
    assert (usual.steps, usual.cfg_scale, usual.loras) == (4, 4.0, ())


async def completed(stage: Stage, option: str, typed: str) -> Any:
    filled = {} if option == "prompt" else {"prompt": "1girl"}
    return await stage.discord.autocomplete(stage.alice, stage.general, "anima imagine", option, typed, filled)


async def test_tags_artists_aspects_and_loras_are_completed(stage: Stage) -> None:
    (stage.models / "loras" / "styles").mkdir()
    (stage.models / "loras" / "styles" / "ink.safetensors").touch()
    assert any(choice.value.startswith("1girl, blue ") for choice in await completed(stage, "prompt", "1girl, blu"))
    assert all(choice.value.startswith("@") for choice in await completed(stage, "artist", ""))
    assert [choice.value for choice in await completed(stage, "aspect", "")] == ["64x64"]
    assert [choice.value for choice in await completed(stage, "lora", "INK")] == ["styles/ink"]
    (stage.models / "loras" / "styles" / "ink.safetensors").unlink()
    assert await completed(stage, "lora", "ink") == []


async def test_private_is_seen_by_the_asker_alone(stage: Stage) -> None:
    job = await stage.in_state((await stage.ask("1girl", private=True)).id, JobState.DELIVERED)
    [message] = [stage.discord.messages.get(job.message_id)]
    assert message.is_ephemeral and message.attachments
    assert stage.discord.messages_in(stage.general, stage.bob) == []


async def test_a_private_default_needs_no_option(stage: Stage) -> None:
    await stage.database.preferences.change_defaults(stage.alice.id, {"private": True})
    assert (await stage.ask("1girl")).private
    assert not (await stage.ask("1girl", private=False)).private


async def test_a_spoiler_is_hidden_in_every_state(stage: Stage) -> None:
    job, message = await stage.draw("1girl", spoiler=True)
    assert job.spoiler and all(attachment.is_spoiler for attachment in message.attachments)


async def test_user_installs_work_and_speak_japanese(stage: Stage) -> None:
    world = stage.discord.world
    job, message = await stage.draw("1girl", world.carol, world.lounge)
    assert message.attachments and job.locale == "ja"
    in_private = stage.discord.dm(stage.alice)
    _, message = await stage.draw("1girl", where=in_private)
    assert message.attachments


async def test_nothing_typed_becomes_a_mention_or_markdown(stage: Stage) -> None:
    job, message = await stage.draw("@everyone **bold** <@1> # big\n```code``` [link](https://example.com)")
    assert not message.mentions.everyone and message.mentions.users == (stage.alice,)
    assert "@everyone" not in message.text
    assert r"\*\*bold\*\*" in message.text and r"\[link]" in message.text and r"\`\`\`" in message.text
    assert JobSpec.of(job).recipes[0].prompt.endswith("[link](https://example.com)")


async def test_two_commands_at_once_are_two_jobs(stage: Stage) -> None:
    first, second = await stage.slash("imagine", prompt="one"), await stage.slash("imagine", prompt="two")

    async def both() -> list[Job] | None:
        jobs = [await stage.database.jobs.by_interaction(each.id) for each in (first, second)]
        found = [job for job in jobs if job is not None and job.state is JobState.DELIVERED]
        return found if len(found) == 2 else None

    assert {job.prompt for job in await until(both)} == {"one", "two"}


async def test_a_command_while_the_model_loads_waits_for_it(loading_stage: Stage) -> None:
    interaction = await loading_stage.slash("imagine", prompt="1girl")
    await interaction.acknowledged()
    assert await loading_stage.database.jobs.by_interaction(interaction.id) is None
    loading_stage.engine.loaded.set()
    job = await until(lambda: loading_stage.database.jobs.by_interaction(interaction.id))
    await loading_stage.in_state(job.id, JobState.DELIVERED)


@pytest.mark.parametrize(
    ("option", "typed", "first"),
    [
        ("sampler", "", "er_sde"),
        ("sampler", "2m sde", "dpmpp_2m_sde_gpu"),
        ("sampler", "uni", "uni_pc"),
        ("scheduler", "beta5", "beta57"),
    ],
)
async def test_samplers_and_schedulers_are_offered_while_typing(
    stage: Stage, option: str, typed: str, first: str
) -> None:
    others = {"prompt": "1girl"}
    found = await stage.discord.autocomplete(stage.alice, stage.general, "anima imagine", option, typed, options=others)
    assert found[0].value == first


async def test_a_typed_sampler_is_taken_and_an_unknown_one_is_named_with_the_known_ones(stage: Stage) -> None:
    refused = await refusal(stage, sampler="plms")
    assert "There is no sampler called “plms”" in refused and "er_sde" in refused
    await stage.draw("1girl", sampler="UNI PC", scheduler="Beta57")
    assert (stage.engine.requests[0].sampler, stage.engine.requests[0].scheduler) == ("uni_pc", "beta57")


async def test_presets_of_earlier_releases_keep_their_settings(turbo_stage: Stage) -> None:
    for name in ("ink", "turbo"):
        (turbo_stage.models / "loras" / f"{name}.safetensors").touch()
    old = {"turbo": True, "size": [96, 64], "loras": [["ink", 0.5]], "spoiler": False}
    await turbo_stage.database.preferences.save_preset(turbo_stage.alice.id, "Old", old)
    await turbo_stage.draw("1girl", preset="Old")
    await turbo_stage.draw("1girl", preset="Old", speed="normal", aspect="６４ｘ64", lora="ink:1")  # noqa: RUF001
    quick, normal = turbo_stage.engine.requests
    assert (quick.width, quick.steps, quick.loras) == (96, 8, (("ink", 0.5), ("turbo", 1.0)))
    assert (normal.width, normal.steps, normal.loras) == (64, 4, (("ink", 1.0),))


async def test_speeds_are_compared_in_one_grid(turbo_stage: Stage) -> None:
    interaction = await turbo_stage.slash("compare", prompt="1girl", columns="speed")
    job = await until(lambda: turbo_stage.database.jobs.by_interaction(interaction.id))
    await turbo_stage.in_state(job.id, JobState.DELIVERED)
    drawn = [(request.steps, request.cfg_scale, request.loras) for request in turbo_stage.engine.requests]
    assert drawn == [(4, 4.0, ()), (8, 1.0, (("turbo", 1.0),))]


async def test_tags_are_completed_also_where_the_prompt_is_long(stage: Stage) -> None:
    others = {"prompt": "blue eyes, " + "a very long sentence, " * 50}
    found = await stage.discord.autocomplete(stage.alice, stage.general, "anima imagine", "tags", "hat, blue ", others)
    values = [choice.value for choice in found]
    assert values and all(value.startswith("hat, blue") for value in values) and "hat, blue eyes" not in values


async def test_an_out_of_range_setting_is_named_with_its_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.generation.typed.command.parse_seed", lambda typed: -5)
    answer = await (await stage.slash("imagine", prompt="1girl")).followup()
    assert answer.is_ephemeral and answer.text == "**Seed** must be 0 or more."
