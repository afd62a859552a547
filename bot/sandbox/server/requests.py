"""Reads request bodies (JSON and files) for the handlers of routes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.sandbox.model.attachments import Upload
from bot.sandbox.model.messages import Body


@dataclass(frozen=True)
class ApiCall:
    """One request to a route: `ids` and `token` from the path, `query`, JSON, and files by number."""

    ids: Mapping[str, int]
    token: str
    query: Mapping[str, str]
    payload: Any
    files: Mapping[int, Upload]
    arrived: float

    @property
    def body(self) -> Body:
        return Body(self.payload if isinstance(self.payload, dict) else {}, self.files)


@dataclass(frozen=True)
class RequestBody:
    """The body of a request: its JSON, its files by number, and whether the JSON is invalid."""

    payload: Any
    files: dict[int, Upload]
    is_broken: bool = False


async def read_body(request: web.Request) -> RequestBody:
    """Reads a body of JSON, or a multipart body of JSON and files (`payload_json`, `files[n]`)."""
    files: dict[int, Upload] = {}
    text = b""
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            data = bytes(await part.read())  # type: ignore[union-attr]
            number = re.fullmatch(r"files\[(\d+)\]", part.name or "")  # type: ignore[union-attr]
            if number is not None:
                files[int(number[1])] = Upload(part.filename or "unknown", data)  # type: ignore[union-attr]
            elif part.name == "payload_json":  # type: ignore[union-attr]
                text = data
    else:
        text = await request.read()
    if not text:
        return RequestBody(None, files)
    try:
        is_json = request.content_type in ("application/json", "multipart/form-data")
        return RequestBody(json.loads(text), files, is_broken=not is_json)
    except ValueError:
        return RequestBody(None, files, is_broken=True)
