"""The real bot with two diffusion models in its folder: each draws what it is asked for, and one is removed."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from bot.messages.job import MODEL_REMOVED
from bot.ops.settings import MINIATURE
from bot.sandbox import FakeDiscord, Message
from inference.metadata import read
from tests.end_to_end.bot_process import TIMEOUT, bot_process
from tests.inference.engine_processes import frozen_engines

BASE, QUICK = "anima-miniature", "anima-miniature-turbo"


def two_models(folder: Path) -> Path:
    """The bundled models, and the same diffusion model again under another name, with few steps in its header."""
    models = shutil.copytree(MINIATURE, folder / "models")
    data = (models / "diffusion_models" / f"{BASE}.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] |= {"modelspec.anima.steps": "3", "modelspec.anima.cfg_scale": "1.0"}
    changed = json.dumps(header).encode()
    changed += b" " * (-len(changed) % 8)
    file = models / "diffusion_models" / f"{QUICK}.safetensors"
    file.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + length :])
    return models


async def shown(discord: FakeDiscord, prompt: str, *, finished: str = "") -> Message:
    """The message of a prompt, once it has its image or says `finished`."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            for message in discord.messages_in(discord.world.general):
                is_drawn = message.attachments and "preview" not in message.attachments[0].filename
                if prompt in message.text and (finished in message.text if finished else is_drawn):
                    return message
            await asyncio.sleep(0.02)


async def test_each_image_is_drawn_with_the_model_that_was_chosen_and_its_file_says_which(tmp_path: Path) -> None:
    models = two_models(tmp_path)
    settings = {"ANIMA_MODELS": str(models), "ANIMA_DIFFUSION_MODEL": BASE}
    async with FakeDiscord() as discord, bot_process(discord, tmp_path, **settings) as process:
        alice, general = discord.world.alice, discord.world.general

        async def ask(prompt: str, **options: object) -> None:
            asked = await discord.slash(alice, general, "anima imagine", prompt=prompt, seed="5", **options)
            await asked.acknowledged(TIMEOUT)

        await ask("1girl, red hair", steps=2)
        await ask("1girl, blue hair", model=QUICK)
        usual, quick = await shown(discord, "red hair"), await shown(discord, "blue hair")
        drawn = [read(message.attachments[0].data) for message in (usual, quick)]
        assert [(each.model, each.steps, each.cfg_scale) for each in drawn if each is not None] == [
            (f"{BASE}.safetensors", 2, 4.0),
            (f"{QUICK}.safetensors", 3, 1.0),
        ]
        assert QUICK in quick.text and BASE not in usual.text
        offered = await discord.autocomplete(alice, general, "anima imagine", "model", "", {"prompt": "1girl"})
        assert [choice.name.endswith("loaded") for choice in offered] == [True, True]

        with frozen_engines(process.pid):
            await ask("1girl, hat", steps=2)
            await ask("1girl, green hair", model=QUICK)
            await shown(discord, "green hair", finished="queue")
            (models / "diffusion_models" / f"{QUICK}.safetensors").unlink()
        await shown(discord, "green hair", finished=MODEL_REMOVED)
        await ask("1girl, smile", steps=2)
        await shown(discord, "smile")
