"""`/healthz`, `/readyz` and `/metrics` over HTTP, for Docker, Prometheus and the operator.

They are read-only and never show users or prompts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from bot.ops.errors import StartupError, port_fault
from bot.ops.metrics import Metrics
from bot.ops.sharding import ShardedClient
from storage.backend.clock import utc_now
from storage.backend.errors import StorageUnavailable
from storage.database import Database
from storage.jobs import QueueSummary

logger = logging.getLogger(__name__)

#: Seconds that the database gets to answer.
DATABASE_TIMEOUT = 2.0
#: Seconds between two measurements of how late the event loop is.
LATENESS_INTERVAL = 0.5

NOT_CONNECTED = "The bot is not connected to Discord's gateway. It reconnects by itself."
NOT_LOADED = "The engine is loading the model."
NO_ENGINE = "No engine has its model loaded: {engines}. Jobs wait."
NOT_CLAIMED = "Another bot may be using this database. This one waits."
NO_DATABASE = "The database is not responding. {why}"


#: An engine's states. A `resting` one could not load or has died, and is restarted after a pause.
EngineState = Literal["idle", "drawing", "loading", "resting"]


@dataclass(frozen=True)
class EngineStatus:
    """`loaded`: whether its model is loaded. `restarts`: how often its process was restarted."""

    name: str
    state: EngineState
    loaded: bool
    restarts: int


class EnginesHealth(Protocol):
    @property
    def loaded(self) -> bool:
        """Whether any engine has loaded its model."""
        ...

    def engines(self) -> Sequence[EngineStatus]: ...


@asynccontextmanager
async def serving(
    client: ShardedClient, engines: EnginesHealth, database: Database, metrics: Metrics, host: str, port: int
) -> AsyncIterator[str]:
    """Serve at `host` and `port` (0: any free one); yields the address. Raises StartupError."""
    health = _Health(client, engines, database, metrics)
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
        logger.info("health checks and metrics: %s", address)
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
        raise StartupError(
            f"HEALTH_PORT {port} at {host} {port_fault(error)}. Choose another port in .env, or leave it empty to turn "
            "this off."
        ) from error


async def _healthz(request: web.Request) -> web.Response:
    """Any answer proves that the event loop is running."""
    return web.Response(text="ok\n")


class _Health(Collector):
    """The bot's current state; `Metrics` counts events."""

    def __init__(self, client: ShardedClient, engines: EnginesHealth, database: Database, metrics: Metrics) -> None:
        self._client = client
        self._engines = engines
        self._database = database
        self._metrics = metrics
        #: The latest answer of the database; None if it did not respond.
        self._queue: QueueSummary | None = None

    async def readyz(self, request: web.Request) -> web.Response:
        reasons = []
        if not self._is_connected:
            reasons.append(NOT_CONNECTED)
        engines = self._engines.engines()
        missing = ", ".join(f"{each.name} is {each.state}" for each in engines if not each.loaded)
        if not self._engines.loaded:
            reasons.append(NOT_LOADED if len(engines) == 1 else NO_ENGINE.format(engines=missing))
        if not self._database.claim.is_held:
            reasons.append(NOT_CLAIMED)
        try:
            await self._ask_database()
        except StorageUnavailable as error:
            reasons.append(NO_DATABASE.format(why=error))
        if reasons:
            return web.Response(status=503, text="\n".join(reasons) + "\n")
        return web.Response(text=f"ready\n{missing}\n" if missing else "ready\n")

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
        return self._client.is_connected

    def collect(self) -> Iterable[Metric]:
        client = self._client
        yield _gauge("anima_gateway_connected", "1 while connected to Discord's gateway.", self._is_connected)
        yield _gauge("anima_shards", "Number of connections (shards) that Discord asks for.", client.shard_count or 0)
        yield _gauge("anima_shards_connected", "Number of these that are connected.", client.shards_connected)
        if math.isfinite(client.latency):
            yield _gauge("anima_gateway_latency_seconds", "Latency of the gateway's heartbeat.", client.latency)
        yield from self._engine_metrics()
        yield _gauge("anima_database_reachable", "1 while the database responds.", self._queue is not None)
        if self._queue is not None:
            live = GaugeMetricFamily("anima_live_jobs", "Unfinished jobs by state.", labels=["state"])
            for state, count in self._queue.live.items():
                live.add_metric([state.value], count)
            yield live
            oldest = self._queue.oldest_queued_at
            age = 0.0 if oldest is None else (utc_now() - oldest).total_seconds()
            yield _gauge("anima_oldest_waiting_seconds", "Age of the oldest queued job; 0 if the queue is empty.", age)

    def _engine_metrics(self) -> Iterable[Metric]:
        engines = self._engines.engines()
        loaded = GaugeMetricFamily("anima_engine_loaded", "1 once the engine has loaded its model.", labels=["engine"])
        restarts = CounterMetricFamily(
            "anima_engine_restarts", "How often the engine's process was restarted.", labels=["engine"]
        )
        states = GaugeMetricFamily("anima_engines", "Engines by state.", labels=["state"])
        for engine in engines:
            loaded.add_metric([engine.name], engine.loaded)
            restarts.add_metric([engine.name], engine.restarts)
        for state in get_args(EngineState):
            states.add_metric([state], sum(engine.state == state for engine in engines))
        return loaded, restarts, states


AS_METRICS = {"Content-Type": CONTENT_TYPE_LATEST}


def _gauge(name: str, description: str, value: float) -> Metric:
    return GaugeMetricFamily(name, description, value=value)


async def _measure_lateness(metrics: Metrics) -> None:
    while True:
        started = time.perf_counter()
        await asyncio.sleep(LATENESS_INTERVAL)
        metrics.loop_lateness.observe(max(0.0, time.perf_counter() - started - LATENESS_INTERVAL))
