"""The exchange: one HTTP request to the Hub and its response; no frame with the key escapes it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx

from . import __version__
from .delivery import is_too_slow, without_request
from .errors import ConfigurationError, MountseaError, without_frames
from .failures import describe_failure
from .key_gate import LOOK
from .network import Network, Proxy
from .pictures import MAX_BYTES
from .redaction import guard_logs
from .refusals import Answer
from .settings import Secret
from .stopwatch import Stopwatch
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
"""The largest JSON answer: four images as data URIs, in bytes."""

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


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no response came.

    Attributes:
        cause: httpx's error, without its frames.
        message: What to tell the user, or None if httpx's words must do.
        maybe_sent: Whether the request may have reached the host.

    Example:
        >>> Failure(httpx.ReadTimeout("no answer came")).maybe_sent
        True
    """

    cause: httpx.RequestError
    message: str | None = None
    maybe_sent: bool = True


class Exchange:
    """Sends requests to one Hub, with its key.

    Attributes:
        http: What carries the requests, without any key of its own.
        peers: Which IP addresses have answered.
        hide: Returns a text without the key, should a host echo it.

    Example:
        >>> async def status(exchange: Exchange) -> int | None:
        ...     response = await exchange.request("GET", "https://hub.example/hub/v1/models")
        ...     return response.status if isinstance(response, Answer) else None
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
        self.hide: Callable[[str], str] = str if key is None else key.hide_in
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
        key_header: str = "Authorization",
    ) -> Answer | Failure:
        """Send a request once.

        Args:
            method: Such as ``GET``.
            url: The whole URL.
            json: The body.
            submitting: Whether this may cost something: then nothing of its response is given up.
            key_header: The header that bears the key.

        Returns:
            The response, or why there is none: raised here, a failure of the network would drag
            httpx's frames along, which hold the request's headers, and so the key.

        Raises:
            ConfigurationError: If the URL can't be asked for, or its proxy can't be used.
        """
        guard_logs(self.hide)
        slot = nullcontext() if submitting else self._slots
        try:
            async with slot:
                return await self._sent(method, url, json, key_header, submitting)
        except BaseException as error:
            # also a cancellation and an interrupt, which hit any line of httpx
            raise without_frames(error) from None

    async def _sent(
        self, method: str, url: str, json: Any, key_header: str, submitting: bool
    ) -> Answer | Failure:
        """Send a request once, and read its response within limits."""
        departure = Departure()
        prefix = "Bearer " if key_header == "Authorization" else ""
        auth = _KeyAuth(self._key, key_header, prefix)
        try:
            client = self._submitting if submitting else self.http
            request = client.build_request(method, url, json=json, extensions={"trace": departure})
            patience_s = CONNECT_S + 1.1 * (client.timeout.read or 0)
            async with asyncio.timeout(patience_s):
                response = await client.send(request, auth=auth, stream=True)
            async with aclosing(response), asyncio.timeout(patience_s if submitting else None):
                content, watch = bytearray(), Stopwatch()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        return Failure(httpx.DecodingError("the answer is too large"))
                    # the answer to an order is awaited to the last: the task's id is in it
                    if not submitting and is_too_slow(len(content), watch.elapsed_s):
                        return Failure(httpx.ReadTimeout("the answer trickles in too slowly"))
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
        kept = {name: self.hide(response.headers.get(name, "")) for name in _HEADERS}
        answer = Answer.read(response.status_code, kept, bytes(content))
        try:
            body, text = self._blotted(answer.body, _Budget()), self.hide(answer.text)
        except RecursionError:
            body, text = None, ""
        return replace(answer, body=body, text=text, proxy=self._proxy_for(url))

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
            headers={"User-Agent": f"mountsea-magic/{__version__}"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        )


class _Budget:
    """How much of one body is searched for the key in every form; `plain` searches what is told."""

    def __init__(self) -> None:
        self._left = MAX_SEARCHED

    def spent_on(self, text: str, key: Secret, pieces: bool) -> str:
        """A URL of an image stays what opens it, but for the key as it is."""
        if _URL.match(text) or self._left <= 0:
            return key.hide_in(text, exactly=True)
        self._left -= min(len(text), LOOK) + 64
        return key.hide_in(text, pieces=pieces)


class _KeyAuth(httpx.Auth):
    """Sets the key as a request leaves, so that no frame of ours ever holds a header with it."""

    def __init__(self, key: Secret | None, header: str, prefix: str) -> None:
        self._key, self._header, self._prefix = key, header, prefix

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header, and nothing at all where there is no key."""
        if self._key is not None:
            request.headers[self._header] = self._prefix + self._key.reveal()
        yield request
