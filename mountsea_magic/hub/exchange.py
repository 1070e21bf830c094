"""Send one HTTP request to the Hub and read its response; no traceback has the key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator
from contextlib import aclosing, nullcontext
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

from .. import __version__
from ..errors import ConfigurationError, MountseaError, without_frames
from ..images.files import MAX_BYTES
from ..runtime.httpx_import import httpx
from ..runtime.key_redaction import MAX_SEARCHED_CHARS
from ..runtime.redaction import guard_logs
from ..settings import Secret
from .bounded_json import MAX_TEXT_BYTES, JsonBody
from .http_response import ACCEPTED, HubResponse
from .network_errors import describe_failure, without_request
from .proxies import Network, Proxy
from .response_body import Failure, fallback_response, receive
from .transport import EnvironmentTransport, Peers, SendTrace

CONNECT_TIMEOUT_S = 10.0
"""How long connecting may take, in seconds."""

SUBMIT_READ_TIMEOUT_S = 60.0
"""The read time-out of a submission, in seconds: long, as one without a response is uncertain."""
READ_TIMEOUT_S = 30.0
"""The read time-out of all other requests, in seconds."""

MAX_REQUESTS = 24
"""The most concurrent requests besides submissions: each has a socket open, and macOS limits a
process to 256 open files."""

MAX_IDLE = 8
"""How many idle connections are kept open."""

MAX_TASK_BYTES = 6 * MAX_BYTES
"""The largest response about a task, in bytes: four images as data URIs."""

MAX_OTHER_BYTES = 2 * MAX_BYTES
"""The largest other response, in bytes: it may echo the input images."""

MAX_SEARCHED = 2**18
"""How much of a JSON response is searched for encoded forms of the key, in characters."""

_URL = re.compile(r"(?i)\s*(?:https?:|data:|//)")

_IDS = ("task_id", "taskId", "id")
"""Ids stay usable: a partial match with the key is not redacted in them."""

_HEADERS = ("retry-after", "location")
"""The response headers that are read."""

_NEVER_ARRIVED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""Errors after which a Hub in this process has no request; for the network see `SendTrace`."""


class Exchange:
    """Sends requests to one Hub, with its key.

    Attributes:
        http: The HTTP client, without credentials of its own.
        peers: The IP addresses that have responded.
        redact: Removes the key from a text, in case a host echoes it.

    Args:
        key: The API key.
        transport: Used in place of the network, if given.
        network: The proxies and certificates; None if there is a transport.

    Raises:
        ConfigurationError: If the environment names certificates that can't be used.

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
        self._key = key
        self.redact: Callable[[str], str] = str if key is None else key.redact_in
        self._network = network
        self.peers: Peers = {}
        # in addition to httpx's own limit, which counts the wait for a connection as a time-out
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self.http = self._make_client(
            transport, READ_TIMEOUT_S, limits=httpx.Limits(max_keepalive_connections=MAX_IDLE)
        )
        # No keep-alive for submissions: if the Hub closes an idle connection, we can't tell whether
        # the POST arrived.
        self._submitting = self._make_client(
            transport, SUBMIT_READ_TIMEOUT_S, limits=httpx.Limits(max_keepalive_connections=0)
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
            submitting: Whether this is a submission, which may be charged: its response is then
                read to the end, however slow it is.
            with_images: Whether the response may contain images, as data URIs.
            key_header: The header for the key.

        Returns:
            The response, or why there is none. Network errors are returned, not raised, since their
            tracebacks contain httpx's frames with the request's headers, and so the key.

        Raises:
            ConfigurationError: If the URL is not valid, or its proxy can't be used.
        """
        guard_logs(self.redact)
        slot = nullcontext() if submitting else self._slots
        try:
            async with slot:
                return await self._send(method, url, json, key_header, submitting, with_images)
        except BaseException as error:
            # cancellations and interrupts, too: they can hit any line of httpx
            raise without_frames(error) from None

    async def _send(
        self,
        method: str,
        url: str,
        json: Any,
        key_header: str,
        submitting: bool,
        with_images: bool,
    ) -> HubResponse | Failure:
        """Send a request once and read its response within limits."""
        trace = SendTrace()
        prefix = "Bearer " if key_header == "Authorization" else ""
        auth = _KeyAuth(self._key, key_header, prefix)
        try:
            client = self._submitting if submitting else self.http
            request = client.build_request(method, url, json=json, extensions={"trace": trace})
            headers_timeout_s = CONNECT_TIMEOUT_S + 1.1 * (client.timeout.read or 0)
            # one deadline for the whole exchange, however slowly the body arrives
            async with asyncio.timeout(2 * headers_timeout_s) as deadline:
                async with asyncio.timeout(headers_timeout_s):
                    response = await client.send(request, auth=auth, stream=True)
                async with aclosing(response):
                    body = self._body_of(response, len(request.content), with_images=with_images)
                    await receive(
                        response,
                        body,
                        deadline,
                        max_bytes=MAX_TASK_BYTES if with_images else MAX_OTHER_BYTES,
                        # the response to a submission contains the task id
                        read_to_end=submitting,
                    )
        except httpx.InvalidURL as error:
            message = without_request(error)
            raise ConfigurationError(
                f"The Hub's URL is not valid ({message}). Check MOUNTSEA_BASE_URL."
            ) from None
        except MountseaError:
            raise
        except Exception as error:
            # httpx, httpcore, TLS and the resolver raise more than httpx's own errors
            return self._failure(error, url, trace)
        headers = {name: self.redact(response.headers.get(name, "")) for name in _HEADERS}
        status = response.status_code
        fallback = (
            fallback_response(status, headers, body, submitting=submitting)
            if body.problem
            else None
        )
        if isinstance(fallback, Failure):
            return fallback
        result = fallback or HubResponse.read(status, headers, body)
        try:
            value, text = self._redact_key(result.body, _Budget()), self.redact(result.text)
        except RecursionError:
            value, text = None, ""
        value = body.with_images(value)
        return replace(result, body=value, text=text, proxy=self._proxy_for(url))

    def _body_of(self, response: httpx.Response, sent: int, *, with_images: bool) -> JsonBody:
        """Only a task has images of its own; other responses may echo the input images."""
        own = MAX_TASK_BYTES if with_images and response.status_code in ACCEPTED else 0
        echo = 2 * sent + MAX_TEXT_BYTES if sent else 0
        return JsonBody(max_inline_bytes=own or echo, key=self._key)

    def _failure(self, error: Exception, url: str, trace: SendTrace) -> Failure:
        """Describe an error without its request and frames."""
        cause = without_request(error)
        if self._network is None:
            return Failure(cause, maybe_sent=not isinstance(cause, _NEVER_ARRIVED))
        started = trace.started
        message = describe_failure(error, self._network, httpx.URL(url), maybe_sent=started)
        return Failure(cause, message, started)

    def _proxy_for(self, url: str) -> Proxy | None:
        parts = urlsplit(url)
        if self._network is None:
            return None
        return self._network.proxy_for(parts.scheme, parts.hostname or "", parts.port)

    def _redact_key(self, body: Any, budget: _Budget, *, pieces: bool = True) -> Any:
        """Redact the key wherever the Hub echoes it."""
        if self._key is None:
            return body
        if isinstance(body, str):
            return budget.redact(body, self._key, pieces)
        if isinstance(body, list):
            return [self._redact_key(item, budget) for item in body]
        if isinstance(body, dict):
            return {
                budget.redact(name, self._key, True): self._redact_key(
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
        """Make a client that ignores the environment and stores no cookies."""
        if self._network is not None:
            transport = EnvironmentTransport(self._network, limits=limits, peers=self.peers)
        return httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(read_s, connect=CONNECT_TIMEOUT_S),
            headers={
                "User-Agent": f"mountsea-magic/{__version__}",
                "Accept-Encoding": "identity",
            },
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        )


class _Budget:
    """Limits the search for encoded keys in one body; `sanitize` checks shown texts again."""

    def __init__(self) -> None:
        self._left = MAX_SEARCHED

    def redact(self, text: str, key: Secret, pieces: bool) -> str:
        """Redact the key; in URLs only the exact key, so that signed URLs stay valid."""
        if _URL.match(text) or self._left <= 0:
            return key.redact_in(text, exactly=True)
        self._left -= min(len(text), MAX_SEARCHED_CHARS) + 64
        return key.redact_in(text, pieces=pieces)


class _KeyAuth(httpx.Auth):
    """Adds the key when a request is sent, so that none of our frames holds it in a header."""

    def __init__(self, key: Secret | None, header: str, prefix: str) -> None:
        self._key, self._header, self._prefix = key, header, prefix

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header, if there is a key."""
        if self._key is not None:
            request.headers[self._header] = self._prefix + self._key.reveal()
        yield request
