"""Serve the demo Hub over HTTP: uvicorn with connection limits and a startup message."""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import build_app
from .guard import Guard
from .hosts import AllowedHosts, allowed_hosts
from .http_app import HttpDemoHub
from .limits import Limits
from .tasks import TaskStore
from .worker_pool import WorkerPool

_CHECK_S = 1.0
"""How often each connection is checked, in seconds."""

_MAX_LINES, _MAX_LINE = 1000, 500
"""How many log lines may be queued, and how many characters each may have."""


class BoundedProtocol(H11Protocol):
    """A connection that is dropped if the client is too slow to send a request or read a response.

    Attributes:
        limits: How many connections there may be, and how long each may take.
    """

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Start the periodic check, and drop an idle connection if there are too many."""
        super().connection_made(transport)
        self._last_state: tuple[object, bool] = (None, False)
        self.since_s = self.loop.time()
        self._timer = self.loop.call_later(_CHECK_S, self._check)
        others = [
            other
            for other in self.connections
            if isinstance(other, BoundedProtocol) and not other.transport.is_closing()
        ]
        if len(others) > self.limits.connections:
            # of the client with the most connections, drop the one that has been idle longest
            counts = Counter(other.client_host for other in others)
            idle = [other for other in others if not other.is_busy]
            worst = min(idle, key=lambda other: (-counts[other.client_host], other.since_s))
            worst.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the periodic check."""
        self._timer.cancel()
        super().connection_lost(exc)

    @property
    def is_busy(self) -> bool:
        """Whether a request is in progress."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def client_host(self) -> str:
        """The IP address at the other end."""
        return self.client[0] if self.client else ""

    def _check(self) -> None:
        """Drop the connection after its time limit; uvicorn's time-outs restart at every byte."""
        now_s, state = self.loop.time(), (self.cycle, self.is_busy)
        if state != self._last_state:
            self._last_state, self.since_s = state, now_s
        limit_s = self.limits.request_s if self.is_busy else self.limits.headers_s
        if now_s - self.since_s > limit_s:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(_CHECK_S, self._check)


class BackgroundLogHandler(logging.Handler):
    """Writes log lines in a thread, so that a blocked terminal or pipe never blocks requests.

    Args:
        handler: Formats the lines, and has the stream to write to.

    Example:
        >>> log = BackgroundLogHandler(logging.StreamHandler(sys.stdout))
        >>> log.emit(logging.makeLogRecord({"msg": "ready"}))
        >>> log.close()
        ready
    """

    def __init__(self, handler: logging.StreamHandler[TextIO]) -> None:
        super().__init__()
        self._handler = handler
        self._lines: queue.Queue[str | None] = queue.Queue(_MAX_LINES)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or drop it if the queue is full."""
        text = self._handler.format(record)
        if record.exc_info is None:
            text = text[:_MAX_LINE]
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            return

    def close(self) -> None:
        """Wait up to a second for the queued lines to be written."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout=1)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                print(line, file=self._handler.stream, flush=True)
            except (OSError, ValueError):  # the stream is closed
                return


def serve(
    folder: Path,
    *,
    host: str,
    port: int,
    seconds: float,
    key: str | None = None,
    allow_hosts: Iterable[str] = (),
    limits: Limits | None = None,
) -> None:
    """Serve the demo Hub until interrupted.

    Args:
        folder: Where tasks are stored.
        host: The IP address or host name to listen on.
        port: The port; 0 picks a free one.
        seconds: Duration of a task in seconds, varied by up to 25 %.
        key: The only API key to accept; None accepts any key and none.
        allow_hosts: More host names to accept.
        limits: The limits to enforce; the defaults if None.

    Raises:
        OSError: If it can't listen on that address.
    """
    limits = limits or Limits()
    listener = listen(host, port)
    bound, port = listener.getsockname()[:2]
    hosts = allowed_hosts(host, bound, allow_hosts)
    tasks = TaskStore(
        folder,
        seconds=seconds,
        max_tasks=limits.stored_tasks,
        max_input_bytes=limits.input_bytes,
    )
    pool = WorkerPool(tasks, folder, limits)
    pool.warm_up()
    app = Guard(build_app(HttpDemoHub(tasks, key, pool, limits)), hosts, limits)
    config = server_config(app, limits)
    log_handlers = _log_in_background()
    # the listener already accepts connections, so the message is true
    print(startup_message(host, port, hosts, key, limits, pool), file=sys.stderr, flush=True)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return  # Ctrl+C is the normal way to stop
    finally:
        pool.close()
        for handler in log_handlers:
            handler.close()


def startup_message(
    host: str,
    port: int,
    hosts: AllowedHosts,
    key: str | None,
    limits: Limits,
    pool: WorkerPool,
) -> str:
    """Return two lines: where the server listens and for which hosts, and its limits."""
    url_host = f"[{host}]" if ":" in host else host
    key_note = "requires the key given by --key" if key else "no key needed"
    return (
        f"Demo Hub on http://{url_host}:{port} ({key_note}). Allowed hosts: {hosts.describe()}; "
        "no requests from web pages of other origins. Press Ctrl+C to stop.\n"
        f"Limits: bodies {limits.body_bytes // 10**6} MB, prompts {limits.prompt_chars} "
        f"characters, {limits.open_tasks} open tasks ({limits.client_tasks} per client), "
        f"{limits.stored_tasks} stored, {limits.image_bytes // 10**6} MB of images, "
        f"{limits.connections} connections, {pool.workers} images drawn at once."
    )


def listen(host: str, port: int) -> socket.socket:
    """Create a listening socket.

    Args:
        host: An IP address or a name.
        port: The port; 0 picks a free one.

    Raises:
        OSError: If the address can't be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=256, dualstack_ipv6=both)


def server_config(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """Configure uvicorn: no WebSockets, and h11, whose size limits are known, as the parser.

    Args:
        app: The ASGI app.
        limits: How many connections there are, and how long each may take.
    """

    class Protocol(BoundedProtocol):
        pass

    Protocol.limits = limits
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_level="info",
        h11_max_incomplete_event_size=32_768,
        timeout_graceful_shutdown=3,
        server_header=False,
    )


def _log_in_background() -> list[BackgroundLogHandler]:
    """Replace the handlers that uvicorn has set up with ones that write in a thread."""
    replaced = []
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        for handler in [*logger.handlers]:
            if isinstance(handler, logging.StreamHandler):
                replaced.append(BackgroundLogHandler(handler))
                logger.removeHandler(handler)
                logger.addHandler(replaced[-1])
    return replaced
