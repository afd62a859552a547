"""Health and metrics of a running bot, asked for by a real HTTP client."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.jobs import engines
from bot.ops import health
from bot.ops.errors import StartupError
from bot.sandbox import FakeDiscord
from inference import GpuMemory
from storage.backend.errors import StorageUnavailable
from storage.schema import JobState
from tests.bot.fake_engine import FakeEngine
from tests.bot.harness import TIMEOUT, Stage, until

PROMPT = "1girl, a very secret prompt"

#: By name and the value of the label, if there is one besides the engine's.
Samples = Mapping[tuple[str, str], float]


class Watch:
    """What an operator sees from outside."""

    def __init__(self, stage: Stage, address: str, http: aiohttp.ClientSession) -> None:
        self.stage = stage
        self.address = address
        self._http = http

    async def get(self, path: str) -> tuple[int, str]:
        async with asyncio.timeout(TIMEOUT), self._http.get(self.address + path) as answer:
            return answer.status, await answer.text()

    async def metrics(self) -> Samples:
        status, text = await self.get("/metrics")
        assert status == 200
        return {
            (
                sample.name,
                next((value for label, value in sample.labels.items() if label != "engine"), ""),
            ): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def served(stage: Stage, port: int = 0) -> AbstractAsyncContextManager[str]:
    client = stage.client
    return health.serving(client, client.workers, client.database, client.metrics, "127.0.0.1", port)


@pytest.fixture
async def watch(stage: Stage) -> AsyncIterator[Watch]:
    async with served(stage) as address, aiohttp.ClientSession() as http:
        yield Watch(stage, address, http)


async def test_a_bot_that_can_draw_is_ready(watch: Watch) -> None:
    assert await watch.get("/healthz") == (200, "ok\n")
    await watch.stage.client.model()
    assert await watch.get("/readyz") == (200, "ready\n")


@pytest.fixture
async def loading(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Watch]:
    """A bot whose engine has not loaded its model yet."""
    stage = Stage(standin, tmp_path)
    stage.engine.loaded.clear()
    await stage.start()
    async with served(stage) as address, aiohttp.ClientSession() as http:
        yield Watch(stage, address, http)
    stage.engine.loaded.set()
    await stage.stop()


async def test_until_the_model_is_loaded_it_is_not_ready(loading: Watch) -> None:
    assert await loading.get("/readyz") == (503, health.NOT_LOADED + "\n")
    assert (await loading.metrics())["anima_engine_loaded", ""] == 0
    loading.stage.engine.loaded.set()
    await loading.stage.client.model()
    assert await loading.get("/readyz") == (200, "ready\n")
    assert (await loading.metrics())["anima_engine_loaded", ""] == 1


async def test_several_engines_are_told_apart(standin: FakeDiscord, tmp_path: Path) -> None:
    stage = Stage(standin, tmp_path)
    stage.more_engines["other"] = other = FakeEngine()
    stage.engine.loaded.clear()
    other.loaded.clear()
    await stage.start()
    async with served(stage) as address, aiohttp.ClientSession() as http:
        watch = Watch(stage, address, http)
        sentence = "No engine has its model loaded: fake is loading, other is loading. Jobs wait.\n"
        assert await watch.get("/readyz") == (503, sentence)
        other.loaded.set()
        await until(lambda: _says(watch, "/readyz", "ready\nfake is loading\n"))
        await stage.draw("1girl")
        _, text = await watch.get("/metrics")
        for line in (
            'anima_engine_loaded{engine="fake"} 0.0',
            'anima_engine_loaded{engine="other"} 1.0',
            'anima_engine_restarts_total{engine="other"} 0.0',
            'anima_stage_seconds_count{engine="other",stage="sampling"} 1.0',
            'anima_engines{state="idle"} 1.0',
            'anima_engines{state="loading"} 1.0',
            'anima_engines{state="drawing"} 0.0',
            'anima_engines{state="resting"} 0.0',
        ):
            assert line in text.splitlines()
        stage.engine.loaded.set()
        await until(lambda: _says(watch, "/readyz", "ready\n"))
    await stage.stop()


async def _says(watch: Watch, path: str, text: str) -> bool:
    return await watch.get(path) == (200, text)


async def test_without_the_gateway_it_is_not_ready(watch: Watch) -> None:
    stage = watch.stage
    await stage.client.model()
    stage.discord.gateway.refuses_connections = True
    stage.discord.gateway.drop()
    await until(lambda: _has(watch, ("anima_gateway_connected", ""), 0))
    assert await watch.get("/readyz") == (503, health.NOT_CONNECTED + "\n")
    assert await watch.get("/healthz") == (200, "ok\n"), "it lives all the same"
    stage.discord.gateway.refuses_connections = False
    await until(lambda: _has(watch, ("anima_gateway_connected", ""), 1))
    assert await watch.get("/readyz") == (200, "ready\n")


async def test_without_the_database_it_is_not_ready(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    async def locked() -> None:
        raise StorageUnavailable("Another process has locked the database. Try again in a moment.")

    await watch.stage.client.model()
    monkeypatch.setattr(watch.stage.database.jobs, "summary", locked)
    sentence = "The database is not responding. Another process has locked the database. Try again in a moment.\n"
    assert await watch.get("/readyz") == (503, sentence)
    found = await watch.metrics()
    assert found["anima_database_reachable", ""] == 0
    assert ("anima_oldest_waiting_seconds", "") not in found


async def test_a_database_that_hangs_is_not_waited_for(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DATABASE_TIMEOUT", 0.05)
    monkeypatch.setattr(watch.stage.database.jobs, "summary", asyncio.Event().wait)
    await watch.stage.client.model()
    status, text = await watch.get("/readyz")
    assert status == 503 and text.startswith("The database is not responding.")


async def test_queued_jobs_show_in_the_metrics(watch: Watch) -> None:
    stage = watch.stage
    assert (await watch.metrics())["anima_oldest_waiting_seconds", ""] == 0
    stage.engine.hold()
    first = await stage.ask("1girl", steps=5)
    await stage.in_state(first.id, JobState.RUNNING)
    waiting = [await stage.ask("1girl", steps=6), await stage.ask("1girl", stage.bob, steps=7)]
    await until(lambda: _queued(stage, len(waiting)))
    found = await watch.metrics()
    assert found["anima_live_jobs", "queued"] == 2 and found["anima_live_jobs", "running"] == 1
    assert found["anima_live_jobs", "rendered"] == 0
    assert found["anima_oldest_waiting_seconds", ""] > 0


async def _queued(stage: Stage, count: int) -> bool:
    return (await stage.database.jobs.summary()).live[JobState.QUEUED] == count


async def test_delivered_jobs_are_counted_and_timed(watch: Watch) -> None:
    stage = watch.stage
    stage.engine.gpu_memory = GpuMemory(3_000, 80_000)
    job, _ = await stage.draw(PROMPT, count=2)
    await until(lambda: _has(watch, ("anima_jobs_total", "delivered"), 1))
    found = await watch.metrics()
    assert found["anima_pictures_total", ""] == 2
    assert found["anima_credits_total", ""] == pytest.approx(job.cost)
    for stage_name in ("waiting", "drawing", "posting", "conditioning", "sampling", "decoding"):
        assert found["anima_stage_seconds_count", stage_name] == 1, stage_name
    finished = await stage.database.jobs.get(job.id)
    waited = (finished.started_at - finished.queued_at).total_seconds()
    assert found["anima_stage_seconds_sum", "waiting"] == pytest.approx(waited)
    assert found["anima_gpu_memory_peak_bytes", ""] == 3_000 and found["anima_gpu_memory_bytes", ""] == 80_000


async def _has(watch: Watch, sample: tuple[str, str], value: float) -> bool:
    return (await watch.metrics()).get(sample) == value


async def test_failures_refusals_cancels_and_restarts_are_counted(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", 0.01)
    stage = watch.stage
    await stage.client.model()
    assert (await watch.metrics())["anima_engine_restarts_total", ""] == 0
    stage.engine.deadly = "boom"
    failed = await stage.ask("boom")
    await stage.in_state(failed.id, JobState.FAILED)
    assert await _has(watch, ("anima_jobs_total", "failed"), 1)
    await until(lambda: _has(watch, ("anima_engine_restarts_total", ""), 2))
    await stage.slash("imagine", prompt="nsfw, 1girl")
    await until(lambda: _has(watch, ("anima_refusals_total", "nsfw"), 1))
    stage.engine.hold()
    job = await stage.ask("1girl")
    await stage.database.jobs.cancel(job.id, stage.alice.id)
    assert await _has(watch, ("anima_jobs_total", "cancelled"), 1)


async def test_a_late_event_loop_is_seen(watch: Watch) -> None:
    await asyncio.sleep(0)  # the watcher has begun to sleep
    time.sleep(health.LATENESS_INTERVAL + 0.3)
    await until(lambda: _is_late(watch))


async def _is_late(watch: Watch) -> bool:
    return (await watch.metrics())["anima_event_loop_lateness_seconds_sum", ""] >= 0.25


async def test_metrics_identify_nobody(watch: Watch) -> None:
    stage = watch.stage
    job, _ = await stage.draw(PROMPT)
    _, text = await watch.get("/metrics")
    assert "anima_pictures_total 1.0" in text
    for secret in ("secret", stage.discord.token, *(str(id) for id in (job.user_id, job.channel_id, job.guild_id))):
        assert secret not in text
    labels = {name for labels in re.findall(r"\{(.*?)\}", text) for name in re.findall(r"(\w+)=", labels)}
    assert labels <= {"state", "stage", "rule", "le", "engine"}


async def test_a_port_in_use_is_one_sentence(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=rf"^HEALTH_PORT {port} at 127\.0\.0\.1 is in use .* Choose another"):
            async with served(stage, port):
                pass
