"""Download an image once from the host that the Hub names, within limits and without the key."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import BinaryIO

from ..errors import HubUnavailable, MountseaError, without_frames
from ..images.data_uris import InlineError, InlineTooLarge, inline_pieces
from ..images.files import MAX_BYTES, BadImage, TooLarge
from ..runtime.clock import Stopwatch
from ..runtime.httpx_import import httpx
from ..runtime.redaction import guard_logs
from ..runtime.text import os_error_reason
from .connector import PRIVATE_HOST, UnusableUrl
from .content_coding import UndecodableBody, open_body
from .network_errors import describe_failure, without_request
from .private_hosts import Address, addresses_of, allowed_addresses, is_private, private_networks
from .proxies import Network
from .resolver import resolve
from .responses import ImageSource
from .transport import HUB_ADDRESSES, Peers, peer_of

MAX_REDIRECTS = 3
READ_TIMEOUT_S = 15.0
"""How long an image host may send nothing, in seconds."""

HEADERS_TIMEOUT_S = 25.0
"""How long it may take until all response headers have arrived, in seconds."""

DOWNLOAD_TIMEOUT_S = 900.0
"""How long a download may take, with redirects, in seconds: 4K takes minutes on a slow line."""

MIN_BYTES_PER_S = 4096
GRACE_S = 10.0
"""After this many seconds, less than `MIN_BYTES_PER_S` bytes per second counts as a stall."""

_PORTS = {"http": 80, "https": 443}


class ImageDownloader:
    """Downloads images for one Hub.

    Args:
        http: The HTTP client, without credentials of its own.
        base_url: The Hub's URL, whose network may also have images, or None for a Hub in this
            process, which has no IP addresses.
        redact: Removes the key from what is logged, in case a host echoes it.
        network: The proxies that ``http`` uses, if any.
        peers: The IP addresses that have responded, the Hub's among them.

    Example:
        >>> async def download(downloader: ImageDownloader, source: ImageSource) -> None:
        ...     with open("dog.png", "wb") as file:
        ...         await downloader.fetch(source, file)
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str | None,
        *,
        redact: Callable[[str], str] = str,
        network: Network | None = None,
        peers: Peers | None = None,
    ) -> None:
        self._network = network
        self._http = http
        self._base_url = base_url
        self._redact = redact
        self._peers = {} if peers is None else peers
        self._resolved: tuple[Address, ...] | None = None

    async def fetch(self, source: ImageSource, file: BinaryIO) -> None:
        """Stream an image to a file; the key is never sent.

        Args:
            source: Where the image is.
            file: The file to write to.

        Raises:
            BadImage: If it is larger than `MAX_BYTES`, or its inline form can't be decoded.
            UnusableUrl: If its URL is malformed or forbidden.
            HubUnavailable: If its host can't be reached or returns an error; has the status code.
            OSError: If the file can't be written.
        """
        guard_logs(self._redact)
        if source.is_inline:
            await _write_inline(source, file)
            return
        try:
            async with asyncio.timeout(DOWNLOAD_TIMEOUT_S):
                outcome = await self._download(source, file)
        except TimeoutError:
            outcome = httpx.ReadTimeout(f"it took more than {DOWNLOAD_TIMEOUT_S:g} s")
        except BaseException as error:
            # httpx's frames contain signed URLs and proxy passwords
            raise without_frames(error) from None
        if isinstance(outcome, httpx.RequestError):
            message = f"The image could not be downloaded ({outcome})."
            raise HubUnavailable(message) from outcome
        if outcome is not None:
            raise outcome

    async def _download(
        self, source: ImageSource, file: BinaryIO
    ) -> httpx.RequestError | MountseaError | BadImage | None:
        """Return errors instead of raising them: these frames contain signed URLs."""
        url = httpx.URL()
        try:
            url = _checked_url(source.url or "")
            request = self._http.build_request(
                "GET", url, headers={"Accept-Encoding": "identity"}, timeout=READ_TIMEOUT_S
            )
            for _ in range(MAX_REDIRECTS + 1):
                # check every redirect, since an attacker would use one
                url = _checked_url(request.url)
                hub = await self._hub_addresses()
                await self._check(url, hub)
                # checked again when the connection is made
                request.extensions[HUB_ADDRESSES] = hub
                async with asyncio.timeout(HEADERS_TIMEOUT_S):
                    response = await self._http.send(request, stream=True, auth=None)
                try:
                    if self._is_forbidden_peer(response, hub):
                        return UnusableUrl(PRIVATE_HOST)
                    if response.next_request is None:
                        return await _write_body(response, file)
                    request = response.next_request
                finally:
                    await response.aclose()
        except UnusableUrl as error:
            return UnusableUrl(str(error))
        except MountseaError as error:
            return HubUnavailable(str(error))
        except (httpx.InvalidURL, UnicodeError):
            return UnusableUrl("The image host redirects to an invalid URL.")
        except OSError as error:
            if not isinstance(error, TimeoutError | ssl.SSLError):
                raise  # the file can't be written
            return without_request(error)
        except Exception as error:
            # httpx, httpcore and the resolver raise more than httpx's own errors
            message = describe_failure(error, self._network, url)
            return HubUnavailable(message) if message else without_request(error)
        return HubUnavailable(f"The image host redirects more than {MAX_REDIRECTS} times.")

    async def _check(self, url: httpx.URL, hub: tuple[Address, ...] | None) -> None:
        """Reject forbidden and unknown hosts before connecting."""
        if hub is None:
            return
        try:
            async with asyncio.timeout(HEADERS_TIMEOUT_S):
                found = await resolve(url.raw_host.decode("ascii"), _port_of(url))
        except OSError as error:
            # behind a proxy a name may be unknown here: the proxy resolves it
            if self._uses_proxy(url):
                return
            reason = os_error_reason(error, limit=80) or "no response"
            raise HubUnavailable(f"The image host could not be resolved ({reason}).") from None
        if not allowed_addresses(found, hub):
            raise UnusableUrl(PRIVATE_HOST)

    async def _hub_addresses(self) -> tuple[Address, ...] | None:
        """Return the Hub's private IP addresses; None for a Hub in this process.

        The addresses that responded come first: its name may resolve to others by now.
        """
        if self._base_url is None:
            return None
        base_url = httpx.URL(self._base_url)
        peers = self._peers.get((base_url.host, base_url.port))
        if peers:
            return private_networks(peers) if all(map(is_private, peers)) else ()
        if self._resolved is None:
            try:
                async with asyncio.timeout(HEADERS_TIMEOUT_S):
                    host, port = base_url.raw_host.decode("ascii"), _port_of(base_url)
                    found = await addresses_of(host, port)
            except OSError:
                return ()
            self._resolved = private_networks(found)
        return self._resolved

    def _is_forbidden_peer(self, response: httpx.Response, hub: tuple[Address, ...] | None) -> bool:
        """DNS rebinding: check the peer that we actually connected to."""
        peer = peer_of(response)
        if hub is None or peer is None or self._uses_proxy(response.url):
            return False
        return not allowed_addresses([peer], hub)

    def _uses_proxy(self, url: httpx.URL) -> bool:
        network = self._network
        return network is not None and bool(network.proxy_for(url.scheme, url.host, url.port))


async def _write_body(response: httpx.Response, file: BinaryIO) -> MountseaError | BadImage | None:
    """Write a body to a file; count the bytes, since the declared size may be wrong."""
    if response.status_code != 200:
        return HubUnavailable(
            f"The image host returned HTTP {response.status_code}.",
            status_code=response.status_code,
        )
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BYTES:
        return TooLarge(f"its host declares {declared} bytes, more than {MAX_BYTES}")
    received, clock = 0, Stopwatch()
    try:
        decoder, chunks = open_body(response, max_bytes=MAX_BYTES)
        async for chunk in chunks:
            for piece in decoder.feed(chunk):
                received += len(piece)
                if received > MAX_BYTES:
                    return TooLarge(f"it is larger than {MAX_BYTES} bytes")
                file.write(piece)
                await asyncio.sleep(0)  # few compressed bytes can be much work
            if is_too_slow(received, clock.elapsed_s):
                return HubUnavailable(
                    f"The download stalled (under {MIN_BYTES_PER_S // 1024} kB/s "
                    f"for {GRACE_S:g} s)."
                )
        decoder.finish()
    except UndecodableBody as error:
        return HubUnavailable(f"The response of the image host could not be read: {error}.")
    return None


def is_too_slow(received: int, elapsed_s: float) -> bool:
    """Return whether a body arrives too slowly; a read time-out does not notice that.

    Args:
        received: Bytes so far.
        elapsed_s: Seconds since the body began.

    Example:
        >>> is_too_slow(100, 11.0), is_too_slow(100, 1.0)
        (True, False)
    """
    return elapsed_s > GRACE_S and received < MIN_BYTES_PER_S * elapsed_s


def _checked_url(url: str | httpx.URL) -> httpx.URL:
    """Validate a URL; httpx does not check all of its parts."""
    try:
        url = httpx.URL(url)
        if url.scheme in _PORTS and url.host and 0 < _port_of(url) < 65536:
            url.raw_host.decode("ascii").encode("idna")
            return url
    except (httpx.InvalidURL, ValueError):
        pass
    raise UnusableUrl("The image's URL is not a valid http or https URL.")


def _port_of(url: httpx.URL) -> int:
    return _PORTS.get(url.scheme, 443) if url.port is None else url.port


async def _write_inline(source: ImageSource, file: BinaryIO) -> None:
    """Decode an image in the response itself (`sync_mode`): a data URI or bare base64."""
    pieces = inline_pieces(source.url or source.b64 or "", max_bytes=MAX_BYTES)
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            file.write(piece)
    except InlineTooLarge as error:
        raise TooLarge(str(error)) from error
    except InlineError as error:
        raise BadImage(str(error)) from error
