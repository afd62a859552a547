"""Serves the page itself: the files of `bot/sandbox/page`, and nothing else."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

CONTENT_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

#: Allows scripts, styles and images from this server only, and forbids turning text into markup.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


def add_routes(application: web.Application) -> None:
    """Adds `GET /` and `GET /page/{name}`."""
    page = {file.name: file for file in files("bot.sandbox").joinpath("page").iterdir() if file.is_file()}

    async def show(request: web.Request) -> web.Response:
        file = page.get(request.match_info.get("name", "index.html"))
        if file is None:
            raise web.HTTPNotFound(text="The page has no such file.")
        return web.Response(
            body=file.read_bytes(),
            content_type=CONTENT_TYPES[file.name.rsplit(".", 1)[-1]],
            charset="utf-8",
            headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"},
        )

    application.router.add_get("/", show)
    application.router.add_get("/page/{name}", show)
