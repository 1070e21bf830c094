"""The connector: connects to the very IP address that was judged, not to a name once more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore

from ..errors import HubUnavailable
from .private_hosts import Address, allowed_addresses, is_near, real_address
from .resolver import resolve

NEXT_S = 0.25
"""After so many seconds without a connection the next address is tried beside (RFC 8305)."""

NEAR_FIRST_S = 1.0
"""How long a Hub's private addresses go before its public ones, in seconds."""

PRIVATE_HOST = (
    "The image's address leads into a private network, which the Hub is not part of: "
    "it is not fetched."
)


class UnusableUrl(HubUnavailable):
    """A URL is malformed or forbidden: as long as the Hub names it, its image can't be had."""


_Connect = Callable[[str], Awaitable[httpcore.AsyncNetworkStream]]


class Connector(httpcore.AnyIOBackend):
    """Opens httpcore's connections; names stay in TLS and in the requests, which it does not see.

    Example:
        >>> pool = httpcore.AsyncConnectionPool(network_backend=Connector())
    """

    def __init__(self, hub: Sequence[Address] | None = None) -> None:
        """Connect to nothing yet.

        Args:
            hub: Where the Hub is, so that images come from the internet and its network alone, or
                None to connect to any address, as for the Hub itself and for proxies.
        """
        self._hub = hub

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve a host once, judge its addresses, and connect to the first that can be reached.

        Raises:
            UnusableUrl: If it may not be connected to.
            ConnectError: If it can't be reached.
            ConnectTimeout: If that takes too long.
        """

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            # anyio resolves no IP address
            return await super(Connector, self).connect_tcp(
                address, port, None, local_address, socket_options
            )

        try:
            async with asyncio.timeout(timeout):
                found = self._judged(await resolve(host, port))
                return await _first_of(found, connect)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection to {host}") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error

    def _judged(self, found: Sequence[str]) -> Sequence[str]:
        """The addresses that may be connected to, in the order in which they are tried."""
        if self._hub is None:
            # images may come from a Hub's private network only if the Hub is reached there
            return sorted(_interleaved(found), key=_is_far)
        allowed = allowed_addresses(found, self._hub)
        if not allowed:
            raise UnusableUrl(PRIVATE_HOST)
        return _interleaved(allowed)


def _interleaved(found: Sequence[str]) -> list[str]:
    """The first address of the other family comes second: one family may be broken as a whole."""
    other = [one for one in found if (":" in one) != (":" in found[0])][:1]
    return [*found[:1], *other, *(one for one in found[1:] if one not in other)]


def _is_far(address: str) -> bool:
    return not is_near(real_address(address))


async def _first_of(addresses: Sequence[str], connect: _Connect) -> httpcore.AsyncNetworkStream:
    """Try one address after the other, without waiting long for any (Happy Eyeballs)."""
    if len(addresses) == 1:
        return await connect(addresses[0])
    left, errors = list(addresses), list[BaseException]()
    attempts: set[asyncio.Future[httpcore.AsyncNetworkStream]] = set()
    try:
        while left or attempts:
            pause_s = None
            if left:
                address = left.pop(0)
                attempts.add(asyncio.ensure_future(connect(address)))
                to_far = left and _is_far(left[0]) and not _is_far(address)
                pause_s = (NEAR_FIRST_S if to_far else NEXT_S) if left else None
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
