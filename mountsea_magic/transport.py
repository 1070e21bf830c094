"""The transport: carries httpx's requests by the proxies and certificates of the environment."""

from __future__ import annotations

from typing import Any

import httpx

from .certificates import ssl_context
from .network import Network, Proxy

_NO_LIMITS = httpx.Limits()


class EnvironmentTransport(httpx.AsyncBaseTransport):
    """Sends each request by the proxy that the environment names for its URL, or directly.

    Example:
        >>> from mountsea_magic.network import read_network
        >>> http = httpx.AsyncClient(transport=EnvironmentTransport(read_network()))
    """

    def __init__(self, network: Network, *, limits: httpx.Limits = _NO_LIMITS) -> None:
        """Read the certificates; connect to nothing yet.

        Args:
            network: What the environment says.
            limits: How many connections are kept.

        Raises:
            ConfigurationError: If the certificates that a variable names can't be used. Checked
                early, since images nearly always come by https, and are paid for by then.
        """
        self._network = network
        self._limits = limits
        self._context = ssl_context(network)
        self._routes: dict[Proxy | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            ConfigurationError: If the URL's proxy can't be used; names its variable.
        """
        url = request.url
        request.extensions.setdefault("trace", Departure())
        proxy = self._network.require_proxy_for(url.scheme, url.host, url.port)
        if proxy not in self._routes:
            self._routes[proxy] = httpx.AsyncHTTPTransport(
                verify=self._context,
                trust_env=False,
                limits=self._limits,
                proxy=self._httpx_proxy(proxy),
            )
        return await self._routes[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        for route in self._routes.values():
            await route.aclose()

    def _httpx_proxy(self, proxy: Proxy | None) -> httpx.Proxy | None:
        if proxy is None:
            return None
        url = httpx.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port)
        context = self._context if proxy.scheme == "https" else None
        return httpx.Proxy(url, auth=proxy.auth, ssl_context=context)


class Departure:
    """Learns from httpcore whether a request has begun to leave; a proxy's CONNECT is not it.

    Attributes:
        begun: Whether it has; only then can the host have received it.

    Example:
        >>> Departure().begun
        False
    """

    def __init__(self) -> None:
        """Begin before the request."""
        self.begun = False
        self._stream: Any = None

    async def __call__(self, event: str, details: dict[str, Any]) -> None:
        """Take one event of httpcore's ``trace`` extension."""
        if event == "socks.connect_tcp.complete":
            self._stream = details["return_value"]
        elif event == "socks.setup_socks5_connection.failed":
            await self._stream.aclose()  # httpcore 1.0 leaves it open
        if event.endswith("send_request_headers.started"):
            self.begun = self.begun or details["request"].method != b"CONNECT"
