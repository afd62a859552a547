"""Discord's REST API: reads a request, calls the handler of its route, writes the response."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.sandbox.model import errors as refusals
from bot.sandbox.model.clock import Clock
from bot.sandbox.model.errors import ApiError, FormErrors
from bot.sandbox.model.schema import check_types
from bot.sandbox.server import command_routes, interaction_routes, message_routes, world_routes
from bot.sandbox.server.faults import Fault, Faults
from bot.sandbox.server.limits.limiter import RateLimiter
from bot.sandbox.server.request_log import RequestLog, RequestRecord
from bot.sandbox.server.requests import ApiCall, RequestBody, read_body
from bot.sandbox.server.routing import Answer, ApiContext, Route

if TYPE_CHECKING:
    from bot.sandbox.server.openapi import OpenApi

PREFIX = "/api/v10"

#: Cloudflare's answer to a blocked address: no JSON and no `Via` header.
BANNED = "<!DOCTYPE html><title>Access denied</title><h1>Error 1015</h1><p>You are being rate limited.</p>"

ROUTES: tuple[Route, ...] = (
    *world_routes.ROUTES,
    *command_routes.ROUTES,
    *interaction_routes.ROUTES,
    *message_routes.ROUTES,
)


class Rest:
    """Serves everything under `/api/v10`. With `openapi`, also checks every request and answer against it."""

    def __init__(
        self,
        context: ApiContext,
        clock: Clock,
        faults: Faults,
        log: RequestLog,
        openapi: OpenApi | None,
        limiter: RateLimiter,
    ) -> None:
        self._context = context
        self._clock = clock
        self._faults = faults
        self._log = log
        self._openapi = openapi
        self.limiter = limiter

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answers one request, or applies an injected fault to it, and logs it with its answer."""
        arrived = time.perf_counter()
        path = request.path.removeprefix(PREFIX)
        received = await read_body(request)
        route, match = _find(request.method, path)
        template = route.template if route else path
        names = [upload.filename for upload in received.files.values()]
        fault = self._faults.match(request.method, template, path, names)
        if fault is not None and fault.when == "before":
            await _hold(fault)
        answer: Answer | None = None
        headers: dict[str, str] = {}
        if fault is None or fault.only_delays or fault.when == "after":
            answer, headers = self._limited_answer(request, route, match, received, arrived)
        if fault is not None and fault.when == "after":
            await _hold(fault)
        if fault is not None and not fault.only_delays:
            answer = None if fault.status is None else (fault.status, fault.body)
            headers |= fault.headers
        status, body = answer or (0, None)
        self.limiter.note_answer(status, headers)
        self._log.add(
            RequestRecord(
                number=len(self._log.requests) + 1,
                at=self._clock.now(),
                method=request.method,
                route=template,
                path=path,
                query=dict(request.query),
                body=received.payload,
                files=tuple((upload.filename, len(upload.data)) for upload in received.files.values()),
                status=status,
                answer=body,
                seconds=time.perf_counter() - arrived,
            )
        )
        if answer is None and request.transport is not None:
            request.transport.abort()
        return _response(status, body, {"Date": format_datetime(self._clock.utc(), usegmt=True), **headers})

    def _limited_answer(
        self,
        request: web.Request,
        route: Route | None,
        match: re.Match[str] | None,
        received: RequestBody,
        arrived: float,
    ) -> tuple[Answer, dict[str, str]]:
        """The answer with rate limit headers, or a refusal."""
        if seconds := self.limiter.banned():
            return (429, BANNED), {"Retry-After": str(seconds)}
        if route is None or match is None:
            return self._answer(request, route, match, received, arrived), {}
        verdict = self.limiter.take(route.method, route.template, match.groupdict())
        if verdict.refused is not None:
            return (429, verdict.refused), dict(verdict.headers)
        return self._answer(request, route, match, received, arrived), dict(verdict.headers)

    def _answer(
        self,
        request: web.Request,
        route: Route | None,
        match: re.Match[str] | None,
        received: RequestBody,
        arrived: float,
    ) -> Answer:
        try:
            if route is None or match is None:
                path = request.path.removeprefix(PREFIX)
                if self._openapi is not None:
                    self._openapi.check_request(request.method, path, received.payload)
                known = any(r.pattern.fullmatch(path) for r in ROUTES)
                raise ApiError(refusals.METHOD_NOT_ALLOWED if known else refusals.NOT_FOUND)
            if (
                route.needs_bot_token
                and request.headers.get("Authorization") != f"Bot {self._context.world.application.token}"
            ):
                raise ApiError(refusals.UNAUTHORIZED)
            if received.is_broken:
                raise ApiError(refusals.INVALID_JSON)
            self._check_body(route, received.payload)
            ids = {name: int(text) for name, text in match.groupdict().items() if not name.endswith("token")}
            token = next((text for name, text in match.groupdict().items() if name.endswith("token")), "")
            call = ApiCall(ids, token, request.query, received.payload, received.files, arrived)
            status, body = route.handler(self._context, call)
        except ApiError as error:
            status, body = error.refusal.status, error.as_json()
        if self._openapi is not None and route is not None:
            self._openapi.check_answer(request.method, route.template, status, body)
        return status, body

    def _check_body(self, route: Route, payload: Any) -> None:
        errors = FormErrors()
        if self._openapi is not None:
            for complaint in self._openapi.check_request(route.method, route.template, payload):
                errors.add(complaint.path, complaint.code, complaint.message)
            errors.raise_if_any()
        check_types(payload, errors)
        errors.raise_if_any()


def _find(method: str, path: str) -> tuple[Route | None, re.Match[str] | None]:
    for route in ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return route, match
    return None, None


async def _hold(fault: Fault) -> None:
    if fault.released is not None:
        await fault.released.wait()
    await asyncio.sleep(fault.delay)


def _response(status: int, body: Any, headers: Mapping[str, str]) -> web.Response:
    # The content type is exactly "application/json": discord.py does not decode it if a charset follows.
    if body is None:
        return web.Response(status=status or 500, headers=headers)
    if isinstance(body, str):
        return web.Response(status=status, text=body, headers={"Content-Type": "text/html"} | dict(headers))
    encoded = json.dumps(body, separators=(",", ":")).encode()
    return web.Response(status=status, body=encoded, headers={"Content-Type": "application/json"} | dict(headers))
