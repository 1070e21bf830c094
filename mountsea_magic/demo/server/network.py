"""An httpx transport to the demo Hub in this process: no sockets, and named faults for lessons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette

from ...runtime.httpx_import import httpx

DEMO_ORIGIN = "http://demo-hub.invalid"
"""The demo Hub's base URL in-process; names that end in .invalid never resolve."""

FAULTS = {
    "none": "no fault",
    "offline": "the Hub can't be reached",
    "lost-answer": "a submission arrives, but its response is lost",
    "busy": "the Hub rejects submissions with 429 and Retry-After: 2",
    "flaky": "every other poll fails",
    "html": "a proxy responds to polls with its own HTML page (HTTP 502)",
    "expired": "image URLs have expired",
    "cut": "downloads are cut off halfway",
}
"""The modes of `%mountsea demo --fail`, and what each does."""


class DemoNetwork(httpx.AsyncBaseTransport):
    """Sends requests to a demo Hub in this process.

    Args:
        app: The demo Hub.
        fault: Returns which of `FAULTS` is on; called for each request.

    Example:
        >>> from pathlib import Path
        >>> from mountsea_magic.demo.server.app import create_app
        >>> client = httpx.AsyncClient(transport=DemoNetwork(create_app(Path("demo"))))
    """

    def __init__(self, app: Starlette, fault: Callable[[], str] = lambda: "none") -> None:
        self._fault = fault
        # an exception in the app becomes a 500 response, as it would over a socket
        self._hub = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._polls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, subject to the current fault.

        Raises:
            httpx.TransportError: If the fault is a network error.
        """
        endpoint, fault = _endpoint_of(request), self._fault()
        if fault == "offline":
            raise httpx.ConnectError("the demo network is offline")
        break_request = _BREAKS.get((fault, endpoint))
        if fault == "flaky" and endpoint == "task":
            self._polls += 1
            if self._polls % 2:
                raise httpx.ReadError("the demo network is flaky")
        if break_request is None:
            return await self._hub.handle_async_request(request)
        return await break_request(self._hub, request)


def _endpoint_of(request: httpx.Request) -> str:
    """Return which kind of endpoint a request is for."""
    if request.method == "POST":
        return "submit"
    parent = request.url.path.rpartition("/")[0]
    if parent == "/hub/v1/tasks":
        return "task"
    return "image" if "/pictures/" in parent else "other"


async def _lose_response(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """The Hub creates the task, but the client never gets its id."""
    await hub.handle_async_request(request)
    raise httpx.ReadError("the demo network lost the response")


async def _refuse_busy(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """Reject a submission with 429: no task is created."""
    return httpx.Response(429, headers={"Retry-After": "2"}, json={"message": "Slow down."})


async def _send_html_page(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """Respond as a proxy in front of the Hub does."""
    return httpx.Response(502, html="<html><body><h1>502 Bad Gateway</h1></body></html>")


async def _expire(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """Respond as an image host does to an expired signed URL."""
    return httpx.Response(403, text="Request has expired")


async def _cut(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """Send half the file with status 200: only decoding it reveals the damage."""
    response = await hub.handle_async_request(request)
    content = await response.aread()
    return httpx.Response(200, content=content[: len(content) // 2])


_Break = Callable[[httpx.ASGITransport, httpx.Request], Awaitable[httpx.Response]]
_BREAKS: dict[tuple[str, str], _Break] = {
    ("lost-answer", "submit"): _lose_response,
    ("busy", "submit"): _refuse_busy,
    ("html", "task"): _send_html_page,
    ("expired", "image"): _expire,
    ("cut", "image"): _cut,
}
