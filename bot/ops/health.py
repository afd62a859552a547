"""`/healthz`, `/readyz` and `/metrics` over HTTP, for Docker, Prometheus and the operator.

They are read-only, and show neither users nor prompts.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import discord
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from bot.ops.errors import StartupError
from bot.ops.metrics import Metrics
from storage.backend.clock import utc_now
from storage.backend.transactions import StorageUnavailable
from storage.database import Database
from storage.jobs import QueueSummary

logger = logging.getLogger(__name__)

#: Seconds that the database has to answer.
DATABASE_TIMEOUT = 2.0
#: Seconds between two measurements of how late the event loop is.
LATENESS_INTERVAL = 0.5

NOT_CONNECTED = "The bot is not connected to Discord's gateway. It reconnects by itself."
NOT_LOADED = "The engine is loading the model."
NO_DATABASE = "The database is not responding. {why}"


class EngineHealth(Protocol):
    @property
    def loaded(self) -> bool: ...
    @property
    def engine_restarts(self) -> int: ...


@asynccontextmanager
async def serving(
    client: discord.Client, engine: EngineHealth, database: Database, metrics: Metrics, host: str, port: int
) -> AsyncIterator[str]:
    """Serve at `host` and `port` (0 takes a free one) and give the address. Raises StartupError."""
    health = _Health(client, engine, database, metrics)
    metrics.registry.register(health)
    application = web.Application()
    application.router.add_get("/healthz", _healthz)
    application.router.add_get("/readyz", health.readyz)
    application.router.add_get("/metrics", health.metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    watching = asyncio.create_task(_measure_lateness(metrics), name="event-loop lateness")
    try:
        await _listen(runner, host, port)
        bound_host, bound_port = runner.addresses[0][:2]
        address = f"http://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"
        logger.info("health and metrics are at %s", address)
        yield address
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await runner.cleanup()
        metrics.registry.unregister(health)


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        why = (
            "is in use by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        )
        raise StartupError(
            f"HEALTH_PORT {port} at {host} {why}. Choose another port in .env, or leave it empty to turn this off."
        ) from error


async def _healthz(request: web.Request) -> web.Response:
    """An answer means that the event loop is running."""
    return web.Response(text="ok\n")


class _Health(Collector):
    """The bot's current state; what happened so far is counted by `Metrics`."""

    def __init__(self, client: discord.Client, engine: EngineHealth, database: Database, metrics: Metrics) -> None:
        self._client = client
        self._engine = engine
        self._database = database
        self._metrics = metrics
        #: The latest answer of the database; None if it did not respond.
        self._queue: QueueSummary | None = None

    async def readyz(self, request: web.Request) -> web.Response:
        reasons = []
        if not self._is_connected:
            reasons.append(NOT_CONNECTED)
        if not self._engine.loaded:
            reasons.append(NOT_LOADED)
        try:
            await self._ask_database()
        except StorageUnavailable as error:
            reasons.append(NO_DATABASE.format(why=error))
        if reasons:
            return web.Response(status=503, text="\n".join(reasons) + "\n")
        return web.Response(text="ready\n")

    async def metrics(self, request: web.Request) -> web.Response:
        try:
            self._queue = await self._ask_database()
        except StorageUnavailable as error:
            logger.warning("the queue is missing from /metrics: %s", error)
            self._queue = None
        return web.Response(body=generate_latest(self._metrics.registry), headers=AS_METRICS)

    async def _ask_database(self) -> QueueSummary:
        """Raises StorageUnavailable, also after a timeout."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT):
                return await self._database.jobs.summary()
        except TimeoutError:
            raise StorageUnavailable(f"No answer within {DATABASE_TIMEOUT:g} seconds.") from None

    @property
    def _is_connected(self) -> bool:
        return self._client.is_ready() and self._client.ws.open

    def collect(self) -> Iterable[Metric]:
        client = self._client
        yield _gauge("anima_gateway_connected", "1 while connected to Discord's gateway.", self._is_connected)
        if math.isfinite(client.latency):
            yield _gauge("anima_gateway_latency_seconds", "Latency of the gateway's heartbeat.", client.latency)
        yield _gauge("anima_engine_loaded", "1 once the engine has loaded its model.", self._engine.loaded)
        yield CounterMetricFamily(
            "anima_engine_restarts",
            "How often the engine's process was restarted.",
            value=self._engine.engine_restarts,
        )
        yield _gauge("anima_database_reachable", "1 while the database responds.", self._queue is not None)
        if self._queue is not None:
            live = GaugeMetricFamily("anima_live_jobs", "Unfinished jobs by state.", labels=["state"])
            for state, count in self._queue.live.items():
                live.add_metric([state.value], count)
            yield live
            oldest = self._queue.oldest_queued_at
            age = 0.0 if oldest is None else (utc_now() - oldest).total_seconds()
            yield _gauge("anima_oldest_waiting_seconds", "Age of the oldest queued job; 0 if the queue is empty.", age)


AS_METRICS = {"Content-Type": CONTENT_TYPE_LATEST}


def _gauge(name: str, description: str, value: float) -> Metric:
    return GaugeMetricFamily(name, description, value=value)


async def _measure_lateness(metrics: Metrics) -> None:
    while True:
        started = time.perf_counter()
        await asyncio.sleep(LATENESS_INTERVAL)
        metrics.loop_lateness.observe(max(0.0, time.perf_counter() - started - LATENESS_INTERVAL))
