"""An httpx transport that uses the proxies and certificates of the environment."""

from __future__ import annotations

from typing import Any

from ..runtime.httpx_import import httpx
from .certificates import ssl_context
from .connector import Connector
from .private_hosts import Address, real_address
from .proxies import Network, Proxy

HUB_ADDRESSES = "mountsea_hub_addresses"
"""The request extension of a download: the Hub's IP addresses, see `Connector`."""

_NO_LIMITS = httpx.Limits()
Peers = dict[tuple[str, int | None], set[Address]]
"""The IP addresses that responded to requests other than downloads, by the URL's host and port."""

_Route = tuple[Proxy | None, tuple[Address, ...] | None]


class EnvironmentTransport(httpx.AsyncBaseTransport):
    """Sends each request through the proxy that the environment names for its URL, or directly.

    Args:
        network: The proxies and certificates of the environment.
        limits: Limits of the connection pools.
        peers: Filled with the IP addresses that respond without a proxy, if given.

    Raises:
        ConfigurationError: If the certificates that a variable names can't be used. Checked early,
            since images nearly always come over https, after they are paid for.

    Example:
        >>> from mountsea_magic.hub.proxies import read_network
        >>> http = httpx.AsyncClient(transport=EnvironmentTransport(read_network()))
    """

    def __init__(
        self,
        network: Network,
        *,
        limits: httpx.Limits = _NO_LIMITS,
        peers: Peers | None = None,
    ) -> None:
        self._network = network
        self._limits = limits
        self._context = ssl_context(network)
        self._peers = peers
        # a connection is only reused for requests that may connect to the same addresses
        self._routes: dict[_Route, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            ConfigurationError: If the URL's proxy can't be used; it names the variable.
        """
        url = request.url
        request.extensions.setdefault("trace", SendTrace())
        proxy = self._network.require_proxy_for(url.scheme, url.host, url.port)
        hub = request.extensions.get(HUB_ADDRESSES) if proxy is None else None
        route = self._routes.get((proxy, hub))
        if route is None:
            route = self._routes[proxy, hub] = self._make_route(proxy, Connector(hub))
        response = await route.handle_async_request(request)
        if self._peers is not None and proxy is None and hub is None:
            peer = peer_of(response)
            if peer is not None:
                self._peers.setdefault((url.host, url.port), set()).add(real_address(peer))
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        for route in self._routes.values():
            await route.aclose()

    def _make_route(self, proxy: Proxy | None, connector: Connector) -> httpx.AsyncHTTPTransport:
        route = httpx.AsyncHTTPTransport(
            verify=self._context,
            trust_env=False,
            limits=self._limits,
            proxy=self._httpx_proxy(proxy),
        )
        # httpx has no parameter for httpcore's network backend
        if not hasattr(route._pool, "_network_backend"):
            raise RuntimeError(
                "This version of httpx or httpcore is not supported: install another."
            )
        route._pool._network_backend = connector
        return route

    def _httpx_proxy(self, proxy: Proxy | None) -> httpx.Proxy | None:
        if proxy is None:
            return None
        url = httpx.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port)
        context = self._context if proxy.scheme == "https" else None
        return httpx.Proxy(url, auth=proxy.auth, ssl_context=context)


class SendTrace:
    """Records whether httpcore started to send a request, other than a proxy's CONNECT.

    Attributes:
        started: Whether it did; only then may the host have received the request.

    Example:
        >>> SendTrace().started
        False
    """

    def __init__(self) -> None:
        self.started = False
        self._stream: Any = None

    async def __call__(self, event: str, details: dict[str, Any]) -> None:
        """Handle an event of httpcore's ``trace`` extension."""
        if event == "socks.connect_tcp.complete":
            self._stream = details["return_value"]
        elif event == "socks.setup_socks5_connection.failed":
            await self._stream.aclose()  # httpcore 1.0 leaves it open
        if event.endswith("send_request_headers.started"):
            self.started = self.started or details["request"].method != b"CONNECT"


def peer_of(response: httpx.Response) -> str | None:
    """Return the IP address that a response came from, or None without a network.

    Args:
        response: A response that is not closed yet.

    Example:
        >>> peer_of(httpx.Response(200)) is None
        True
    """
    stream = response.extensions.get("network_stream")
    try:
        peer = stream.get_extra_info("server_addr") if stream is not None else None
    except OSError:  # the connection is already broken, but the response is complete
        return None
    return str(peer[0]) if isinstance(peer, tuple) else None
