"""ASGI middleware that checks requests to the demo Hub over HTTP before they reach the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .hosts import AllowedHosts, is_own_origin
from .limits import Limits, WeightedSemaphore
from .responses import error_response
from .submissions import RequestRejected

MAX_HEADER_BYTES = 32_768
_DRAIN_S = 5.0
"""How long to go on reading a rejected body, in seconds: a client that is still sending would
not read the response."""


class Guard:
    """Rejects requests from other origins, for other hosts, and with bodies that are too large.

    Args:
        app: The demo Hub.
        hosts: The hosts to accept.
        limits: The limits to enforce; the defaults if None.

    Example:
        >>> from pathlib import Path
        >>> from mountsea_magic.demo.server.app import create_app
        >>> guard = Guard(create_app(Path("demo")), AllowedHosts())
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts, limits: Limits | None = None) -> None:
        self._app, self._hosts = app, hosts
        self._limits = limits or Limits()
        self._bodies = WeightedSemaphore(self._limits.bodies_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject a request, or pass it to the app."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
            await send(message)

        ended = False

        async def receive_and_track() -> Message:
            nonlocal ended
            message = await receive()
            ended = not message.get("more_body", False)
            return message

        try:
            self._check(scope)
            async with self._body(scope, receive_and_track) as replay:
                await self._app(scope, replay, send_with_headers)
        except RequestRejected as rejection:
            if not ended:
                await _drain(receive_and_track, 2 * self._limits.body_bytes)
            await error_response(rejection)(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        """Check the headers, before the body is read."""
        headers = Headers(scope=scope)
        raw = scope["headers"]
        if sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
            raise RequestRejected(431, "The headers are too large.")
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._hosts.allows(hosts[0]):
            raise RequestRejected(
                421,
                "This host name is not allowed. Restart the demo Hub with --allow-host NAME to "
                "allow it.",
            )
        own = all(is_own_origin(origin, hosts[0]) for origin in origins) and len(origins) < 2
        if not own or _is_foreign_page(headers, scope["method"]):
            raise RequestRejected(403, "Requests from web pages of other origins are not allowed.")
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise RequestRejected(415, "Compressed request bodies are not supported.")
        if scope["method"] != "POST":
            return
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or len(headers.getlist("content-type")) > 1:
            raise RequestRejected(415, "Content-Type must be application/json.")
        if _length(headers, self._limits.body_bytes) > self._limits.body_bytes:
            raise self._too_large()

    @asynccontextmanager
    async def _body(self, scope: Scope, receive: Receive) -> AsyncIterator[Receive]:
        """Read the body of a POST within the limits, and yield a `receive` that replays it."""
        if scope["method"] != "POST":
            yield receive
            return
        length = _length(Headers(scope=scope), self._limits.body_bytes)
        amount = length if length > self._limits.free_bytes else 0
        async with self._bodies.acquire(amount, timeout_s=self._limits.turn_s):
            body: bytes | None = await self._read(receive)

            async def replay() -> Message:
                nonlocal body
                if body is None:
                    return await receive()
                message = {"type": "http.request", "body": body, "more_body": False}
                body = None
                return message

            yield replay

    async def _read(self, receive: Receive) -> bytes:
        """Read a body, up to its maximum size and time."""
        content = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise RequestRejected(400, "The request body is incomplete.")
                    content += message.get("body", b"")
                    if len(content) > self._limits.body_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return bytes(content)
        except TimeoutError:
            raise RequestRejected(408, "The request body arrived too slowly.") from None

    def _too_large(self) -> RequestRejected:
        return RequestRejected(
            413, f"The request body may be at most {self._limits.body_bytes // 10**6} MB."
        )


def _is_foreign_page(headers: Headers, method: str) -> bool:
    """Check Sec-Fetch-*, which browsers send without `Origin`; a link that was clicked is fine."""
    site = headers.get("sec-fetch-site", "none").lower()
    clicked = (
        method in ("GET", "HEAD")
        and headers.get("sec-fetch-user") == "?1"
        and headers.get("sec-fetch-dest") == "document"
    )
    return site not in ("none", "same-origin") and not clicked


def _length(headers: Headers, unknown: int) -> int:
    """Return the declared length of a body in bytes, or `unknown` for a chunked one."""
    declared = headers.get("content-length", "")
    if "transfer-encoding" in headers or not declared:
        return unknown if "transfer-encoding" in headers else 0
    return int(declared) if declared.isdecimal() and len(declared) < 16 else unknown + 1


async def _drain(receive: Receive, max_bytes: int) -> None:
    """Read and discard the rest of a body."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            while max_bytes > 0:
                message = await receive()
                max_bytes -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
