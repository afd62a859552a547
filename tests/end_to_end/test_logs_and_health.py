"""What an operator sees of a running bot: its log, health and metrics."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp

from bot.sandbox import FakeDiscord
from tests.end_to_end.bot_process import ROOT, TIMEOUT, settings_for
from tests.ports import free_port

PROMPT = "@micah, mauve hair"
NEGATIVE = "puce background"


async def test_a_job_can_be_followed_in_the_log_without_its_prompt(tmp_path: Path) -> None:
    port = free_port()
    async with FakeDiscord() as discord:
        environment = {**os.environ, **settings_for(discord, tmp_path), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "run"),
            cwd=tmp_path,
            env={**environment, "HEALTH_PORT": str(port)},
            stderr=PIPE,
        )
        said = asyncio.create_task(process.stderr.read())
        try:
            await discord.wait_until_ready(TIMEOUT)
            channel = discord.world.general
            sent = await discord.slash(
                discord.world.alice, channel, "anima imagine", prompt=PROMPT, negative=NEGATIVE, seed="1"
            )
            await discord.wait_for_message(channel, lambda message: "anima-" in file_names(message), TIMEOUT)
            metrics = await delivered(f"http://127.0.0.1:{port}")
        finally:
            process.kill()
            await process.wait()
        log = (await said).decode()
    assert 'anima_stage_seconds_count{engine="auto",stage="sampling"} 1.0' in metrics
    lines = [json.loads(line) for line in log.splitlines()]
    job_lines = [line["message"] for line in lines if line.get("job") == 1]
    assert [message.split()[0] for message in job_lines] == ["queued:", "drawing", "delivered"]
    assert any(line["message"].startswith("loaded anima-miniature") and "job" not in line for line in lines)
    for secret in ("mauve", "puce", discord.token, sent.interaction.token):
        assert secret not in log + metrics


def file_names(message: object) -> str:
    return " ".join(file.filename for file in message.shown)  # type: ignore[attr-defined]


async def delivered(address: str) -> str:
    """The metrics, once they count the delivered job. Checks that the bot is ready then."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(TIMEOUT):
        while True:
            async with http.get(f"{address}/metrics") as answer:
                metrics = await answer.text()
            if 'anima_jobs_total{state="delivered"} 1.0' in metrics:
                break
            await asyncio.sleep(0.05)
        async with http.get(f"{address}/readyz") as answer:
            assert (answer.status, await answer.text()) == (200, "ready\n")
        async with http.get(f"{address}/healthz") as answer:
            assert answer.status == 200
    return metrics
