"""Connect to the IP addresses that were checked, without resolving the name again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore

from ..errors import HubUnavailable
from .private_hosts import Address, allowed_addresses, is_private, real_address
from .resolver import resolve

ATTEMPT_DELAY_S = 0.25
"""The delay before the next address is tried in parallel, in seconds (RFC 8305)."""

PRIVATE_FIRST_S = 1.0
"""The delay before a Hub's public addresses are tried after its private ones, in seconds."""

PRIVATE_HOST = "Refused to download from a private network address."


class UnusableUrl(HubUnavailable):
    """A URL is malformed or forbidden: a retry with the same URL can't succeed."""


_Connect = Callable[[str], Awaitable[httpcore.AsyncNetworkStream]]


class Connector(httpcore.AnyIOBackend):
    """A network backend for httpcore that checks IP addresses before it connects.

    TLS and HTTP still use the host's name.

    Args:
        hub: The Hub's private IP addresses, to allow public addresses and those of its network
            only, or None to connect to any address, as for the Hub itself and for proxies.

    Example:
        >>> pool = httpcore.AsyncConnectionPool(network_backend=Connector())
    """

    def __init__(self, hub: Sequence[Address] | None = None) -> None:
        self._hub = hub

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve a host once, check its addresses, and connect to the first one that responds.

        Raises:
            UnusableUrl: If none of its addresses is allowed.
            ConnectError: If it can't be reached.
            ConnectTimeout: If that takes too long.
        """

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            # given an IP address, anyio resolves nothing
            return await super(Connector, self).connect_tcp(
                address, port, None, local_address, socket_options
            )

        try:
            async with asyncio.timeout(timeout):
                found = self._allowed(await resolve(host, port))
                return await _first_of(found, connect)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection to {host}") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error

    def _allowed(self, found: Sequence[str]) -> Sequence[str]:
        """Return the allowed addresses, in the order in which they are tried."""
        if self._hub is None:
            # private first: images may come from a Hub's network only if the Hub is reached there
            return sorted(_interleaved(found), key=_is_public)
        allowed = allowed_addresses(found, self._hub)
        if not allowed:
            raise UnusableUrl(PRIVATE_HOST)
        return _interleaved(allowed)


def _interleaved(found: Sequence[str]) -> list[str]:
    """Put the first address of the other family second: one family may be unreachable."""
    other = [one for one in found if (":" in one) != (":" in found[0])][:1]
    return [*found[:1], *other, *(one for one in found[1:] if one not in other)]


def _is_public(address: str) -> bool:
    return not is_private(real_address(address))


async def _first_of(addresses: Sequence[str], connect: _Connect) -> httpcore.AsyncNetworkStream:
    """Connect to the first address that responds (Happy Eyeballs)."""
    if len(addresses) == 1:
        return await connect(addresses[0])
    remaining, errors = list(addresses), list[BaseException]()
    attempts: set[asyncio.Future[httpcore.AsyncNetworkStream]] = set()
    try:
        while remaining or attempts:
            pause_s = None
            if remaining:
                address = remaining.pop(0)
                attempts.add(asyncio.ensure_future(connect(address)))
                to_public = remaining and _is_public(remaining[0]) and not _is_public(address)
                delay_s = PRIVATE_FIRST_S if to_public else ATTEMPT_DELAY_S
                pause_s = delay_s if remaining else None
            done, _ = await asyncio.wait(
                attempts, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                attempts.discard(attempt)
                error = attempt.exception()
                if error is None:
                    return attempt.result()
                errors.append(error)
        raise httpcore.ConnectError(str(errors[-1])) from errors[-1]
    finally:
        for attempt in attempts:
            attempt.cancel()
        for late in await asyncio.gather(*attempts, return_exceptions=True):
            if isinstance(late, httpcore.AsyncNetworkStream):
                await late.aclose()
