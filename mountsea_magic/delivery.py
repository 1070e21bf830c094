"""Delivery: a picture comes from whatever host the Hub names, within limits and without the key."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from .addresses import addresses_of, is_forbidden, is_near, real_address
from .content_coding import UndecodableBody, open_body
from .errors import HubUnavailable, MountseaError, plain, without_frames
from .failures import describe_failure
from .inline import InlineError, InlineTooLarge, inline_pieces
from .network import Network
from .pictures import MAX_BYTES, BadPicture, TooLarge
from .protocol import PictureSource
from .redaction import guard_logs, without_queries
from .stopwatch import Stopwatch

MAX_REDIRECTS = 3
READ_S = 15.0
"""How long a picture's host may be silent, in seconds."""

HEADERS_S = 25.0
"""How long it may take until it answers at all, in seconds, also if it trickles."""

DOWNLOAD_S = 900.0
"""How long all of it may take, redirects too, in seconds: a slow line needs minutes for 4K."""

SLOWEST_BYTES_S = 4096
GRACE_S = 10.0
"""After so many seconds, less than `SLOWEST_BYTES_S` bytes a second counts as a stall."""


_PRIVATE = (
    "The picture's address leads into a private network, which the Hub is not part of: "
    "it is not fetched."
)


class Delivery:
    """Fetches pictures for one Hub.

    Example:
        >>> async def fetch(delivery: Delivery, source: PictureSource) -> None:
        ...     with open("dog.png", "wb") as file:
        ...         await delivery.fetch(source, file)
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str | None,
        *,
        hide: Callable[[str], str] = str,
        network: Network | None = None,
    ) -> None:
        """Ask nothing yet.

        Args:
            http: What carries the requests; without any credentials of its own.
            base_url: The Hub's address, next to which pictures may be too, or None for a Hub in
                this process, whose network has no addresses.
            hide: Takes the key out of what is logged, should a host echo it.
            network: The proxies by which ``http`` asks, if any.
        """
        self._network = network
        self._http = http
        self._base_url = base_url
        self._hide = hide
        self._near_allowed: bool | None = None

    async def fetch(self, source: PictureSource, file: BinaryIO) -> None:
        """Write a picture's bytes to a file as they come; the key is never sent along.

        Args:
            source: Where the picture is.
            file: The file to fill.

        Raises:
            BadPicture: If it is larger than `MAX_BYTES`, or its inline form can't be read.
            HubUnavailable: If its host can't be reached, may not be asked, or refuses; bears the
                status code.
            OSError: If the file can't be written.
        """
        guard_logs(self._hide)
        if source.is_inline:
            await _write_inline(source, file)
            return
        try:
            async with asyncio.timeout(DOWNLOAD_S):
                outcome = await self._received(source, file)
        except TimeoutError:
            outcome = httpx.ReadTimeout(f"it took more than {DOWNLOAD_S:g} s")
        except BaseException as error:
            # httpx's frames hold signed URLs, and the password of a proxy
            raise without_frames(error) from None
        if isinstance(outcome, httpx.RequestError):
            said = f"The picture's host did not deliver ({outcome})."
            raise HubUnavailable(said) from outcome
        if outcome is not None:
            raise outcome

    async def _received(
        self, source: PictureSource, file: BinaryIO
    ) -> httpx.RequestError | MountseaError | BadPicture | None:
        """Return a failure instead of raising it: raised here, it would drag signed URLs along."""
        url = httpx.URL()
        try:
            request = self._http.build_request(
                "GET", source.url or "", headers={"Accept-Encoding": "identity"}, timeout=READ_S
            )
            for _ in range(MAX_REDIRECTS + 1):
                url = request.url
                refused = await self._refused(url)
                if refused is not None:
                    return refused
                async with asyncio.timeout(HEADERS_S):
                    response = await self._http.send(request, stream=True, auth=None)
                try:
                    if self._is_elsewhere(response):
                        return HubUnavailable(_PRIVATE)
                    if response.next_request is None:
                        return await _written(response, file)
                    request = response.next_request
                finally:
                    await response.aclose()
        except MountseaError as error:
            return HubUnavailable(str(error))
        except OSError as error:
            if not isinstance(error, TimeoutError | ssl.SSLError):
                raise  # the file can't be written
            return without_request(error)
        except Exception as error:
            # httpx, httpcore and the resolver raise more kinds than httpx's own
            message = describe_failure(error, self._network, url)
            return HubUnavailable(message) if message else without_request(error)
        return HubUnavailable(f"The picture's host redirects more than {MAX_REDIRECTS} times.")

    async def _refused(self, url: httpx.URL) -> MountseaError | None:
        """Each hop is looked at, since a redirect is what an attacker would use."""
        if url.scheme not in ("http", "https") or not url.host:
            return HubUnavailable("The picture's address is not one of http or https.")
        if self._base_url is None:
            return None
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            async with asyncio.timeout(HEADERS_S):
                found = await addresses_of(url.raw_host.decode("ascii"), port)
        except OSError as error:
            # behind a proxy a name may well be unknown here: the proxy resolves it
            if self._goes_by_proxy(url):
                return None
            reason = error.strerror or "no answer"
            return HubUnavailable(f"The picture's host could not be found ({reason}).")
        if self._near_allowed is None:
            self._near_allowed = await _is_near_host(self._base_url)
        near_allowed = self._near_allowed or False
        if any(is_forbidden(address, near_allowed=near_allowed) for address in found):
            return HubUnavailable(_PRIVATE)
        return None

    def _is_elsewhere(self, response: httpx.Response) -> bool:
        """A name may lead to another address when it is connected to than when it was looked at."""
        stream = response.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None else None
        if (
            self._base_url is None
            or not isinstance(peer, tuple)
            or self._goes_by_proxy(response.url)
        ):
            return False
        address = real_address(str(peer[0]))
        return is_forbidden(address, near_allowed=self._near_allowed or False)

    def _goes_by_proxy(self, url: httpx.URL) -> bool:
        """Whether there is a proxy for this very URL."""
        network = self._network
        return network is not None and bool(network.proxy_for(url.scheme, url.host, url.port))


async def _written(response: httpx.Response, file: BinaryIO) -> MountseaError | BadPicture | None:
    """Count while reading: what a host declares about a size need not be true."""
    if response.status_code != 200:
        return HubUnavailable(
            f"The picture's host answered {response.status_code}.",
            status_code=response.status_code,
        )
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BYTES:
        return TooLarge(f"its host declares {declared} bytes, more than {MAX_BYTES}")
    received, watch = 0, Stopwatch()
    try:
        decoder, chunks = open_body(response, max_bytes=MAX_BYTES)
        async for chunk in chunks:
            for piece in decoder.feed(chunk):
                received += len(piece)
                if received > MAX_BYTES:
                    return TooLarge(f"it is larger than {MAX_BYTES} bytes")
                file.write(piece)
                await asyncio.sleep(0)  # little on the wire can be much work
            if is_too_slow(received, watch.elapsed_s):
                return HubUnavailable("The picture trickles in too slowly.")
        decoder.finish()
    except UndecodableBody as error:
        return HubUnavailable(f"What the picture's host sent can't be read: {error}.")
    return None


def is_too_slow(received: int, elapsed_s: float) -> bool:
    """Say whether a body only trickles in, which no read time-out notices.

    Args:
        received: Bytes so far.
        elapsed_s: Seconds since the first could have come.

    Example:
        >>> is_too_slow(100, 11.0), is_too_slow(100, 1.0)
        (True, False)
    """
    return elapsed_s > GRACE_S and received < SLOWEST_BYTES_S * elapsed_s


async def _is_near_host(base_url: str) -> bool | None:
    """A Hub on this machine or in this network has its pictures there too; None if not found."""
    parts = urlsplit(base_url)
    try:
        found = await addresses_of(parts.hostname or "", parts.port or 443)
    except OSError:
        return None
    return any(is_near(address) for address in found)


def without_request(error: Exception) -> httpx.RequestError:
    """Return a cause worth keeping without its request and its frames, whose URLs may be signed.

    Args:
        error: What httpx, or what it builds on, has raised.

    Example:
        >>> without_request(httpx.InvalidURL("no host in https://?signature=s3cret"))
        UnsupportedProtocol('no host in https://?…')
    """
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("no answer came")
    if isinstance(error, ssl.SSLError):
        return httpx.ReadError("the encrypted connection broke")
    message = plain(without_queries(str(error)))
    if isinstance(error, httpx.RequestError):
        return type(error)(message or type(error).__name__)
    if isinstance(error, httpx.InvalidURL | UnicodeError):
        return httpx.UnsupportedProtocol(message)
    return httpx.TransportError(f"{type(error).__name__}: {message}")


async def _write_inline(source: PictureSource, file: BinaryIO) -> None:
    """With `sync_mode` the image is in the response, as a data URI or bare base64."""
    pieces = inline_pieces(source.url or source.b64 or "", max_bytes=MAX_BYTES)
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            file.write(piece)
    except InlineTooLarge as error:
        raise TooLarge(str(error)) from error
    except InlineError as error:
        raise BadPicture(str(error)) from error
