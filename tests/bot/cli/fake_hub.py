"""The part of the Hugging Face hub that a download needs, on loopback, and what can go wrong with it.

As the real one, it keeps large files elsewhere: it redirects to a signed address on another host, which gets no token.
"""

import asyncio
import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Self

from aiohttp import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LICENCE = {"license": "other", "license_name": "circlestone-nc", "license_link": "https://example.org/licence"}


@dataclass
class AnimaInteraction:
    """A request for a file's content."""

    path: str
    range: str | None
    token: str | None


@dataclass
class FakeHub:
    """`files`: repository -> path -> content; a `.safetensors` file is large, and so kept elsewhere."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    #: The only one that is let in; None lets everyone in.
    token: str | None = None
    #: Lies about the size of the file of this path.
    stated_sizes: dict[str, int] = field(default_factory=dict)
    #: Content that is sent in place of the file of this path.
    served: dict[str, bytes] = field(default_factory=dict)
    #: The next answers from elsewhere end after so many bytes.
    cuts: list[int] = field(default_factory=list)
    #: Content from elsewhere is answered with this status once there are no cuts left.
    broken: int | None = None
    knows_ranges: bool = True
    asked: list[AnimaInteraction] = field(default_factory=list)
    address: str = ""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/models/{owner}/{name}", self._model_info)
        app.router.add_get("/api/models/{owner}/{name}/revision/main", self._model_info)
        app.router.add_get("/api/models/{owner}/{name}/tree/{revision}", self._tree)
        app.router.add_get("/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        app.router.add_get("/elsewhere/{owner}/{name}/{path:.+}", self._elsewhere)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.address = f"http://127.0.0.1:{self._port}"

    async def _model_info(self, request: web.Request) -> web.Response:
        repository = _repository(request)
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if repository not in self.files:
            return _error(404, "RepoNotFound")
        siblings = [self._sibling(path, content) for path, content in self.files[repository].items()]
        return web.json_response({"id": repository, "sha": COMMIT, "siblings": siblings, "cardData": LICENCE})

    def _sibling(self, path: str, content: bytes) -> dict[str, Any]:
        size = self.stated_sizes.get(path, len(content))
        sibling = {"rfilename": path, "size": size, "blobId": blob_id(content)}
        if _is_large(path):
            sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
        return sibling

    async def _tree(self, request: web.Request) -> web.Response:
        """The same files, as the library's own download asks for them."""
        files = [self._sibling(path, content) for path, content in self.files[_repository(request)].items()]
        return web.json_response(
            [
                {"type": "file", "path": file["rfilename"], "oid": file["blobId"], "size": file["size"]}
                | ({"lfs": {"oid": file["lfs"]["sha256"], **file["lfs"]}} if "lfs" in file else {})
                for file in files
            ]
        )

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        repository, path = _repository(request), request.match_info["path"]
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if repository in self.gated:
            return _error(403, "GatedRepo")
        if request.match_info["revision"] != COMMIT:
            return _error(404, "RevisionNotFound")
        if path not in self.files.get(repository, {}):
            return _error(404, "EntryNotFound")
        content = self.files[repository][path]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{blob_id(content)}"'}
        if _is_large(path):
            headers |= {
                "Location": f"http://localhost:{self._port}/elsewhere/{repository}/{path}?signed",
                "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Linked-Size": str(len(content)),
            }
            return web.Response(status=302, headers=headers)
        if request.method == "GET":
            self._note(request, path)
        response = web.Response(body=self.served.get(path, content), headers=headers)
        response.enable_compression()
        return response

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self._note(request, path)
        if self.broken is not None and not self.cuts:
            return web.Response(status=self.broken)
        content = self.served.get(path, self.files[_repository(request)][path])
        response = web.StreamResponse()
        if self.knows_ranges and (wanted := request.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content = content[start:]
        response.content_length = len(content)
        await response.prepare(request)
        if self.cuts:
            await response.write(content[: self.cuts.pop(0)])
            assert request.transport is not None
            request.transport.close()  # behind the bytes, which an abort would overtake
        else:
            await response.write(content)
        return response

    def _refusal(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization")
        if self.token is None or given == f"Bearer {self.token}":
            return None
        # The hub does not tell a stranger whether a closed repository exists.
        message = "Invalid username or password." if given is None else "Invalid credentials in Authorization header"
        return web.Response(status=401, headers={"X-Error-Message": message})

    def _note(self, request: web.Request, path: str) -> None:
        self.asked.append(AnimaInteraction(path, request.headers.get("Range"), request.headers.get("Authorization")))


def blob_id(content: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _repository(request: web.Request) -> str:
    return f"{request.match_info['owner']}/{request.match_info['name']}"


def _is_large(path: str) -> bool:
    return PurePosixPath(path).suffix == ".safetensors"


def _error(status: int, code: str) -> web.Response:
    return web.Response(status=status, headers={"X-Error-Code": code})
