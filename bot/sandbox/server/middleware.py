"""Rejects HTTP requests that come neither from programs on this computer nor from the sandbox's own page.

Other websites in the browser can also send requests to loopback, with DNS rebinding or cross-site requests. The Host,
Origin and Sec-Fetch-Site headers reveal them.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

#: The Content-Security-Policy of everything but the page itself: it may load and run nothing.
RESTRICTIVE_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


def same_origin_only(own_host: Callable[[], str]) -> Middleware:
    """Refuses requests for another host or from another origin. `own_host` returns "address:port"."""

    @web.middleware
    async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        own = own_host()
        if request.headers.get("Host") != own:
            return web.Response(status=421, text=f"The sandbox answers only at http://{own}/.")
        if request.headers.get("Origin", f"http://{own}") != f"http://{own}" or _is_cross_site(request):
            return web.Response(status=403, text="The sandbox accepts no requests from other sites.")
        return await handler(request)

    return check_origin


def _is_cross_site(request: web.Request) -> bool:
    """Whether another site sends this request in the background. Following a link from there is harmless."""
    from_elsewhere = request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
    follows_link = request.method == "GET" and request.headers.get("Sec-Fetch-Dest") == "document"
    return from_elsewhere and not follows_link


async def add_security_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Adds the security headers of every answer. For `on_response_prepare`."""
    response.headers.setdefault("Content-Security-Policy", RESTRICTIVE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Referrer-Policy"] = "no-referrer"
