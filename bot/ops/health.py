"""`/healthz`, `/readyz` and `/metrics` over HTTP, for whoever watches over the bot: Docker, Prometheus, an operator.

They say nothing of who asks for what, and take no orders.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from bot.ops.errors import StartupError
from storage.backend.clock import utc_now
from storage.backend.transactions import StorageUnavailable
from storage.jobs import Line

if TYPE_CHECKING:
    from bot.client import AnimaClient
    from bot.ops.metrics import Measurements

logger = logging.getLogger(__name__)

DATABASE_TIMEOUT = 2.0
"""Seconds in which the database has to answer."""
LOOK_EVERY = 0.5
"""Seconds between two looks at how late the event loop is."""

NOT_CONNECTED = "The bot is not connected to Discord's gateway; it tries again by itself."
NOT_LOADED = "The engine is loading the model."
NO_DATABASE = "The database does not answer. {why}"


@asynccontextmanager
async def serving(client: AnimaClient, host: str, port: int) -> AsyncIterator[str]:
    """Serve at `host` and `port` (0 takes a free one) and give the address. Raises CannotStart."""
    health = _Health(client)
    client.measurements.registry.register(health)
    application = web.Application()
    application.router.add_get("/healthz", _healthz)
    application.router.add_get("/readyz", health.readyz)
    application.router.add_get("/metrics", health.metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    watching = asyncio.create_task(_watch_the_loop(client.measurements), name="event-loop lateness")
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
        client.measurements.registry.unregister(health)


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        why = "is in use by another program" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise StartupError(
            f"HEALTH_PORT {port} at {host} {why}. Choose another one in .env, or leave it empty for none."
        ) from error


async def _healthz(request: web.Request) -> web.Response:
    """That this is answered at all says that the event loop turns."""
    return web.Response(text="ok\n")


class _Health(Collector):
    """How the bot is at this moment; what happened until now is counted by Measurements."""

    def __init__(self, client: AnimaClient) -> None:
        self._client = client
        self._line: Line | None = None
        """What the database said of the waiting jobs when it was asked last; None if it did not answer."""

    async def readyz(self, request: web.Request) -> web.Response:
        reasons = []
        if not self._is_connected:
            reasons.append(NOT_CONNECTED)
        if not self._client.worker.loaded:
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
            self._line = await self._ask_database()
        except StorageUnavailable as error:
            logger.warning("metrics come without the queue: %s", error)
            self._line = None
        return web.Response(body=generate_latest(self._client.measurements.registry), headers=AS_METRICS)

    async def _ask_database(self) -> Line:
        """Raises StorageUnavailable, also where it takes too long."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT):
                return await self._client.database.jobs.line()
        except TimeoutError:
            raise StorageUnavailable(f"It was asked {DATABASE_TIMEOUT:g} seconds ago.") from None

    @property
    def _is_connected(self) -> bool:
        return self._client.is_ready() and self._client.ws.open

    def collect(self) -> Iterable[Metric]:
        client = self._client
        yield _gauge("anima_gateway_connected", "Whether Discord's gateway is connected.", self._is_connected)
        if math.isfinite(client.latency):
            yield _gauge("anima_gateway_latency_seconds", "Of the gateway's heartbeat.", client.latency)
        yield _gauge("anima_engine_loaded", "Whether the engine has loaded its model.", client.worker.loaded)
        yield CounterMetricFamily(
            "anima_engine_restarts",
            "Times that the engine's process was started again.",
            value=client.worker.engine_restarts,
        )
        yield _gauge("anima_database_reachable", "Whether the database answers.", self._line is not None)
        if self._line is not None:
            live = GaugeMetricFamily("anima_live_jobs", "Jobs that have not ended, by state.", labels=["state"])
            for state, count in self._line.live.items():
                live.add_metric([state.value], count)
            yield live
            oldest = self._line.oldest_queued_at
            age = 0.0 if oldest is None else (utc_now() - oldest).total_seconds()
            yield _gauge("anima_oldest_waiting_seconds", "How long the oldest job in line waits; 0 without any.", age)


AS_METRICS = {"Content-Type": CONTENT_TYPE_LATEST}


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value=value)


async def _watch_the_loop(measurements: Measurements) -> None:
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(LOOK_EVERY)
        measurements.loop_lateness.observe(max(0.0, time.perf_counter() - asked - LOOK_EVERY))
