"""The menu *Anima: draw again*: our own pictures just as they were, others as their files say they were made."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from bot.commands.generate.draw_again import STILL_BEING_DRAWN
from bot.components.images import NO_LONGER_SAVED
from bot.generation.compose import LORA_GONE
from bot.generation.from_metadata import NO_PROMPT
from bot.messages import attachments
from bot.messages.attachments import NOTHING_ATTACHED, TELLS_NOTHING, UNREADABLE
from bot.sandbox import Channel, InteractionHandle, Message, Upload, User
from bot.sandbox.model.interactions import COMMAND
from inference import GenerationRequest
from inference.metadata import Parameters, encode_png
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import Stage

A1111 = "{prompt}\nNegative prompt: {negative}\nSteps: 28, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 100x64"


def a1111(prompt: str, negative: str = "bad hands", settings: str = "") -> str:
    return A1111.format(prompt=prompt, negative=negative) + settings


def png(parameters: str | None = None, size: tuple[int, int] = (64, 64)) -> bytes:
    texts = PngImagePlugin.PngInfo()
    if parameters is not None:
        texts.add_text("parameters", parameters)
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "PNG", pnginfo=texts)
    return file.getvalue()


def jpeg_or_webp(kind: str, parameters: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + parameters.encode("utf-16-be")
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, kind, exif=exif)
    return file.getvalue()


def bomb(parameters: str) -> bytes:
    """A PNG of a few hundred bytes that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    text = b"parameters\0" + parameters.encode("latin-1")
    return b"\x89PNG\r\n\x1a\n" + b"".join((chunk(b"IHDR", header), chunk(b"tEXt", text), chunk(b"IEND", b"")))


async def asked(stage: Stage, message: Message, user: User | None = None) -> InteractionHandle:
    return await stage.discord.menu(user or stage.alice, message, "Anima: draw again")


async def draw_again(stage: Stage, message: Message, user: User | None = None) -> Job:
    """Up to the delivered picture."""
    interaction = await asked(stage, message, user)
    await interaction.response()
    job = await stage.database.jobs.by_interaction(interaction.id)
    assert job is not None
    return await stage.in_state(job.id, JobState.DELIVERED)


async def posted(stage: Stage, *files: Upload, where: Channel | None = None) -> Message:
    return await stage.discord.say(stage.bob, where or stage.general, "look", files)


async def replayed(stage: Stage, data: bytes, name: str = "theirs.png") -> GenerationRequest:
    job = await draw_again(stage, await posted(stage, Upload(name, data)))
    assert job.kind == "again" and job.user_id == stage.alice.id
    return stage.engine.requests[-1]


async def refused(stage: Stage, *files: Upload, where: Channel | None = None) -> str:
    """The one sentence that is told privately; the public answer is taken back."""
    message = await posted(stage, *files, where=where)
    told = await (await asked(stage, message)).followup()
    assert told.is_ephemeral and told.visible_to == stage.alice
    assert stage.discord.messages_in(message.channel, stage.bob) == [message]
    assert stage.engine.requests == []
    return told.text


async def configure(stage: Stage, **settings: Any) -> None:
    await stage.database.servers.change(stage.general.guild.id, settings, by=1)


def put_lora(stage: Stage, name: str) -> None:
    path = stage.models / "loras" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.touch()


# --- Our own ---


async def test_a_job_of_ours_is_drawn_again_just_as_it_was_by_whoever_asks(stage: Stage) -> None:
    put_lora(stage, "chibi")
    options = {"negative": "hat", "count": 3, "steps": 5, "sampler": "euler", "lora": "chibi", "artist": "nnn yryr"}
    job, message = await stage.draw("{red|blue} hair, 1girl", **options)
    first = list(stage.engine.requests)
    await configure(stage, defaults={"prefix": "newest, safe", "negative": "blurry"})
    await stage.database.preferences.change_defaults(stage.bob.id, {"turbo": True, "artist": "other", "cfg_scale": 2.0})
    once_more = await draw_again(stage, message, stage.bob)
    assert stage.engine.requests[3:] == first
    assert len({request.seed for request in first}) == 3
    assert (once_more.user_id, once_more.prompt, once_more.kind) == (stage.bob.id, job.prompt, "again")
    assert once_more.parent_picture_id is not None
    await draw_again(stage, stage.discord.messages.get(once_more.message_id) or message)
    assert stage.engine.requests[6:] == first


async def test_a_variation_is_drawn_again_with_both_of_its_seeds(stage: Stage) -> None:
    _, message = await stage.draw("1girl", count=1)
    varied = await (await stage.press_more(message, "Vary (subtle)")).response()
    job = await stage.database.jobs.by_message(varied.id)
    assert job is not None
    await stage.in_state(job.id, JobState.DELIVERED)
    await draw_again(stage, varied)
    _, variation, same = stage.engine.requests
    assert same == variation and same.variation_seed is not None


async def test_a_picture_drawn_from_another_one_starts_from_it_again(stage: Stage) -> None:
    _, message = await stage.draw("1girl", image=Upload("mine.png", png(size=(32, 32))), denoise=0.4)
    await draw_again(stage, message)
    first, same = stage.engine.requests
    assert same.image is not None and first.image is not None
    assert (same.denoise, same.image.tobytes()) == (0.4, first.image.tobytes())


async def test_a_private_job_is_for_its_owner_alone_and_stays_private(stage: Stage) -> None:
    _, message = await stage.draw("1girl", private=True)
    once_more = await draw_again(stage, message)
    assert once_more.private
    data = stage.discord.client.menu(stage.alice, stage.general, message, "Anima: draw again")
    forged = stage.discord.interactions.send(COMMAND, stage.bob, stage.general, data)
    told = await stage.discord._handle_of(forged).response()
    assert told.is_ephemeral and told.text == NO_LONGER_SAVED
    assert len(stage.engine.requests) == 2


async def test_a_running_job_cannot_be_drawn_again(stage: Stage) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    message = await stage.discord.wait_for_message(stage.general, lambda message: message.id == job.message_id)
    told = await (await asked(stage, message)).followup()
    assert told.is_ephemeral and told.text == STILL_BEING_DRAWN
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    assert len(stage.engine.requests) == 1


async def test_a_job_whose_lora_is_gone_is_not_drawn_without_it(stage: Stage) -> None:
    put_lora(stage, "chibi")
    _, message = await stage.draw("1girl", lora="chibi")
    (stage.models / "loras" / "chibi.safetensors").unlink()
    told = await (await asked(stage, message)).followup()
    assert told.text == LORA_GONE.format(name="chibi")
    assert len(stage.engine.requests) == 1


async def test_repeats_in_a_channel_no_longer_age_restricted_stay_safe(stage: Stage) -> None:
    _, message = await stage.draw("1girl, sensitive", where=stage.discord.world.after_dark)
    _, explicit = await stage.draw("1girl, nude", where=stage.discord.world.after_dark)
    assert "safe" not in stage.engine.requests[0].prompt
    await configure(stage, safety={"always_safe": True})
    await draw_again(stage, message)
    assert stage.engine.requests[-1].prompt == stage.engine.requests[0].prompt.replace("sensitive", "safe")
    assert stage.engine.requests[-1].negative_prompt.startswith("nsfw, explicit, ")
    told = await (await asked(stage, explicit)).followup()
    assert "“nude” isn't allowed" in told.text
    assert len(stage.engine.requests) == 3


async def test_a_job_without_its_prompt_is_drawn_from_its_file(stage: Stage) -> None:
    job, message = await stage.draw("1girl, smile", seed="77", sampler="heun")
    await stage.database.privacy.erase(stage.alice.id)
    once_more = await draw_again(stage, message, stage.bob)
    first, same = stage.engine.requests
    assert same == first and same.seed == 77
    assert once_more.parent_picture_id is None and once_more.id != job.id


# --- What other files say ---


async def test_a_file_is_drawn_with_its_own_settings_only(stage: Stage) -> None:
    await configure(stage, defaults={"scheduler": "karras", "turbo": True})
    own = {"negative": "hat", "artist": "nnn yryr", "count": 4, "steps": 3, "loras": [["chibi", 1.0]], "turbo": True}
    await stage.database.preferences.change_defaults(stage.alice.id, own)
    put_lora(stage, "chibi")
    request = await replayed(stage, png(a1111("1girl, {red|blue} \\(hair\\)")))
    assert request == GenerationRequest(
        prompt="safe, 1girl, {red|blue} \\(hair\\)",
        negative_prompt="nsfw, explicit, bad hands",
        width=96,
        height=64,
        steps=28,
        cfg_scale=7.0,
        sampler="euler_a",
        scheduler="karras",
        seed=42,
    )
    assert len(stage.engine.requests) == 1


async def test_our_own_format_is_drawn_exactly(stage: Stage) -> None:
    parameters = Parameters(
        prompt="1girl, safe, smile",
        negative_prompt="nsfw, explicit, hat",
        width=96,
        height=64,
        steps=7,
        cfg_scale=3.25,
        sampler="dpmpp_2m_sde_gpu",
        scheduler="beta57",
        seed=2**64 - 1,
        loras=(("style/chibi", 0.75),),
        model="anima",
        variation_seed=11,
        variation_strength=0.25,
    )
    put_lora(stage, "style/chibi")
    request = await replayed(stage, encode_png(Image.new("RGB", (96, 64)), parameters))
    assert (request.prompt, request.negative_prompt) == ("1girl, safe, smile", "nsfw, explicit, hat")
    assert (request.width, request.height, request.steps, request.cfg_scale) == (96, 64, 7, 3.25)
    assert (request.sampler, request.scheduler, request.seed) == ("dpmpp_2m_sde_gpu", "beta57", 2**64 - 1)
    assert request.loras == (("style/chibi", 0.75),)
    assert (request.variation_seed, request.variation_strength) == (11, 0.25)


@pytest.mark.parametrize(("kind", "name"), [("JPEG", "theirs.jpg"), ("WEBP", "theirs.webp")])
async def test_jpeg_and_webp_are_read_too(stage: Stage, kind: str, name: str) -> None:
    request = await replayed(stage, jpeg_or_webp(kind, a1111("1girl, 花")), name)
    assert request.prompt == "safe, 1girl, 花" and request.seed == 42


async def test_the_first_picture_that_says_how_it_was_made_is_taken(stage: Stage) -> None:
    files = [Upload("notes.txt", b"1girl"), Upload("plain.png", png()), Upload("made.png", png(a1111("1girl")))]
    await draw_again(stage, await posted(stage, *files))
    assert stage.engine.requests[0].prompt == "safe, 1girl"


async def test_missing_parts_are_left_out_and_named_to_the_user_alone(stage: Stage) -> None:
    await configure(stage, defaults={"sampler": "heun"})
    put_lora(stage, "style/chibi")
    text = a1111("1girl <lora:chibi:0.5> <lora:**gone**:1>", settings=", Denoising strength: 0.6")
    message = await posted(stage, Upload("theirs.png", png(text.replace("Euler a", "Restart"))))
    interaction = await asked(stage, message)
    told = await interaction.followup()
    assert told.is_ephemeral and told.visible_to == stage.alice
    assert "which aren't available here: \\*\\*gone\\*\\*" in told.text
    assert "are used instead: Sampler Restart" in told.text
    assert "It was made from another picture" in told.text
    job = await stage.database.jobs.by_interaction(interaction.id)
    assert job is not None
    await stage.in_state(job.id, JobState.DELIVERED)
    [request] = stage.engine.requests
    assert (request.loras, request.sampler, request.denoise) == ((("style/chibi", 0.5),), "heun", 1.0)


async def test_of_many_parts_that_are_left_out_it_is_said_how_many_more_there_are(stage: Stage) -> None:
    tags = " ".join(f"<hypernet:h{i}:1>" for i in range(12))
    message = await posted(stage, Upload("theirs.png", png(a1111(f"1girl {tags}"))))
    told = await (await asked(stage, message)).followup()
    assert "hypernet:h9:1" in told.text and "hypernet:h10:1" not in told.text
    assert "and 2 more" in told.text


async def test_drawing_again_is_private_if_the_users_defaults_say_so(stage: Stage) -> None:
    await stage.database.preferences.change_defaults(stage.alice.id, {"private": True})
    message = await posted(stage, Upload("theirs.png", png(a1111("1girl"))))
    assert (await draw_again(stage, message)).private
    assert stage.discord.messages_in(stage.general, stage.bob) == [message]


# --- What is refused ---


async def test_a_file_cannot_ask_for_what_is_refused_everywhere(stage: Stage) -> None:
    for where in (stage.general, stage.discord.world.after_dark):
        told = await refused(stage, Upload("theirs.png", png(a1111("loli, nude, sex"))), where=where)
        assert told == "Sexual content involving minors is never allowed. Please ask for something else."


async def test_a_file_cannot_ask_by_its_negative_prompt_either(stage: Stage) -> None:
    told = await refused(stage, Upload("theirs.png", png(a1111("loli", "(nude:-1.5)"))))
    assert told == "Sexual content involving minors is never allowed. Please ask for something else."


async def test_a_file_asks_for_nsfw_in_age_restricted_channels_alone(stage: Stage) -> None:
    upload = Upload("theirs.png", png(a1111("1girl, nude, large breasts")))
    assert "“nude” isn't allowed in this channel" in await refused(stage, upload)
    await draw_again(stage, await posted(stage, upload, where=stage.discord.world.after_dark))
    assert stage.engine.requests[0].prompt == "1girl, nude, large breasts"


async def test_the_servers_blocked_words_and_limits_apply_to_files(stage: Stage) -> None:
    await configure(stage, safety={"blocked_words": ["clown"]}, limits={"steps": 27})
    assert "This server blocks “clown”" in await refused(
        stage, Upload("theirs.png", png(a1111("clown").replace("Steps: 28", "Steps: 8")))
    )


async def test_too_large_a_size_and_too_many_steps_are_refused(stage: Stage) -> None:
    large = png(a1111("1girl").replace("100x64", "2000x1990"))
    assert "2000x1992 is too large" in await refused(stage, Upload("theirs.png", large))
    await configure(stage, limits={"steps": 27})
    message = await posted(stage, Upload("theirs.png", png(a1111("1girl"))))
    assert "28 steps is too many" in (await (await asked(stage, message)).followup()).text


async def test_a_decompression_bomb_is_not_unpacked(stage: Stage) -> None:
    text = a1111("1girl").replace(", Size: 100x64", "")
    assert "60000x60000 is too large" in await refused(stage, Upload("bomb.png", bomb(text)))


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (Upload("plain.png", png()), TELLS_NOTHING),
        (Upload("broken.png", b"\x89PNG\r\n\x1a\n"), UNREADABLE),
        (Upload("broken.jpg", b"\xff\xd8\xff" + b"x" * 100), UNREADABLE),
        (Upload("bare.png", png(a1111(" "))), NO_PROMPT),
        (
            Upload("long.png", png(a1111("long " * 3000))),
            "The prompt in that file is too long. The limit is 10000 characters.",
        ),
        (Upload("notes.txt", b"1girl"), NOTHING_ATTACHED),
    ],
    ids=lambda value: value.filename if isinstance(value, Upload) else "",
)
async def test_each_unusable_file_is_explained(stage: Stage, file: Upload, sentence: str) -> None:
    assert (await refused(stage, file)).startswith(sentence)


async def test_a_missing_file_and_one_too_large_are_explained(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await refused(stage) == NOTHING_ATTACHED
    monkeypatch.setattr(attachments, "MAX_FETCHED_SIZE", 10)
    message = await posted(stage, Upload("large.png", png(a1111("1girl"))))
    assert "That file is too large" in (await (await asked(stage, message)).followup()).text


async def test_addresses_outside_of_discord_are_never_opened(stage: Stage) -> None:
    message = await posted(stage, Upload("theirs.png", png(a1111("1girl"))))
    stage.discord.cdn.base = stage.discord.cdn.base.replace("127.0.0.1", "localhost")
    assert (await (await asked(stage, message)).followup()).text == attachments.GONE
    assert stage.engine.requests == []


async def test_a_file_missing_from_discord_is_explained(stage: Stage) -> None:
    message = await posted(stage, Upload("theirs.png", png(a1111("1girl"))))
    stage.discord.cdn._files.clear()
    assert (await (await asked(stage, message)).followup()).text == attachments.GONE
