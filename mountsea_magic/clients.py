"""The client pool: one Hub client per event loop and settings, the demo Hub's included."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from .errors import InvalidRequest
from .hub.proxies import Network, read_network
from .request.catalog import nearest
from .runtime.text import sanitize
from .settings import Settings

if TYPE_CHECKING:
    from .demo.server.network import DemoNetwork
    from .hub.client import HubClient

Loop = asyncio.AbstractEventLoop
_Route = tuple[Settings, Network | None]


class ClientPool:
    """The Hub clients of one process: one for each event loop and settings.

    Attributes:
        demo_seconds: How long a task of the demo Hub takes, in seconds.
        demo_fault: The active fault of the demo network, or ``none``.

    Example:
        >>> ClientPool().demo_fault
        'none'
    """

    def __init__(self) -> None:
        self.demo_seconds = 6.0
        self.demo_fault = "none"
        self._prepared: Network | None = None
        self._clients: WeakKeyDictionary[Loop, dict[_Route, HubClient]] = WeakKeyDictionary()

    def client(self, settings: Settings) -> HubClient:
        """Return the client for these settings on the running event loop.

        Changed proxies or certificates in the environment lead to a new client.

        Args:
            settings: The Hub and the key.

        Raises:
            ConfigurationError: If the Hub needs a key and there is none, or if the environment
                names an unusable proxy or certificates.
        """
        from .hub.client import HubClient

        network = None if settings.is_demo else read_network()
        clients = self._clients.setdefault(asyncio.get_running_loop(), {})
        if (settings, network) not in clients:
            if settings.is_demo:
                from .demo.server.network import DEMO_ORIGIN

                credits_url = f"{DEMO_ORIGIN}/api-user/credits"
                demo = self._demo_network(settings)
                client = HubClient(DEMO_ORIGIN, None, credits_url=credits_url, transport=demo)
            else:
                key = settings.require_key()
                client = HubClient(
                    settings.base_url, key, credits_url=settings.credits_url, network=network
                )
            clients[settings, network] = client
        return clients[settings, network]

    def prepare(self, settings: Settings) -> None:
        """Begin what a client needs on another thread, while the caller prepares a request.

        Args:
            settings: The Hub and the key.
        """
        network = None if settings.is_demo else read_network()
        if network not in (None, self._prepared):
            from .hub.certificates import load_early

            load_early(network)
            self._prepared = network

    @staticmethod
    def demo_faults() -> tuple[str, ...]:
        """Return the names of the demo network's faults."""
        from .demo.server.network import FAULTS

        return tuple(FAULTS)

    def break_demo(self, fault: str) -> str:
        """Activate a fault of the demo network, or none with ``none``.

        Args:
            fault: One of `demo_faults`.

        Returns:
            A description of the fault.

        Raises:
            InvalidRequest: If the fault is unknown; names the closest one.
        """
        from .demo.server.network import FAULTS

        if fault not in FAULTS:
            raise InvalidRequest(
                f"--fail: unknown fault '{sanitize(fault, limit=60)}'. {nearest(fault, FAULTS)}"
            )
        self.demo_fault = fault
        return FAULTS[fault]

    async def aclose(self) -> None:
        """Close the clients of the running event loop."""
        for client in self._clients.pop(asyncio.get_running_loop(), {}).values():
            await client.aclose()

    def _demo_network(self, settings: Settings) -> DemoNetwork:
        from .demo.server.app import create_app
        from .demo.server.network import DemoNetwork

        # callables, since a lesson changes speed and fault between requests
        app = create_app(settings.home / "demo", seconds=lambda: self.demo_seconds)
        return DemoNetwork(app, fault=lambda: self.demo_fault)
