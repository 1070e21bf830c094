"""The client: the only room that speaks HTTP with the Hub; `delivery` does with picture hosts."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Generator
from contextlib import aclosing
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from . import __version__
from .catalog import Model
from .delivery import Delivery, is_too_slow, without_request
from .errors import ConfigurationError, HubUnavailable
from .listing import MODELS_PATH, read_model, read_model_ids
from .pictures import MAX_BYTES
from .protocol import (
    SUBMIT_PATH,
    TASK_PATH,
    PictureSource,
    TaskState,
    read_credits,
    read_submission,
    read_task,
)
from .redaction import guard_logs
from .refusals import Answer, uncertain
from .request import ImageRequest
from .settings import Secret
from .stopwatch import Stopwatch

CONNECT_S = 10.0
SUBMIT_READ_S = 60.0
"""An order may take its time: giving up on its answer is what makes it uncertain."""
READ_S = 30.0
MAX_ANSWER_BYTES = 6 * MAX_BYTES
"""The largest JSON answer: four pictures as data URIs, in bytes."""

_NEVER_ARRIVED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class HubClient:
    """Submits, asks, and downloads; one for each event loop, so that connections are reused.

    Example:
        >>> async def first_status(client: HubClient, request: ImageRequest) -> str:
        ...     return (await client.task(await client.submit(request))).status
    """

    def __init__(
        self,
        base_url: str,
        key: Secret | None = None,
        *,
        credits_url: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open nothing yet: the first request connects.

        Args:
            base_url: The Hub's address, without a trailing slash.
            key: The API key; it goes to the base URL and to the credits URL, nowhere else.
            credits_url: The whole address of the credits endpoint.
            transport: What carries the requests in place of the network.
        """
        self._base_url = base_url
        self._key = key
        self._credits_url = credits_url
        headers = {"User-Agent": f"mountsea-magic/{__version__}"}
        timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self._http = httpx.AsyncClient(
            transport=transport, timeout=timeout, headers=headers, cookies=no_cookies
        )
        # A kept connection that the Hub closes just now would leave open if the order arrived.
        self._orders = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(SUBMIT_READ_S, connect=CONNECT_S),
            headers=headers,
            cookies=no_cookies,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._delivery = Delivery(
            self._http, base_url if transport is None else None, hide=self._hidden
        )

    async def submit(self, request: ImageRequest) -> str:
        """Order pictures; the order is sent once, whatever happens.

        Returns:
            The task's id.

        Raises:
            HubUnavailable: If the order never arrived.
            SubmissionUncertain: If it may have arrived, but no answer says so.
            MountseaError: If the Hub refused it.
        """
        answer = await self._exchange("POST", SUBMIT_PATH, json=request.body(), ordering=True)
        if isinstance(answer, Answer):
            return read_submission(answer)
        if isinstance(answer, _NEVER_ARRIVED):
            raise _unreachable(answer) from answer
        raise uncertain(f"no answer came back ({type(answer).__name__})") from answer

    async def task(self, task_id: str) -> TaskState:
        """Ask for the state of a task.

        Raises:
            HubUnavailable: If no answer of the Hub's came back; asking again is free.
            MountseaError: If the Hub refused to say.
        """
        answer = await self._exchange("GET", TASK_PATH + _segment(task_id))
        if isinstance(answer, Answer):
            return read_task(answer)
        raise _unreachable(answer) from answer

    async def model_ids(self) -> tuple[str, ...]:
        """Ask which image models there are.

        Raises:
            MountseaError: If the Hub could not be reached or refused.
        """
        answer = await self._exchange("GET", f"{MODELS_PATH}?capability=image")
        if isinstance(answer, Answer):
            return read_model_ids(answer)
        raise _unreachable(answer) from answer

    async def model(self, model_id: str, bundled: Model | None = None) -> Model | None:
        """Ask for one model's schema.

        Args:
            model_id: The model.
            bundled: What is known of it already, for what the Hub leaves out.

        Returns:
            The model, or None if the Hub does not know it or says nothing that can be used.

        Raises:
            MountseaError: If the Hub could not be reached or refused.
        """
        answer = await self._exchange("GET", f"{MODELS_PATH}/{_segment(model_id)}")
        if not isinstance(answer, Answer):
            raise _unreachable(answer) from answer
        return None if answer.status == 404 else read_model(answer, model_id, bundled)

    async def credits(self) -> float:
        """Ask how many credits are left.

        Raises:
            ConfigurationError: If no credits endpoint is known for this Hub.
            MountseaError: If it could not be reached or refused.
        """
        if self._credits_url is None:
            raise ConfigurationError(
                "No credits endpoint is known for this Hub: set MOUNTSEA_CREDITS_URL."
            )
        answer = await self._exchange(
            "GET", self._credits_url, auth=_KeyAuth(self._key, "X-API-Key")
        )
        if isinstance(answer, Answer):
            return read_credits(answer)
        raise _unreachable(answer) from answer

    async def download(self, source: PictureSource, part: Path) -> None:
        """Write a picture's bytes to a file as they come; the key is never sent along.

        Args:
            source: Where the picture is.
            part: The file to fill.

        Raises:
            BadPicture: If it is larger than `MAX_BYTES`, or its inline form can't be read.
            HubUnavailable: If its host can't be reached, may not be asked, or refuses; bears the
                status code.
            OSError: If the file can't be written.
        """
        with part.open("wb") as file:
            await self._delivery.fetch(source, file)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._orders.aclose()

    async def _exchange(
        self,
        method: str,
        target: str,
        *,
        json: Any = None,
        ordering: bool = False,
        auth: httpx.Auth | None = None,
    ) -> Answer | httpx.RequestError:
        """Return a failure instead of raising it: raised here, it would drag its frames along."""
        guard_logs(self._hidden)
        url = target if target.startswith("http") else self._base_url + target
        try:
            client = self._orders if ordering else self._http
            request = client.build_request(method, url, json=json)
            key_auth = auth or _KeyAuth(self._key, "Authorization", "Bearer ")
            patience_s = CONNECT_S + 1.1 * (client.timeout.read or 0)
            async with asyncio.timeout(patience_s):
                response = await client.send(request, auth=key_auth, stream=True)
            async with aclosing(response), asyncio.timeout(patience_s if ordering else None):
                content, watch = bytearray(), Stopwatch()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        return httpx.DecodingError("the answer is too large")
                    # the answer to an order is awaited to the last: the task's id is in it
                    if not ordering and is_too_slow(len(content), watch.elapsed_s):
                        return httpx.ReadTimeout("the answer trickles in too slowly")
        except TimeoutError:
            return httpx.ReadTimeout("no answer came")
        except ssl.SSLError:
            return httpx.ReadError("the encrypted connection broke")
        except httpx.InvalidURL as error:
            said = without_request(error)
            raise ConfigurationError(
                f"The Hub's address can't be asked ({said}): check MOUNTSEA_BASE_URL."
            ) from None
        except httpx.RequestError as error:
            return without_request(error)
        pause = response.headers.get("retry-after", "")
        answer = Answer.read(
            response.status_code, {"retry-after": pause} if pause else {}, bytes(content)
        )
        try:
            body, text = self._blotted(answer.body), self._blotted(answer.text)
        except RecursionError:
            body, text = None, ""
        return replace(answer, body=body, text=text)

    def _blotted(self, body: Any) -> Any:
        """A Hub that echoes the key in a message must not bring it to the screen."""
        if self._key is None:
            return body
        if isinstance(body, str):
            return self._key.hide_in(body)
        if isinstance(body, list):
            return [self._blotted(item) for item in body]
        if isinstance(body, dict):
            return {self._hidden(name): self._blotted(value) for name, value in body.items()}
        return body

    def _hidden(self, text: str) -> str:
        """Without the key."""
        return self._key.hide_in(text) if self._key is not None else text


class _KeyAuth(httpx.Auth):
    """Sets the key as a request leaves, so that no frame of ours ever holds a header with it."""

    def __init__(self, key: Secret | None, header: str, prefix: str = "") -> None:
        self._key, self._header, self._prefix = key, header, prefix

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header, and nothing at all where there is no key."""
        if self._key is not None:
            request.headers[self._header] = self._prefix + self._key.reveal()
        yield request


def _segment(name: str) -> str:
    """One step of a path, whatever stands in it; two dots would be a way up."""
    step = quote(name, safe="", errors="replace")
    return step.replace(".", "%2E") if step in (".", "..") else step


def _unreachable(cause: httpx.RequestError) -> HubUnavailable:
    """One sentence for every way in which a network fails."""
    return HubUnavailable(
        f"The Hub could not be reached ({type(cause).__name__}: {cause}). "
        "Check the network and MOUNTSEA_BASE_URL, then run the cell again."
    )
