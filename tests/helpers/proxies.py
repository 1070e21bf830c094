"""Real proxies and TLS servers on 127.0.0.1, in threads, which record their requests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
import threading
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from hang import HANG_S


class Relay:
    """A server in a thread that forwards each connection to another server.

    Args:
        routes: The real ``host:port`` for hosts that do not exist in DNS.
        tls: Use TLS with this context.

    Attributes:
        seen: The requests it has received, in order.
        routes: The real ``host:port`` for hosts that do not exist in DNS.
        port: Its port.
    """

    def __init__(
        self, routes: Mapping[str, str] | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.seen: list[str] = []
        self.routes = dict(routes or {})
        self.port = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        self._server = starting.result(HANG_S)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(HANG_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await self.serve(reader, writer)
        await _close(writer)

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Serve one connection: forward it to the route ``*``."""
        await self.forward("*", reader, writer)

    async def forward(self, target: str, reader: Reader, writer: Writer, head: bytes = b"") -> None:
        """Copy bytes in both directions between a client and a target."""
        host, _, port = self.routes.get(target, target).rpartition(":")
        server_reader, server_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        server_writer.write(head)
        copies = [
            asyncio.ensure_future(copy)
            for copy in (_copy(reader, server_writer), _copy(server_reader, writer))
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await _close(server_writer)


class HttpProxy(Relay):
    """An HTTP proxy: CONNECT for https, absolute URLs for http.

    Attributes:
        refusal: If set, the status of each response, such as ``407 Proxy Authentication Required``.
        page: The body of that response.
        hang_up: Closes each connection after the request, without a response.
        users: The required credentials, as ``user:password``.
    """

    refusal = ""
    page = b""
    hang_up = False
    users = ""

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Read the first request, and forward the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        self.seen.append(f"{method} {target}")
        if self.hang_up:
            return
        expected = f"Proxy-Authorization: Basic {base64.b64encode(self.users.encode()).decode()}"
        refusal = self.refusal
        if self.users and expected.encode() not in head:
            refusal = "407 Proxy Authentication Required"
        if refusal:
            start = f"HTTP/1.1 {refusal}\r\nContent-Type: text/html\r\n"
            writer.write(start.encode() + b"Content-Length: %d\r\n\r\n" % len(self.page))
            writer.write(self.page)
            await writer.drain()
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self.forward(target, reader, writer)
            return
        url = urlsplit(target)
        path = url.path + (f"?{url.query}" if url.query else "")
        head = head.replace(target.encode(), path.encode(), 1)
        # one request per connection, so that each is recorded
        head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
        head = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        await self.forward(f"{url.hostname}:{url.port or 80}", reader, writer, head)


class SocksProxy(Relay):
    """A SOCKS5 server, as ``ssh -D`` makes one.

    Attributes:
        users: The required credentials, as ``user:password``; none if empty.
        reply: The reply code to a connect request; 0 is success.
    """

    users = ""
    reply = 0

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Do the handshake, and forward the connection."""
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        required = 2 if self.users else 0
        writer.write(bytes([5, required if required in methods else 255]))
        if required not in methods:
            self.seen.append("wrong method")
            await writer.drain()
            return
        if required == 2:
            await reader.readexactly(1)
            user = await reader.readexactly((await reader.readexactly(1))[0])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            is_valid = (user + b":" + password).decode() == self.users
            writer.write(bytes([1, 0 if is_valid else 1]))
            if not is_valid:
                self.seen.append("wrong user")
                await writer.drain()
                return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.seen.append(f"{host}:{port}")
        writer.write(bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self.reply == 0:
            await self.forward(f"{host}:{port}", reader, writer)
        else:
            await writer.drain()


async def _copy(reader: Reader, writer: Writer) -> None:
    """Copy bytes until one side closes."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def _close(writer: Writer) -> None:
    """Close a socket, or the garbage collector would warn about it."""
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await asyncio.wait_for(writer.wait_closed(), 5)
