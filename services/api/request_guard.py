"""ASGI middleware that checks every request (Host, origin, size, rate) and adds security headers to every response.

- Host: an unknown name gets 403, which stops DNS rebinding: a foreign page whose name resolves to 127.0.0.1.
- Origin: a browser sends the origin of a request that changes something; another site's is refused, with or without a cookie.
- Size and rate: a body is counted while it arrives; each client has a token bucket.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import problem_response

MAX_BODY_BYTES = 400_000
"""A sweep of the largest size, escaped as JSON, and its overrides."""

BURST_S = 3.0
"""Capacity of a token bucket: the requests of so many seconds."""

MAX_CLIENTS = 10_000
"""Token buckets that are kept."""

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass
class RateLimiter:
    """A token bucket per client; the least recent clients are dropped."""

    requests_per_s: float
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def allow(self, client: str, *, now: float) -> bool:
        """Count a request of a client and return whether it may be served."""
        capacity = self.requests_per_s * BURST_S
        level, then = self._buckets.pop(client, (capacity, now))
        level = min(capacity, level + (now - then) * self.requests_per_s)
        allowed = level >= 1
        self._buckets[client] = (level - allowed, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed


class RequestGuard:
    """The middleware around an application."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: tuple[str, ...], requests_per_s: float) -> None:
        self._app = app
        self._hosts = frozenset(allowed_hosts)
        self._limiter = RateLimiter(requests_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with_headers = _add_headers(send, private=not scope["path"].startswith("/static/"))
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, with_headers)
            return
        await self._app(scope, _limit_body(receive), with_headers)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            return problem_response(403, f"Host {host[:100]!r} is not a name of this server; more are named in LORETTA_ALLOWED_HOSTS", kind="host")
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and not _same_origin(headers, host):
            return problem_response(403, "this request comes from another site", kind="origin")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return problem_response(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        if not self._limiter.allow(scope["client"][0] if scope.get("client") else "", now=time.monotonic()):
            return problem_response(429, "too many requests; wait a moment", headers={"retry-after": "1"})
        return None


def _same_origin(headers: Headers, host: str) -> bool:
    """Return False for a request of another site; clients that are no browsers send neither header and pass."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    return (origin is None or origin.split("://", 1)[-1] == host) and site in (None, "same-origin", "none")


def _limit_body(receive: Receive) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")  # answered by the application, which is reading it
        return message

    return counted


def _add_headers(send: Send, *, private: bool) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if private:
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return with_headers
