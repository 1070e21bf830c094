"""The client: the only room that speaks HTTP with the Hub and with the hosts of its pictures."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import httpx

from . import __version__
from .errors import ConfigurationError, HubUnavailable
from .pictures import MAX_BYTES, BadPicture, TooLarge
from .protocol import (
    SUBMIT_PATH,
    TASK_PATH,
    PictureSource,
    TaskState,
    read_credits,
    read_submission,
    read_task,
)
from .refusals import Answer, uncertain
from .request import ImageRequest
from .settings import Secret

CONNECT_S = 10.0
SUBMIT_READ_S = 60.0
"""An order may take its time: giving up on its answer is what makes it uncertain."""
READ_S = 30.0
MAX_REDIRECTS = 3
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
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            max_redirects=MAX_REDIRECTS,
            headers={"User-Agent": f"mountsea-magic/{__version__}"},
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
        answer = await self._exchange(
            "POST", SUBMIT_PATH, json=request.body(), read_s=SUBMIT_READ_S
        )
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
        answer = await self._exchange("GET", TASK_PATH + quote(task_id, safe=""))
        if isinstance(answer, Answer):
            return read_task(answer)
        raise _unreachable(answer) from answer

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
            HubUnavailable: If its host can't be reached or refuses; bears the status code.
            OSError: If the file can't be written.
        """
        if source.url is None or source.url[:5].lower() == "data:":
            part.write_bytes(await asyncio.to_thread(_inline_bytes, source))
            return
        failure: httpx.RequestError
        try:
            with part.open("wb") as file:
                async for chunk in self._stream(source.url):
                    file.write(chunk)
            return
        except (httpx.RequestError, httpx.InvalidURL, UnicodeError) as error:
            failure = _without_request(error)
        raise HubUnavailable(f"The picture's host did not deliver ({failure}).") from failure

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _stream(self, url: str) -> AsyncGenerator[bytes, None]:
        """Count while reading: what a host declares about a size need not be true."""
        async with self._http.stream(
            "GET", url, auth=None, follow_redirects=True, headers={"Accept-Encoding": "identity"}
        ) as response:
            if response.status_code != 200:
                raise HubUnavailable(
                    f"The picture's host answered {response.status_code}.",
                    status_code=response.status_code,
                )
            declared = response.headers.get("content-length", "")
            if declared.isdecimal() and int(declared) > MAX_BYTES:
                raise TooLarge(f"its host declares {declared} bytes, more than {MAX_BYTES}")
            received = 0
            async for chunk in response.aiter_bytes():
                received += len(chunk)
                if received > MAX_BYTES:
                    raise TooLarge(f"it is larger than {MAX_BYTES} bytes")
                yield chunk

    async def _exchange(
        self,
        method: str,
        target: str,
        *,
        json: Any = None,
        read_s: float = READ_S,
        auth: httpx.Auth | None = None,
    ) -> Answer | httpx.RequestError:
        """Return a failure instead of raising it: raised here, it would drag its frames along."""
        url = target if target.startswith("http") else self._base_url + target
        try:
            async with self._http.stream(
                method,
                url,
                json=json,
                auth=auth or _KeyAuth(self._key, "Authorization", "Bearer "),
                timeout=httpx.Timeout(read_s, connect=CONNECT_S),
            ) as response:
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        return httpx.DecodingError("the answer is too large")
        except httpx.RequestError as error:
            return _without_request(error)
        answer = Answer.read(response.status_code, response.headers, bytes(content))
        try:
            return Answer(answer.status, answer.headers, self._blotted(answer.body))
        except RecursionError:
            return Answer(answer.status, answer.headers, None)

    def _blotted(self, body: Any) -> Any:
        """A Hub that echoes the key in a message must not bring it to the screen."""
        if self._key is None:
            return body
        if isinstance(body, str):
            return self._key.hide_in(body)
        if isinstance(body, list):
            return [self._blotted(item) for item in body]
        if isinstance(body, dict):
            return {name: self._blotted(value) for name, value in body.items()}
        return body


class _KeyAuth(httpx.Auth):
    """Sets the key as a request leaves, so that no frame of ours ever holds a header with it."""

    def __init__(self, key: Secret | None, header: str, prefix: str = "") -> None:
        self._key, self._header, self._prefix = key, header, prefix

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header, and nothing at all where there is no key."""
        if self._key is not None:
            request.headers[self._header] = self._prefix + self._key.reveal()
        yield request


def _without_request(
    error: httpx.RequestError | httpx.InvalidURL | UnicodeError,
) -> httpx.RequestError:
    """A cause is worth keeping, but not its request, whose URL may be signed."""
    message = re.sub(r"\?\S*", "?…", str(error))
    if not isinstance(error, httpx.RequestError):
        return httpx.UnsupportedProtocol(message)
    return type(error)(message or type(error).__name__)


def _unreachable(cause: httpx.RequestError) -> HubUnavailable:
    """One sentence for every way in which a network fails."""
    return HubUnavailable(
        f"The Hub could not be reached ({type(cause).__name__}: {cause}). "
        "Check the network and MOUNTSEA_BASE_URL, then run the cell again."
    )


def _inline_bytes(source: PictureSource) -> bytes:
    """With `sync_mode` the picture stands in the answer, as a data URI or bare base64."""
    text = source.b64 or ""
    if source.url is not None:
        head, _, text = source.url.partition(",")
        if not head.lower().endswith(";base64"):
            return unquote_to_bytes(text)[: MAX_BYTES + 1]
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        raise TooLarge(f"it is larger than {MAX_BYTES} bytes")
    try:
        return base64.b64decode(re.sub(r"\s", "", text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadPicture("its base64 is damaged") from error
