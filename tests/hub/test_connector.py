"""Connecting: only to checked IP addresses, one after the other, with the host's name in TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import httpcore
import httpx
import pytest
from hub_server import StandInHub
from proxies import Relay
from test_transport import AUTHORITY, tls_context

from mountsea_magic.hub import connector
from mountsea_magic.hub.connector import Connector, UnusableUrl
from mountsea_magic.hub.private_hosts import private_networks, real_address
from mountsea_magic.hub.proxies import read_network
from mountsea_magic.hub.transport import HUB_ADDRESSES, EnvironmentTransport


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name resolve to these addresses."""
    families = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
    found = [(family, 1, 6, "", (one, 0)) for family, one in zip(families, addresses, strict=True)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: found)


class FakeNetwork(httpcore.AnyIOBackend):
    """A network whose addresses respond, refuse or hang, as given."""

    def __init__(self, *responding: str, refusing: Sequence[str] = ()) -> None:
        self.responding, self.refusing = responding, refusing
        self.tried: list[str] = []
        self.open: list[httpcore.AsyncMockStream] = []

    async def connect(self, _: Any, host: str, *more: Any) -> httpcore.AsyncNetworkStream:
        """Replace httpcore's own `connect_tcp`."""
        self.tried.append(host)
        if host in self.refusing:
            raise httpcore.ConnectError(f"{host} refuses")
        if host not in self.responding:
            await asyncio.Event().wait()
        stream = httpcore.AsyncMockStream([host.encode()])
        self.open.append(stream)
        return stream


def connected(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch, hub: list[str] | None = None
) -> str:
    """Connect to a name; return the address that was connected to."""

    async def connect(*given: Any) -> httpcore.AsyncNetworkStream:
        return await network.connect(*given)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    monkeypatch.setattr(connector, "ATTEMPT_DELAY_S", 0.001)
    monkeypatch.setattr(connector, "PRIVATE_FIRST_S", 0.001)

    async def work() -> str:
        networks = None if hub is None else private_networks(map(real_address, hub))
        stream = await Connector(networks).connect_tcp("images.example", 80, timeout=5.0)
        return (await stream.read(99)).decode()

    return asyncio.run(work())


def test_the_first_address_that_responds_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may refuse or hang; the other address family is tried second."""
    resolve_to(monkeypatch, "9.0.0.1", "9.0.0.2", "9.0.0.3", "2606::1", "2606::2")
    network = FakeNetwork("9.0.0.3", refusing=["9.0.0.2"])
    assert connected(network, monkeypatch, []) == "9.0.0.3"
    assert network.tried == ["9.0.0.1", "2606::1", "9.0.0.2", "9.0.0.3"]


def test_a_second_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If two addresses respond at once, one connection stays open."""
    resolve_to(monkeypatch, "9.0.0.1", "9.0.0.2")
    network = FakeNetwork("9.0.0.1", "9.0.0.2")
    both = asyncio.Barrier(2)

    async def connect(backend: Any, host: str, *more: Any) -> httpcore.AsyncNetworkStream:
        await both.wait()
        return await FakeNetwork.connect(network, backend, host, *more)

    monkeypatch.setattr(network, "connect", connect)
    assert connected(network, monkeypatch, []) in ("9.0.0.1", "9.0.0.2")
    assert sorted(stream._closed for stream in network.open) == [False, True]


def test_if_all_addresses_refuse_the_last_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like for a single address."""
    resolve_to(monkeypatch, "9.0.0.1", "9.0.0.2")
    with pytest.raises(httpcore.ConnectError, match=r"9\.0\.0\.2 refuses"):
        connected(FakeNetwork(refusing=["9.0.0.1", "9.0.0.2"]), monkeypatch, [])


def test_only_addresses_of_the_hubs_network_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a host in several private networks; one with a loopback address is not tried at all."""
    resolve_to(monkeypatch, "192.168.0.9", "10.0.0.9", "10.0.0.8")
    network = FakeNetwork("192.168.0.9", "10.0.0.8", refusing=["10.0.0.9"])
    assert connected(network, monkeypatch, ["10.0.0.1"]) == "10.0.0.8"
    assert network.tried == ["10.0.0.9", "10.0.0.8"]
    resolve_to(monkeypatch, "10.0.0.9", "127.0.0.1")
    with pytest.raises(UnusableUrl, match="private network"):
        connected(network, monkeypatch, ["10.0.0.1"])
    assert network.tried == ["10.0.0.9", "10.0.0.8"]


def test_a_hub_is_reached_in_its_private_network_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its images are there, too; without that network the public address is used."""
    resolve_to(monkeypatch, "2606::1", "10.0.0.1")
    assert connected(FakeNetwork("2606::1", "10.0.0.1"), monkeypatch) == "10.0.0.1"
    assert connected(FakeNetwork("2606::1"), monkeypatch) == "2606::1"


@pytest.fixture
def tls_host() -> Iterator[tuple[StandInHub, Relay]]:
    """Start a host with a certificate for images.example."""
    context = tls_context("images.example")
    with StandInHub() as hub, Relay({"*": hub.url.removeprefix("http://")}, tls=context) as relay:
        yield hub, relay


async def status_of(url: str, **extensions: Any) -> int:
    """Send one request and return the status."""
    async with httpx.AsyncClient(transport=EnvironmentTransport(read_network())) as http:
        return (await http.get(url, extensions=extensions)).status_code


def test_the_certificate_is_checked_against_the_name(
    tls_host: tuple[StandInHub, Relay], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """TLS and the request have the name, not the IP address."""
    hub, relay = tls_host
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    resolve_to(monkeypatch, "127.0.0.1")
    loopback = {HUB_ADDRESSES: (real_address("127.0.0.1"),)}
    url = f"https://images.example:{relay.port}/hub/v1/models"
    assert asyncio.run(status_of(url, **loopback)) == 200
    assert hub.requests[0].headers["host"] == f"images.example:{relay.port}"
    for host in ("other.example", "127.0.0.1"):
        with pytest.raises(httpx.ConnectError, match="certificate"):
            asyncio.run(status_of(url.replace("images.example", host), **loopback))
    assert len(hub.requests) == 1


def test_a_connection_is_not_reused_for_a_download_with_other_permissions() -> None:
    """A connection for the Hub itself is not used for a download that must not go there."""

    async def work(hub: StandInHub) -> None:
        url = f"{hub.url}/hub/v1/models"
        async with httpx.AsyncClient(transport=EnvironmentTransport(read_network())) as http:
            await http.get(url)
            await http.get(url, extensions={HUB_ADDRESSES: (real_address("127.0.0.1"),)})
            for networks in ((), (real_address("10.0.0.1"),)):
                with pytest.raises(UnusableUrl):
                    await http.get(url, extensions={HUB_ADDRESSES: networks})

    with StandInHub() as hub:
        asyncio.run(work(hub))
        assert (len(hub.requests), hub.peak_connections) == (2, (2, 0))
