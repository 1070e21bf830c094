"""The network between this process and its demo Hub: no socket, and faults by name for lessons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
from starlette.applications import Starlette

DEMO_ORIGIN = "http://demo-hub.invalid"
"""What the demo Hub is called on its own network; no resolver knows names that end in .invalid."""

FAULTS = {
    "none": "all is well",
    "offline": "nothing can be reached",
    "lost-answer": "an order arrives, but its answer is lost",
    "busy": "the Hub refuses orders with 429 and asks for a pause of 2 s",
    "flaky": "every other look at a task fails",
    "html": "a proxy answers looks at a task with its own page, 502",
    "expired": "the URLs of images have expired",
    "cut": "images arrive only by half",
}
"""The faults that `%mountsea demo --fail` knows, with what each does."""


class DemoNetwork(httpx.AsyncBaseTransport):
    """Carries requests to a demo Hub in this process.

    Example:
        >>> from pathlib import Path
        >>> from mountsea_magic.demo.server.app import create_app
        >>> client = httpx.AsyncClient(transport=DemoNetwork(create_app(Path("demo"))))
    """

    def __init__(self, app: Starlette, fault: Callable[[], str] = lambda: "none") -> None:
        """Connect to an app.

        Args:
            app: The demo Hub.
            fault: Tells at each request which of `FAULTS` is on.
        """
        self._fault = fault
        # a fault of the app is a 500 of the Hub's, as it would be over a socket
        self._hub = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._looks = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request, or break it as the fault says.

        Raises:
            httpx.TransportError: If the fault is one of the network's.
        """
        place, fault = _place(request), self._fault()
        if fault == "offline":
            raise httpx.ConnectError("the demo's network is off")
        broken = _BREAKS.get((fault, place))
        if fault == "flaky" and place == "task":
            self._looks += 1
            if self._looks % 2:
                raise httpx.ReadError("the demo's network is flaky")
        if broken is None:
            return await self._hub.handle_async_request(request)
        return await broken(self._hub, request)


def _place(request: httpx.Request) -> str:
    """Which part of the contract a request is about."""
    if request.method == "POST":
        return "order"
    step = request.url.path.rpartition("/")[0]
    return "task" if step == "/hub/v1/tasks" else "picture" if "/pictures/" in step else "other"


async def _lose_answer(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """The worst case of all: the order is taken, and nobody is told its id."""
    await hub.handle_async_request(request)
    raise httpx.ReadError("the demo's network lost the answer")


async def _refuse_busy(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """A refusal with 429 is the one answer to an order after which it surely was not taken."""
    return httpx.Response(429, headers={"Retry-After": "2"}, json={"message": "Slow down."})


async def _answer_html(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """Proxies speak HTML where an API speaks JSON."""
    return httpx.Response(502, html="<html><body><h1>502 Bad Gateway</h1></body></html>")


async def _expire(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """As a signed URL does after some minutes."""
    return httpx.Response(403, text="Request has expired")


async def _cut(hub: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """Half a file with a friendly 200 in front: only decoding it tells."""
    response = await hub.handle_async_request(request)
    content = await response.aread()
    return httpx.Response(200, content=content[: len(content) // 2])


_Break = Callable[[httpx.ASGITransport, httpx.Request], Awaitable[httpx.Response]]
_BREAKS: dict[tuple[str, str], _Break] = {
    ("lost-answer", "order"): _lose_answer,
    ("busy", "order"): _refuse_busy,
    ("html", "task"): _answer_html,
    ("expired", "picture"): _expire,
    ("cut", "picture"): _cut,
}
