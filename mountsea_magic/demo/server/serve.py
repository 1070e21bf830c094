"""The server of the demo Hub over HTTP: uvicorn with bounds, and what it says as it starts."""

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

from .app import app_of
from .guard import Guard
from .hosts import AllowedHosts, allowed_hosts
from .http_app import ServedHub
from .limits import Limits
from .tasks import TaskStore
from .worker_pool import Workshop

_CHECK_S = 1.0
"""How often each connection is checked, in seconds."""

_MAX_LINES, _MAX_LINE = 1000, 500
"""How many log lines wait to be written, and how many characters one has at most."""


class BoundedProtocol(H11Protocol):
    """A connection that is dropped if no whole request comes, or its response is not read.

    Attributes:
        limits: How many there are, and how long each may take.
    """

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to watch the connection, and drop an idle one if there are too many."""
        super().connection_made(transport)
        self._seen: tuple[object, bool] = (None, False)
        self.since_s = self.loop.time()
        self._watch = self.loop.call_later(_CHECK_S, self._check)
        others = [
            other
            for other in self.connections
            if isinstance(other, BoundedProtocol) and not other.transport.is_closing()
        ]
        if len(others) > self.limits.connections:
            # whoever has most of them loses the one that has been idle longest
            count = Counter(other.client_host for other in others)
            idle = [other for other in others if not other.is_busy]
            worst = min(idle, key=lambda other: (-count[other.client_host], other.since_s))
            worst.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no longer."""
        self._watch.cancel()
        super().connection_lost(exc)

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def client_host(self) -> str:
        """The IP address at the other end."""
        return self.client[0] if self.client else ""

    def _check(self) -> None:
        """Any byte ends uvicorn's own time-outs, also of headers that never end."""
        now_s, seen = self.loop.time(), (self.cycle, self.is_busy)
        if seen != self._seen:
            self._seen, self.since_s = seen, now_s
        limit_s = self.limits.request_s if self.is_busy else self.limits.headers_s
        if now_s - self.since_s > limit_s:
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(_CHECK_S, self._check)


class PatientLog(logging.Handler):
    """Writes log lines in a thread: a terminal or pipe that nobody reads stops no request.

    Example:
        >>> log = PatientLog(logging.StreamHandler(sys.stdout))
        >>> log.emit(logging.makeLogRecord({"msg": "ready"}))
        >>> log.close()
        ready
    """

    def __init__(self, handler: logging.StreamHandler[TextIO]) -> None:
        """Write what a handler would.

        Args:
            handler: Formats the lines, and has the stream.
        """
        super().__init__()
        self._handler = handler
        self._lines: queue.Queue[str | None] = queue.Queue(_MAX_LINES)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a line written, or drop it if too many wait."""
        text = self._handler.format(record)
        if record.exc_info is None:
            text = text[:_MAX_LINE]
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            return

    def close(self) -> None:
        """Wait a second at most for the lines that are left."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout=1)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                print(line, file=self._handler.stream, flush=True)
            except (OSError, ValueError):  # nobody is there to read it
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
        folder: Where its tasks are kept.
        host: The address or name to listen on.
        port: The port; 0 takes a free one.
        seconds: How long a task takes, give or take a quarter, in seconds.
        key: The only key that is accepted; None accepts any and none.
        allow_hosts: More names by which it may be asked.
        limits: What it takes, keeps and waits for.

    Raises:
        OSError: If it can't listen there.
    """
    limits = limits or Limits()
    listener = listen(host, port)
    bound, port = listener.getsockname()[:2]
    hosts = allowed_hosts(host, bound, allow_hosts)
    tasks = TaskStore(
        folder,
        seconds=seconds,
        max_tasks=limits.kept_tasks,
        max_input_bytes=limits.input_bytes,
    )
    workshop = Workshop(tasks, folder, limits)
    workshop.warm_up()
    app = Guard(app_of(ServedHub(tasks, key, workshop, limits)), hosts, limits)
    config = server_config(app, limits)
    logs = _patient_logs()
    # connections wait in the listener from now on, so that the line is true
    print(startup_message(host, port, hosts, key, limits, workshop), file=sys.stderr, flush=True)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return  # Ctrl+C is how it is ended
    finally:
        workshop.close()
        for log in logs:
            log.close()


def startup_message(
    host: str,
    port: int,
    hosts: AllowedHosts,
    key: str | None,
    limits: Limits,
    workshop: Workshop,
) -> str:
    """Say where it listens, for whom, and within which limits, in two lines."""
    place = f"[{host}]" if ":" in host else host
    needs = "needs the key of --key" if key else "no key needed"
    return (
        f"Demo Hub on http://{place}:{port} ({needs}), asked as {hosts.describe()}; "
        "not from web pages of other origins. Ctrl+C ends it.\n"
        f"Limits: bodies {limits.body_bytes // 10**6} MB, prompts {limits.prompt_chars} "
        f"characters, {limits.open_tasks} open tasks ({limits.client_tasks} of one client), "
        f"{limits.kept_tasks} kept, {limits.image_bytes // 10**6} MB of images, "
        f"{limits.connections} connections; {workshop.helpers} images drawn at once, in turn."
    )


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address, and accept connections from now on.

    Args:
        host: An IP address or a name.
        port: The port; 0 takes a free one.

    Raises:
        OSError: If it is not to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=256, dualstack_ipv6=both)


def server_config(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """Configure uvicorn: no WebSockets, and the one parser of HTTP whose bounds are known.

    Args:
        app: What answers.
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


def _patient_logs() -> list[PatientLog]:
    """Uvicorn has set up its loggers by now; each handler writes in a thread of its own."""
    made = []
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        for handler in [*logger.handlers]:
            if isinstance(handler, logging.StreamHandler):
                made.append(PatientLog(handler))
                logger.removeHandler(handler)
                logger.addHandler(made[-1])
    return made
