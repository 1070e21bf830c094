"""A fake Hub for tests: two real HTTP servers in threads, which record every request."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from hang import HANG_S
from PIL import Image

JSON = "application/json"

KEY = "sk-mountsea-0123456789abcdef"
OTHER_KEY = "sk-another-9876543210fedcba"
"""API keys for tests; the stand-in accepts any key unless it is given one."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request, as it was received.

    Attributes:
        method: Such as ``POST``.
        path: The path and query, as sent.
        headers: The headers, with lower-case names.
        body: The raw body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted response.

    Attributes:
        status: The HTTP status.
        body: The raw body.
        headers: Sent in addition to ``Content-Length``.
        length: The value of ``Content-Length``; the actual length if None.
        endless: Repeats ``body`` in chunks until the client disconnects.
        reset: Resets the connection instead of responding.
        hold: Waits for this event, or the end of the stand-in, before responding.
        repeat: Is repeated until the test clears the script.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    endless: bool = False
    reset: bool = False
    hold: threading.Event | None = None
    repeat: bool = False


RESET = Reply(reset=True)
"""Resets the connection instead of responding."""

SILENT = Reply(hold=threading.Event())
"""Never responds while the stand-in runs."""

BAD_GATEWAY = Reply(
    502, b"<html><h1>502 Bad Gateway</h1></html>", {"Content-Type": "text/html; charset=utf-8"}
)
"""The error page of a proxy in front of the Hub."""

Script = Reply | Mapping[str, Any] | str | None
"""A response, or the JSON body of one with status 200; None for the default response."""


def json_reply(
    body: Any,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    hold: threading.Event | None = None,
    repeat: bool = False,
) -> Reply:
    """Create a response with a JSON body."""
    content = json.dumps(body).encode()
    named = {"Content-Type": JSON} | dict(headers or {})
    return Reply(status, content, named, hold=hold, repeat=repeat)


@cache
def image(kind: str = "png", number: int = 0, size: tuple[int, int] = (64, 48)) -> bytes:
    """Draw and encode a small image; each number gives a different one.

    Args:
        kind: ``png``, ``jpeg`` or ``webp``.
        number: Selects the image.
        size: Width and height in pixels.
    """
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.paste((40 * number % 256, 90, 200), (0, 0, size[0] // 2, size[1] // 2))
    buffer = io.BytesIO()
    image.save(buffer, kind.upper())
    return buffer.getvalue()


def data_uri(content: bytes, kind: str = "png") -> str:
    """Encode an image as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(slots=True)
class _Task:
    """One submission that the stand-in has accepted."""

    body: Any
    created_at: float
    polls: int = 0


class StandInHub:
    """A small Hub on two ports: one for the API, one for the images (another origin).

    By default it accepts every submission, completes it, and draws the requested number of images
    in the requested format. Scripted responses are sent first, in order: put them into `submits`,
    `polls` and `downloads`, at the start or at any time. A mapping is the JSON body of a 200; in
    `polls` a string is a status; None is the default response. It also serves
    ``GET /hub/v1/models``, ``GET /hub/v1/models/{id}`` and ``GET /api-user/credits``.

    Nothing listens before the ``with`` block.

    Args:
        ready_after_s: How long a task runs, in seconds.
        ready_after_polls: How many polls find a task still running (both conditions must hold).
        images: The images of every task; drawn as requested if None.
        ending: The final status of tasks.
        key: The only API key to accept; None accepts any key and none.
        credits: The credit balance.
        submits: Scripted responses to submissions.
        polls: Scripted responses to polls.
        downloads: Scripted responses to downloads.
        models: The response for each model, by id; only nano-banana is listed if None.
        listing: The response to the list of models; the ids of `models` if None.

    Attributes:
        requests: All requests to the API, in order.
        downloads_seen: All requests to the image host, in order.
        submits: Scripted responses to submissions.
        polls: Scripted responses to polls.
        downloads: Scripted responses to downloads.
        ready_after_s: How long a task runs, in seconds.
        ready_after_polls: How many polls find a task still running.
        ending: The final status of tasks.
        credits: The credit balance.
        models: The response for each model, by id; other models are a 404.
        listing: The response to the list of models; the ids of `models` if None.

    Example:
        >>> with StandInHub(ready_after_s=0.3, images=[image("jpeg")]) as hub:
        ...     settings = {"MOUNTSEA_BASE_URL": hub.url, "MOUNTSEA_API_KEY": "sk-stand-in-123"}
        ...     ...
        ...     assert len(hub.posts) == 1
    """

    def __init__(
        self,
        *,
        ready_after_s: float = 0.0,
        ready_after_polls: int = 0,
        images: Sequence[bytes] | None = None,
        ending: str = "completed",
        key: str | None = None,
        credits: float = 1000,
        submits: Iterable[Script] = (),
        polls: Iterable[Script] = (),
        downloads: Iterable[Script] = (),
        models: Mapping[str, Script] | None = None,
        listing: Script = None,
    ) -> None:
        self.ready_after_s, self.ready_after_polls = ready_after_s, ready_after_polls
        self.ending, self.credits = ending, credits
        self.requests: list[ReceivedRequest] = []
        self.downloads_seen: list[ReceivedRequest] = []
        self.submits: deque[Script] = deque(submits)
        self.polls: deque[Script] = deque(polls)
        self.downloads: deque[Script] = deque(downloads)
        self.models: dict[str, Script] = dict(models or {"nano-banana": None})
        self.listing = listing
        self._given_images, self._key = images, key
        self._tasks: dict[str, _Task] = {}
        self._changed = threading.Condition()
        self.closing = threading.Event()
        self._api = _Server(self, partial(self._respond, self.requests, self._api_reply))
        self._image_host = _Server(
            self, partial(self._respond, self.downloads_seen, self._respond_image)
        )

    @property
    def url(self) -> str:
        """The API's base URL, without a trailing slash."""
        return self._api.url

    @property
    def image_origin(self) -> str:
        """The base URL of the image host, without a trailing slash."""
        return self._image_host.url

    @property
    def credits_url(self) -> str:
        """The full URL of the credits endpoint."""
        return f"{self.url}/api-user/credits"

    @property
    def posts(self) -> list[ReceivedRequest]:
        """The submissions received, in order."""
        return [seen for seen in self.requests if seen.method == "POST"]

    @property
    def polls_seen(self) -> list[ReceivedRequest]:
        """The polls received, in order."""
        return [seen for seen in self.requests if seen.path.startswith("/hub/v1/tasks/")]

    @property
    def models_seen(self) -> list[str]:
        """The paths, without the query, of the requests for models, in order."""
        paths = [seen.path.partition("?")[0] for seen in self.requests]
        return [path for path in paths if path.startswith("/hub/v1/models")]

    @property
    def task_ids(self) -> list[str]:
        """The ids of the tasks that it has created, in order; scripted ones do not count."""
        with self._changed:
            return list(self._tasks)

    @property
    def accepted(self) -> Counter[str]:
        """How many tasks it has created for each prompt; scripted ones do not count."""
        with self._changed:
            return Counter(task.body["input"]["prompt"] for task in self._tasks.values())

    @property
    def peak_connections(self) -> tuple[int, int]:
        """The peak number of open connections: of the API and of the image host."""
        return self._api.peak_connections, self._image_host.peak_connections

    def image_url(self, name: str) -> str:
        """Return a URL on the image host with a signature in its query."""
        return f"{self.image_origin}/{name}?signature=s3cret-query"

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Block until a condition holds; it is checked after each request.

        A request whose response is on hold counts too.

        Args:
            holds: The condition.

        Raises:
            TimeoutError: If it does not hold in time.
        """
        with self._changed:
            if not self._changed.wait_for(holds, HANG_S):
                raise TimeoutError(f"the condition did not hold within {HANG_S:g} s")

    def data(self, images: Sequence[bytes | str]) -> dict[str, Any]:
        """Return the ``data`` of a completed task in the provider's shape, with all fields."""
        return {
            "images": [
                {
                    "url": item if isinstance(item, str) else data_uri(item),
                    "content_type": "image/png",
                    "file_name": f"{number}.png",
                    "file_size": 100,
                    "width": 64,
                    "height": 48,
                }
                for number, item in enumerate(images)
            ],
            "description": "A stand-in's drawing.",
        }

    def done(self, data: Any, **more: Any) -> dict[str, Any]:
        """Return the response to a poll of a completed task with the given ``data``."""
        return {
            "task_id": "hub-scripted",
            "status": "completed",
            "ready": True,
            "data": data,
            "elapsed_ms": 1500,
            "error_code": None,
            "error_message": None,
        } | more

    def __enter__(self) -> Self:
        self._api.start()
        self._image_host.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._api.stop()
        self._image_host.stop()

    def _respond(
        self,
        received: list[ReceivedRequest],
        respond: Callable[[ReceivedRequest], Reply],
        seen: ReceivedRequest,
    ) -> Reply:
        """Record a request and choose its response."""
        # one lock for both, so that the nth recorded POST gets the nth task id
        with self._changed:
            received.append(seen)
            self._changed.notify_all()
            return respond(seen)

    def _next(self, queue: deque[Script]) -> Script:
        """Take the next scripted response."""
        if queue and isinstance(queue[0], Reply) and queue[0].repeat:
            return queue[0]
        return queue.popleft() if queue else None

    def _api_reply(self, seen: ReceivedRequest) -> Reply:
        """Handle submissions, polls, models and credits."""
        key = seen.headers.get("x-api-key") or seen.headers.get("authorization", "")
        if self._key is not None and key.removeprefix("Bearer ") != self._key:
            return json_reply({"statusCode": 401, "message": "Unauthorized"}, 401)
        path = seen.path.partition("?")[0]
        if seen.method == "POST" and path == "/hub/v1/image":
            return self._respond_submit(seen)
        if path.startswith("/hub/v1/tasks/"):
            return self._respond_poll(path.rpartition("/")[2])
        if path == "/api-user/credits":
            return json_reply({"credits": self.credits})
        if path == "/hub/v1/models":
            listed = [{"model": name, "capability": "image"} for name in self.models]
            return _as_reply({"data": listed} if self.listing is None else self.listing)
        script = self.models.get(unquote(path.removeprefix("/hub/v1/models/")))
        if script is not None:
            return _as_reply(script)
        return json_reply({"statusCode": 404, "message": f"no route {path}"}, 404)

    def _respond_submit(self, seen: ReceivedRequest) -> Reply:
        """Return the documented response, with the wrong echo of the vendor's own sample."""
        script = self._next(self.submits)
        if script is not None:
            return _as_reply(script)
        task_id = f"hub-{len(self._tasks) + 1:04d}"
        self._tasks[task_id] = _Task(seen.json, time.monotonic())
        return json_reply(
            {
                "task_id": task_id,
                "status": "pending",
                "capability": "video",
                "model": "veo-3.1-fast",
                "vendor": "google",
                "mode": "text-to-image",
                "created_at": "2026-05-18T09:00:00.000Z",
            }
        )

    def _respond_poll(self, task_id: str) -> Reply:
        """Return the scripted response, or the task's status by its age and number of polls."""
        script = self._next(self.polls)
        if isinstance(script, str):
            script = {"task_id": task_id, "status": script, "ready": False, "data": None}
        if script is not None:
            return _as_reply(script)
        task = self._tasks.get(task_id)
        if task is None:
            return json_reply({"statusCode": 404, "message": "no such task"}, 404)
        task.polls += 1
        age_s = time.monotonic() - task.created_at
        body: dict[str, Any] = {
            "task_id": task_id,
            "status": "processing",
            "ready": False,
            "data": None,
            "elapsed_ms": round(age_s * 1000),
            "error_code": None,
            "error_message": None,
        }
        if age_s >= self.ready_after_s and task.polls > self.ready_after_polls:
            body |= {"status": self.ending, "ready": True}
            if self.ending == "completed":
                names = [self.image_url(f"{task_id}/{n}") for n in range(len(self._drawn(task)))]
                body["data"] = self.data(names)
            else:
                body |= {"error_code": "refused", "error_message": "The stand-in was told to."}
        return json_reply(body)

    def _drawn(self, task: _Task) -> Sequence[bytes]:
        if self._given_images is not None:
            return self._given_images
        given = task.body.get("input", {})
        kind = given.get("output_format") or "png"
        return [image(kind, number) for number in range(given.get("num_images", 1))]

    def _respond_image(self, seen: ReceivedRequest) -> Reply:
        """Return the scripted response, or the image with this path."""
        script = self._next(self.downloads)
        if script is not None:
            return _as_reply(script)
        task_id, _, number = seen.path.partition("?")[0].strip("/").partition("/")
        task = self._tasks.get(task_id)
        if task is None:
            return Reply(404, b"no such image")
        return Reply(200, self._drawn(task)[int(number)], {"Content-Type": "image/png"})


def _as_reply(script: Script) -> Reply:
    return script if isinstance(script, Reply) else json_reply(script)


class _Server(ThreadingHTTPServer):
    """An HTTP server on a free port; `stop` also closes idle keep-alive connections."""

    request_queue_size = 64
    daemon_threads = False

    def __init__(self, hub: StandInHub, respond: Callable[[ReceivedRequest], Reply]) -> None:
        self.hub, self.respond = hub, respond
        self._open: set[socket.socket] = set()
        self.peak_connections = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self.server_bind()
        self.server_activate()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        """Accept connections until `stop`; `serve_forever` would wake up all the time to check."""
        while True:
            with suppress(OSError):  # the client has disconnected already
                connection, client = self.socket.accept()
                if self._stopping:
                    connection.close()
                    return
                self.process_request(connection, client)

    def stop(self) -> None:
        if self._thread is not None:
            self._stopping = True
            with socket.socket() as wakes_up:
                wakes_up.connect(self.server_address)
            self._thread.join()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def server_bind(self) -> None:
        """Bind without the reverse DNS lookup that `http.server` makes."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
            self.peak_connections = max(self.peak_connections, len(self._open))
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect during a response, as some tests do."""


class _Handler(BaseHTTPRequestHandler):
    """Reads requests and writes their responses."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def do_GET(self) -> None:
        self._exchange()

    def do_POST(self) -> None:
        self._exchange()

    def do_DELETE(self) -> None:
        self._exchange()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _exchange(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.respond(ReceivedRequest(self.command, self.path, headers, body))
        while reply.hold is not None and not reply.hold.wait(0.02):
            if self.server.hub.closing.is_set():
                break
        if reply.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            with suppress(OSError):
                self.rfile.close()
                self.connection.close()
            return
        self._write(reply)

    def _write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.endless:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            chunk = b"%x\r\n%s\r\n" % (len(reply.body), reply.body)
            while not self.server.hub.closing.is_set():
                self.wfile.write(chunk)
                self.wfile.flush()
            return
        length = len(reply.body) if reply.length is None else reply.length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()
        self.close_connection = self.close_connection or length != len(reply.body)


@contextmanager
def closed_port() -> Iterator[str]:
    """Reserve a port that nothing listens on, and yield its URL: connections are refused."""
    with socket.socket() as reserved:
        # bound while the test runs, or another process could be given the port
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


def all_text_of(error: BaseException) -> str:
    """Return all text of an error and its causes that a verbose traceback may show.

    That is messages, representations, and the local variables of all frames outside of tests.
    """
    lines: list[str] = []
    pending: list[BaseException | None] = [error]
    visited: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in visited:
            continue
        visited.add(id(current))
        lines += [str(current), repr(current), repr(current.args), repr(vars(current))]
        pending += [current.__cause__, current.__context__]
        trace = current.__traceback__
        while trace is not None:
            if "/tests/" not in trace.tb_frame.f_code.co_filename.replace("\\", "/"):
                lines += [f"{name}={value!r}" for name, value in trace.tb_frame.f_locals.items()]
            trace = trace.tb_next
    return "\n".join(lines)
