"""The menus of a message: how an attached picture was made, and cancelling what one waits for."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image, PngImagePlugin

from bot.commands.context_menus import NO_JOB
from bot.components.cancel import CANCELLED, ENDED_ALREADY
from bot.generation.spec import JobSpec
from bot.messages import attachments
from bot.messages.attachments import GONE, NOTHING_ATTACHED, TELLS_NOTHING, TOO_LARGE, UNREADABLE
from bot.messages.fit import length
from bot.sandbox import Message, Upload
from storage.schema import JobState
from tests.bot.harness import Stage

A1111 = "{prompt}\nNegative prompt: {negative}\nSteps: 28, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x768"


GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "any.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "1girl, hat", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad hands", "clip": ["1", 1]}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "5": {
        "class_type": "KSampler",
        "inputs": {"seed": 42, "steps": 28, "cfg": 7, "sampler_name": "euler_ancestral", "scheduler": "karras"}
        | {"denoise": 1, "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]},
    },
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "ComfyUI"}},
}
NOVELAI = {"prompt": "1girl, hat", "uc": "bad hands", "steps": 28, "scale": 7, "seed": 42, "width": 512, "height": 768}
NOVELAI |= {"sampler": "k_euler_ancestral", "noise_schedule": "karras", "request_type": "PromptGenerateRequest"}


def png(**texts_of_file: str) -> bytes:
    texts = PngImagePlugin.PngInfo()
    for name, text in texts_of_file.items():
        texts.add_text(name, text)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=texts)
    return file.getvalue()


async def parameters(stage: Stage, message: Message) -> Message:
    return await (await stage.discord.menu(stage.bob, message, "Anima: parameters")).response()


async def posted(stage: Stage, *files: Upload) -> Message:
    return await stage.discord.say(stage.alice, stage.general, "look", files)


async def test_our_own_images_parameters_are_shown_privately(stage: Stage) -> None:
    job, message = await stage.draw("1girl, smile")
    told = await parameters(stage, message)
    assert told.is_ephemeral and told.visible_to == stage.bob
    assert "1girl, smile" in told.text
    assert f"seed {JobSpec.of(job).recipes[0].seed}" in told.text


async def test_other_programs_metadata_is_read_and_escaped(stage: Stage) -> None:
    mention = f"<@{stage.alice.id}>"
    written = A1111.format(prompt=f"1girl, **bold** @everyone {mention}", negative="bad hands")
    message = await posted(stage, Upload("theirs.png", png(parameters=written)), Upload("plain.png", png()))
    told = await parameters(stage, message)
    assert "bad hands" in told.text and "seed 42" in told.text and "steps 28" in told.text
    assert "**bold**" not in told.text and "@everyone" not in told.text and mention not in told.text
    assert TELLS_NOTHING in told.text
    assert not told.mentions.users and not told.mentions.everyone


async def test_everything_that_a_file_leaves_out_is_shown(stage: Stage) -> None:
    written = A1111.format(prompt="1girl <hypernet:one:1> <hypernet:two:1>", negative="bad hands")
    told = await parameters(stage, await posted(stage, Upload("theirs.png", png(parameters=written))))
    assert "hypernet:one:1" in told.text and "hypernet:two:1" in told.text


@pytest.mark.parametrize(
    "texts",
    [
        {"parameters": A1111.format(prompt="1girl, hat", negative="bad hands")},
        {"prompt": json.dumps(GRAPH)},
        {"Software": "NovelAI", "Source": "NovelAI Diffusion V4", "Comment": json.dumps(NOVELAI)},
    ],
    ids=["A1111", "ComfyUI", "NovelAI"],
)
async def test_pictures_of_other_programs_tell_how_they_were_made(stage: Stage, texts: dict[str, str]) -> None:
    told = await parameters(stage, await posted(stage, Upload("theirs.png", png(**texts))))
    for part in ("1girl, hat", "bad hands", "512x768", "seed 42", "steps 28", "euler_a"):
        assert part in told.text.replace("\\", "")


@pytest.mark.parametrize("tag", ["**, ", "\N{CAT}, "])
async def test_a_prompt_too_long_to_be_shown_comes_whole_in_a_file(stage: Stage, tag: str) -> None:
    prompt = tag * 1500 + "the end"
    message = await posted(stage, Upload("long.png", png(parameters=A1111.format(prompt=prompt, negative="n" * 3000))))
    told = await parameters(stage, message)
    assert length(told.text) <= 2000
    [file] = told.attachments
    assert file.filename == "parameters.txt"
    assert prompt in file.data.decode() and "n" * 3000 in file.data.decode()


async def test_a_prompt_is_cut_by_what_discord_counts_where_a_letter_counts_twice(stage: Stage) -> None:
    prompt = "\N{CAT}" * 1500
    message = await posted(stage, Upload("cats.png", png(parameters=A1111.format(prompt=prompt, negative=""))))
    told = await parameters(stage, message)
    assert "\N{CAT}" in told.text and length(told.text) <= 2000
    [file] = told.attachments
    assert prompt in file.data.decode()


async def test_several_pictures_with_much_to_say_fit_into_one_answer(stage: Stage) -> None:
    files = [
        Upload(f"{n}.png", png(parameters=A1111.format(prompt=f"{n} " * 900, negative="*" * 900))) for n in range(6)
    ]
    told = await parameters(stage, await posted(stage, *files))
    assert len(told.text) <= 2000
    assert len(told.attachments) == 1


async def test_unreadable_and_oversized_files_are_explained(stage: Stage, monkeypatch) -> None:
    assert (await parameters(stage, await posted(stage))).text == NOTHING_ATTACHED
    assert (await parameters(stage, await posted(stage, Upload("notes.txt", b"1girl")))).text == NOTHING_ATTACHED
    assert UNREADABLE in (await parameters(stage, await posted(stage, Upload("broken.png", b"\x89PNG\r\n\x1a\n")))).text
    monkeypatch.setattr(attachments, "MAX_FETCHED_SIZE", 10)
    assert TOO_LARGE.format(limit=0) in (await parameters(stage, await posted(stage, Upload("large.png", png())))).text


async def test_a_file_missing_from_discord_is_explained(stage: Stage) -> None:
    message = await posted(stage, Upload("lost.png", png()))
    stage.discord.cdn._files.clear()
    assert GONE in (await parameters(stage, message)).text


async def test_addresses_outside_of_discord_are_never_opened(stage: Stage) -> None:
    message = await posted(stage, Upload("theirs.png", png(parameters=A1111.format(prompt="x", negative="y"))))
    stage.discord.cdn.base = stage.discord.cdn.base.replace("127.0.0.1", "localhost")
    assert (await parameters(stage, message)).text == NOTHING_ATTACHED


async def test_ones_own_job_is_cancelled_from_its_message(stage: Stage) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    message = await stage.discord.wait_for_message(stage.general, lambda message: message.id == job.message_id)
    answer = await (await stage.discord.menu(stage.alice, message, "Anima: cancel")).response()
    assert answer.is_ephemeral and answer.text == CANCELLED
    assert (await stage.database.jobs.get(job.id)).state is JobState.CANCELLED


async def test_finished_images_and_other_messages_cannot_be_cancelled(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    assert (await (await stage.discord.menu(stage.alice, message, "Anima: cancel")).response()).text == ENDED_ALREADY
    other = await posted(stage)
    assert (await (await stage.discord.menu(stage.alice, other, "Anima: cancel")).response()).text == NO_JOB
    assert stage.discord.messages.get(message.id).attachments


async def test_a_file_with_a_prompt_alone_shows_no_more_than_that(stage: Stage) -> None:
    message = await posted(stage, Upload("prompt.png", png(parameters="1girl, smile")))
    told = await parameters(stage, message)
    assert told.text.splitlines() == ["**prompt.png**", "> 1girl, smile", "-# size 8x8"]
