"""Delivery: an image comes from whatever host the Hub names, within limits and without the key."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import BinaryIO

import httpx

from ..errors import HubUnavailable, MountseaError, sanitize, without_frames
from ..images.data_uris import InlineError, InlineTooLarge, inline_pieces
from ..images.files import MAX_BYTES, BadImage, TooLarge
from ..runtime.clock import Stopwatch
from ..runtime.key_redaction import redact_key
from ..runtime.redaction import guard_logs, without_queries
from .connector import PRIVATE_HOST, UnusableUrl
from .content_coding import UndecodableBody, open_body
from .network_errors import describe_failure
from .private_hosts import Address, addresses_of, allowed_addresses, is_near, places_of
from .proxies import Network
from .resolver import resolve
from .responses import ImageSource
from .transport import HUB_ADDRESSES, Peers, peer_of

MAX_REDIRECTS = 3
READ_S = 15.0
"""How long an image's host may be silent, in seconds."""

HEADERS_S = 25.0
"""How long it may take until it answers at all, in seconds, also if it trickles."""

DOWNLOAD_S = 900.0
"""How long all of it may take, redirects too, in seconds: a slow line needs minutes for 4K."""

SLOWEST_BYTES_S = 4096
GRACE_S = 10.0
"""After so many seconds, less than `SLOWEST_BYTES_S` bytes a second counts as a stall."""

_PORTS = {"http": 80, "https": 443}


class ImageDownloader:
    """Fetches images for one Hub.

    Example:
        >>> async def fetch(delivery: ImageDownloader, source: ImageSource) -> None:
        ...     with open("dog.png", "wb") as file:
        ...         await delivery.fetch(source, file)
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
        """Ask nothing yet.

        Args:
            http: What carries the requests; without any credentials of its own.
            base_url: The Hub's address, next to which images may be too, or None for a Hub in
                this process, whose network has no addresses.
            redact: Takes the key out of what is logged, should a host echo it.
            network: The proxies by which ``http`` asks, if any.
            peers: Which IP addresses have answered, the Hub's among them.
        """
        self._network = network
        self._http = http
        self._base_url = base_url
        self._redact = redact
        self._peers = {} if peers is None else peers
        self._resolved: tuple[Address, ...] | None = None

    async def fetch(self, source: ImageSource, file: BinaryIO) -> None:
        """Write an image's bytes to a file as they come; the key is never sent along.

        Args:
            source: Where the image is.
            file: The file to fill.

        Raises:
            BadPicture: If it is larger than `MAX_BYTES`, or its inline form can't be read.
            UnusableUrl: If its URL is malformed, or leads where no image may be fetched from.
            HubUnavailable: If its host can't be reached, or refuses; bears the status code.
            OSError: If the file can't be written.
        """
        guard_logs(self._redact)
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
            said = f"The image's host did not deliver ({outcome})."
            raise HubUnavailable(said) from outcome
        if outcome is not None:
            raise outcome

    async def _received(
        self, source: ImageSource, file: BinaryIO
    ) -> httpx.RequestError | MountseaError | BadImage | None:
        """Return a failure instead of raising it: raised here, it would drag signed URLs along."""
        url = httpx.URL()
        try:
            url = _checked_url(source.url or "")
            request = self._http.build_request(
                "GET", url, headers={"Accept-Encoding": "identity"}, timeout=READ_S
            )
            for _ in range(MAX_REDIRECTS + 1):
                # each hop is judged, since a redirect is what an attacker would use
                url = _checked_url(request.url)
                hub = await self._hub_addresses()
                await self._check(url, hub)
                # and once more where it is connected to
                request.extensions[HUB_ADDRESSES] = hub
                async with asyncio.timeout(HEADERS_S):
                    response = await self._http.send(request, stream=True, auth=None)
                try:
                    if self._is_elsewhere(response, hub):
                        return UnusableUrl(PRIVATE_HOST)
                    if response.next_request is None:
                        return await _written(response, file)
                    request = response.next_request
                finally:
                    await response.aclose()
        except UnusableUrl as error:
            return UnusableUrl(str(error))
        except MountseaError as error:
            return HubUnavailable(str(error))
        except (httpx.InvalidURL, UnicodeError):
            return UnusableUrl("The image's host redirects to what is not a valid URL.")
        except OSError as error:
            if not isinstance(error, TimeoutError | ssl.SSLError):
                raise  # the file can't be written
            return without_request(error)
        except Exception as error:
            # httpx, httpcore and the resolver raise more kinds than httpx's own
            message = describe_failure(error, self._network, url)
            return HubUnavailable(message) if message else without_request(error)
        return HubUnavailable(f"The image's host redirects more than {MAX_REDIRECTS} times.")

    async def _check(self, url: httpx.URL, hub: tuple[Address, ...] | None) -> None:
        """Refuse a host that is forbidden, and one that is not found, before a connection is."""
        if hub is None:
            return
        try:
            async with asyncio.timeout(HEADERS_S):
                found = await resolve(url.raw_host.decode("ascii"), _port_of(url))
        except OSError as error:
            # behind a proxy a name may well be unknown here: the proxy resolves it
            if self._goes_by_proxy(url):
                return
            reason = sanitize(error.strerror or "no answer", limit=80)
            raise HubUnavailable(f"The image's host could not be found ({reason}).") from None
        if not allowed_addresses(found, hub):
            raise UnusableUrl(PRIVATE_HOST)

    async def _hub_addresses(self) -> tuple[Address, ...] | None:
        """Where the Hub is, whose network has images too; None for a Hub in this process.

        It is where it has answered from: what its name resolves to now may be another's.
        """
        if self._base_url is None:
            return None
        base_url = httpx.URL(self._base_url)
        peers = self._peers.get((base_url.host, base_url.port))
        if peers:
            return places_of(peers) if all(map(is_near, peers)) else ()
        if self._resolved is None:
            try:
                async with asyncio.timeout(HEADERS_S):
                    host, port = base_url.raw_host.decode("ascii"), _port_of(base_url)
                    found = await addresses_of(host, port)
            except OSError:
                return ()
            self._resolved = places_of(found)
        return self._resolved

    def _is_elsewhere(self, response: httpx.Response, hub: tuple[Address, ...] | None) -> bool:
        """Whether a transport that does not judge what it connects to has been led astray."""
        peer = peer_of(response)
        if hub is None or peer is None or self._goes_by_proxy(response.url):
            return False
        return not allowed_addresses([peer], hub)

    def _goes_by_proxy(self, url: httpx.URL) -> bool:
        """Whether there is a proxy for this very URL."""
        network = self._network
        return network is not None and bool(network.proxy_for(url.scheme, url.host, url.port))


async def _written(response: httpx.Response, file: BinaryIO) -> MountseaError | BadImage | None:
    """Count while reading: what a host declares about a size need not be true."""
    if response.status_code != 200:
        return HubUnavailable(
            f"The image's host answered {response.status_code}.",
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
                return HubUnavailable("The image trickles in too slowly.")
        decoder.finish()
    except UndecodableBody as error:
        return HubUnavailable(f"What the image's host sent can't be read: {error}.")
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


def _checked_url(url: str | httpx.URL) -> httpx.URL:
    """A URL that can be asked for: httpx leaves some parts to whoever reads them to find bad."""
    try:
        url = httpx.URL(url)
        if url.scheme in _PORTS and url.host and 0 < _port_of(url) < 65536:
            url.raw_host.decode("ascii").encode("idna")
            return url
    except (httpx.InvalidURL, ValueError):
        pass
    raise UnusableUrl("The image's address is not a valid http or https URL.")


def _port_of(url: httpx.URL) -> int:
    return _PORTS.get(url.scheme, 443) if url.port is None else url.port


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
    message = sanitize(without_queries(redact_key(str(error))), limit=200)
    if isinstance(error, httpx.RequestError):
        return type(error)(message or type(error).__name__)
    if isinstance(error, httpx.InvalidURL | UnicodeError):
        return httpx.UnsupportedProtocol(message)
    return httpx.TransportError(f"{type(error).__name__}: {message}")


async def _write_inline(source: ImageSource, file: BinaryIO) -> None:
    """With `sync_mode` the image is in the response, as a data URI or bare base64."""
    pieces = inline_pieces(source.url or source.b64 or "", max_bytes=MAX_BYTES)
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            file.write(piece)
    except InlineTooLarge as error:
        raise TooLarge(str(error)) from error
    except InlineError as error:
        raise BadImage(str(error)) from error
