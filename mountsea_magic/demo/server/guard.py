"""The guard: what stands between the demo Hub and whoever reaches its port over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .hosts import AllowedHosts, is_own_origin
from .limits import Budget, Limits
from .responses import refused
from .submissions import Refusal

MAX_HEADER_BYTES = 32_768
_DRAIN_S = 5.0
"""How long the rest of a refused body is read: who still writes would not see the refusal."""


class Guard:
    """Refuses requests of web pages, for other hosts, and with bodies that are too large.

    Example:
        >>> from pathlib import Path
        >>> from mountsea_magic.demo.server.app import create_app
        >>> guard = Guard(create_app(Path("demo")), AllowedHosts())
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts, limits: Limits | None = None) -> None:
        """Guard an app.

        Args:
            app: The demo Hub.
            hosts: Which hosts it was started for.
            limits: What it takes.
        """
        self._app, self._hosts = app, hosts
        self._limits = limits or Limits()
        self._bodies = Budget(self._limits.bodies_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the app answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
            await send(message)

        ended = False

        async def receive_more() -> Message:
            nonlocal ended
            message = await receive()
            ended = not message.get("more_body", False)
            return message

        try:
            self._check(scope)
            async with self._body(scope, receive_more) as again:
                await self._app(scope, again, send_more)
        except Refusal as refusal:
            if not ended:
                await _drain(receive_more, 2 * self._limits.body_bytes)
            await refused(refusal)(scope, receive, send_more)

    def _check(self, scope: Scope) -> None:
        """Refuse by the headers alone."""
        headers = Headers(scope=scope)
        raw = scope["headers"]
        if sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
            raise Refusal(431, "The headers are too large.")
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._hosts.allows(hosts[0]):
            raise Refusal(
                421,
                "This demo Hub was not started for that host name. Whoever runs it can allow it: "
                "--allow-host NAME.",
            )
        own = all(is_own_origin(origin, hosts[0]) for origin in origins) and len(origins) < 2
        if not own or _is_foreign_page(headers, scope["method"]):
            raise Refusal(403, "The demo Hub takes no requests from web pages of other origins.")
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise Refusal(415, "The body must not be compressed.")
        if scope["method"] != "POST":
            return
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or len(headers.getlist("content-type")) > 1:
            raise Refusal(415, "The Content-Type must be application/json.")
        if _length(headers, self._limits.body_bytes) > self._limits.body_bytes:
            raise self._too_large()

    @asynccontextmanager
    async def _body(self, scope: Scope, receive: Receive) -> AsyncIterator[Receive]:
        """Read a whole body within its limits; of other methods than POST none is read."""
        if scope["method"] != "POST":
            yield receive
            return
        length = _length(Headers(scope=scope), self._limits.body_bytes)
        amount = length if length > self._limits.free_bytes else 0
        async with self._bodies.hold(amount, patience_s=self._limits.turn_s):
            body: bytes | None = await self._read(receive)

            async def again() -> Message:
                nonlocal body
                if body is None:
                    return await receive()
                message = {"type": "http.request", "body": body, "more_body": False}
                body = None
                return message

            yield again

    async def _read(self, receive: Receive) -> bytes:
        """A body that trickles, or does not end, is given up."""
        content = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Refusal(400, "The body is not whole.")
                    content += message.get("body", b"")
                    if len(content) > self._limits.body_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return bytes(content)
        except TimeoutError:
            raise Refusal(408, "The body came in too slowly.") from None

    def _too_large(self) -> Refusal:
        return Refusal(413, f"A body may have at most {self._limits.body_bytes // 10**6} MB.")


def _is_foreign_page(headers: Headers, method: str) -> bool:
    """Browsers say so where there is no `Origin`; a link that a person clicks is no page's."""
    site = headers.get("sec-fetch-site", "none").lower()
    clicked = (
        method in ("GET", "HEAD")
        and headers.get("sec-fetch-user") == "?1"
        and headers.get("sec-fetch-dest") == "document"
    )
    return site not in ("none", "same-origin") and not clicked


def _length(headers: Headers, unknown: int) -> int:
    """The declared length of a body in bytes; a body in chunks may be of any."""
    declared = headers.get("content-length", "")
    if "transfer-encoding" in headers or not declared:
        return unknown if "transfer-encoding" in headers else 0
    return int(declared) if declared.isdecimal() and len(declared) < 16 else unknown + 1


async def _drain(receive: Receive, max_bytes: int) -> None:
    """Drop what is left of a body."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            while max_bytes > 0:
                message = await receive()
                max_bytes -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
