"""The exchange: one HTTP request to the Hub and its response; no frame with the key escapes it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator
from contextlib import aclosing, nullcontext
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx

from .. import __version__
from ..errors import ConfigurationError, MountseaError, without_frames
from ..images.files import MAX_BYTES
from ..runtime.key_redaction import MAX_SEARCHED_CHARS
from ..runtime.redaction import guard_logs
from ..settings import Secret
from .bounded_json import MAX_TEXT_BYTES, JsonBody
from .downloads import without_request
from .error_mapping import ACCEPTED, HubResponse
from .network_errors import describe_failure
from .proxies import Network, Proxy
from .response_body import Failure, receive, unreadable
from .transport import Departure, EnvironmentTransport, Peers

CONNECT_S = 10.0
SUBMIT_READ_S = 60.0
"""An order may take its time: giving up on its answer is what makes it uncertain."""
READ_S = 30.0
MAX_REQUESTS = 24
"""How many requests wait for a response at once, submissions apart: each has a socket open, and
macOS lets a process open 256 files."""

MAX_IDLE = 8
"""How many connections are kept open for the next request."""

MAX_ANSWER_BYTES = 6 * MAX_BYTES
"""The largest response about a task: four images as data URIs, in bytes."""

MAX_OTHER_BYTES = 2 * MAX_BYTES
"""The largest of any other: it may echo the images that were sent, in bytes."""

MAX_SEARCHED = 2**18
"""How much of one JSON answer is searched for the key in every form, in characters."""

_URL = re.compile(r"(?i)\s*(?:https?:|data:|//)")

_IDS = ("task_id", "taskId", "id")
"""What must stay as it is to be asked for again, even if it begins as the account's key does."""

_HEADERS = ("retry-after", "location")
"""What is read of a response's headers."""

_NEVER_ARRIVED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""What a Hub in this process never sees; for one on the network `Departure` tells it exactly."""


class Exchange:
    """Sends requests to one Hub, with its key.

    Attributes:
        http: What carries the requests, without any key of its own.
        peers: Which IP addresses have answered.
        redact: Returns a text without the key, should a host echo it.

    Example:
        >>> async def status(exchange: Exchange) -> int | None:
        ...     response = await exchange.request("GET", "https://hub.example/hub/v1/models")
        ...     return response.status if isinstance(response, HubResponse) else None
    """

    def __init__(
        self,
        key: Secret | None,
        transport: httpx.AsyncBaseTransport | None,
        network: Network | None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            key: The API key.
            transport: What carries the requests in place of the network.
            network: The proxies and certificates; None if there is a transport.

        Raises:
            ConfigurationError: If the environment names certificates that can't be used.
        """
        self._key = key
        self.redact: Callable[[str], str] = str if key is None else key.redact_in
        self._network = network
        self.peers: Peers = {}
        # beside httpx's own limit, which counts the wait for a connection as a time-out
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self.http = self._make_client(
            transport, READ_S, limits=httpx.Limits(max_keepalive_connections=MAX_IDLE)
        )
        # No keep-alive for submissions: if the Hub closes an idle connection, we can't tell whether
        # the POST arrived.
        self._submitting = self._make_client(
            transport, SUBMIT_READ_S, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self.http.aclose()
        await self._submitting.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        submitting: bool = False,
        with_images: bool = False,
        key_header: str = "Authorization",
    ) -> HubResponse | Failure:
        """Send a request once.

        Args:
            method: Such as ``GET``.
            url: The whole URL.
            json: The body.
            submitting: Whether this may cost something: then nothing of its response is given up.
            with_images: Whether the response may hold images, as data URIs.
            key_header: The header that bears the key.

        Returns:
            The response, or why there is none: raised here, a failure of the network would drag
            httpx's frames along, which hold the request's headers, and so the key.

        Raises:
            ConfigurationError: If the URL can't be asked for, or its proxy can't be used.
        """
        guard_logs(self.redact)
        slot = nullcontext() if submitting else self._slots
        try:
            async with slot:
                return await self._sent(method, url, json, key_header, submitting, with_images)
        except BaseException as error:
            # also a cancellation and an interrupt, which hit any line of httpx
            raise without_frames(error) from None

    async def _sent(
        self,
        method: str,
        url: str,
        json: Any,
        key_header: str,
        submitting: bool,
        with_images: bool,
    ) -> HubResponse | Failure:
        """Send a request once, and read its response within limits."""
        departure = Departure()
        prefix = "Bearer " if key_header == "Authorization" else ""
        auth = _KeyAuth(self._key, key_header, prefix)
        try:
            client = self._submitting if submitting else self.http
            request = client.build_request(method, url, json=json, extensions={"trace": departure})
            patience_s = CONNECT_S + 1.1 * (client.timeout.read or 0)
            # one deadline for all of it, whatever trickles in or is decoded to nothing
            async with asyncio.timeout(2 * patience_s) as deadline:
                async with asyncio.timeout(patience_s):
                    response = await client.send(request, auth=auth, stream=True)
                async with aclosing(response):
                    body = self._body_of(response, len(request.content), with_images=with_images)
                    await receive(
                        response,
                        body,
                        deadline,
                        max_bytes=MAX_ANSWER_BYTES if with_images else MAX_OTHER_BYTES,
                        # the task's id is in the response to a submission
                        to_the_end=submitting,
                    )
        except httpx.InvalidURL as error:
            said = without_request(error)
            raise ConfigurationError(
                f"The Hub's address can't be asked ({said}): check MOUNTSEA_BASE_URL."
            ) from None
        except MountseaError:
            raise
        except Exception as error:
            # httpx, httpcore, the TLS library and the resolver raise more kinds than httpx's own
            return self._failure(error, url, departure)
        kept = {name: self.redact(response.headers.get(name, "")) for name in _HEADERS}
        status = response.status_code
        fallback = unreadable(status, kept, body, submitting=submitting) if body.problem else None
        if isinstance(fallback, Failure):
            return fallback
        answer = fallback or HubResponse.read(status, kept, body)
        try:
            value, text = self._blotted(answer.body, _Budget()), self.redact(answer.text)
        except RecursionError:
            value, text = None, ""
        value = body.restored(value)
        return replace(answer, body=value, text=text, proxy=self._proxy_for(url))

    def _body_of(self, response: httpx.Response, sent: int, *, with_images: bool) -> JsonBody:
        """Only a task has images of its own; any other response may echo those that were sent."""
        own = MAX_ANSWER_BYTES if with_images and response.status_code in ACCEPTED else 0
        echo = 2 * sent + MAX_TEXT_BYTES if sent else 0
        return JsonBody(max_inline_bytes=own or echo, key=self._key)

    def _failure(self, error: Exception, url: str, departure: Departure) -> Failure:
        """What happened, without the request and its frames."""
        cause = without_request(error)
        if self._network is None:
            return Failure(cause, maybe_sent=not isinstance(cause, _NEVER_ARRIVED))
        begun = departure.begun
        message = describe_failure(error, self._network, httpx.URL(url), maybe_sent=begun)
        return Failure(cause, message, begun)

    def _proxy_for(self, url: str) -> Proxy | None:
        """The proxy that a URL is asked by."""
        parts = urlsplit(url)
        if self._network is None:
            return None
        return self._network.proxy_for(parts.scheme, parts.hostname or "", parts.port)

    def _blotted(self, body: Any, budget: _Budget, *, pieces: bool = True) -> Any:
        """A Hub that echoes the key in a message must not bring it to the screen."""
        if self._key is None:
            return body
        if isinstance(body, str):
            return budget.spent_on(body, self._key, pieces)
        if isinstance(body, list):
            return [self._blotted(item, budget) for item in body]
        if isinstance(body, dict):
            return {
                budget.spent_on(name, self._key, True): self._blotted(
                    value, budget, pieces=name not in _IDS
                )
                for name, value in body.items()
            }
        return body

    def _make_client(
        self,
        transport: httpx.AsyncBaseTransport | None,
        read_s: float,
        *,
        limits: httpx.Limits,
    ) -> httpx.AsyncClient:
        """One that reads nothing of the environment by itself, and keeps no cookies."""
        if self._network is not None:
            transport = EnvironmentTransport(self._network, limits=limits, peers=self.peers)
        return httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(read_s, connect=CONNECT_S),
            headers={
                "User-Agent": f"mountsea-magic/{__version__}",
                "Accept-Encoding": "identity",
            },
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        )


class _Budget:
    """How much of one body is searched for the key in every form; `plain` sees what is shown."""

    def __init__(self) -> None:
        self._left = MAX_SEARCHED

    def spent_on(self, text: str, key: Secret, pieces: bool) -> str:
        """A URL of an image stays what opens it, but for the key as it is."""
        if _URL.match(text) or self._left <= 0:
            return key.redact_in(text, exactly=True)
        self._left -= min(len(text), MAX_SEARCHED_CHARS) + 64
        return key.redact_in(text, pieces=pieces)


class _KeyAuth(httpx.Auth):
    """Sets the key as a request leaves, so that no frame of ours ever holds a header with it."""

    def __init__(self, key: Secret | None, header: str, prefix: str) -> None:
        self._key, self._header, self._prefix = key, header, prefix

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header, and nothing at all where there is no key."""
        if self._key is not None:
            request.headers[self._header] = self._prefix + self._key.reveal()
        yield request
