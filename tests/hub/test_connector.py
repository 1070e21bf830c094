"""Connecting: to the addresses that were judged alone, one after the other, by the host's name."""

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
from mountsea_magic.hub.private_hosts import places_of, real_address
from mountsea_magic.hub.proxies import read_network
from mountsea_magic.hub.transport import HUB_ADDRESSES, EnvironmentTransport


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name lead to these addresses."""
    families = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
    found = [(family, 1, 6, "", (one, 0)) for family, one in zip(families, addresses, strict=True)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: found)


class Wires(httpcore.AnyIOBackend):
    """A network whose addresses answer, refuse or hang as the test says."""

    def __init__(self, *answering: str, refusing: Sequence[str] = ()) -> None:
        """Let all other addresses hang."""
        self.answering, self.refusing = answering, refusing
        self.tried: list[str] = []
        self.open: list[httpcore.AsyncMockStream] = []

    async def connect(self, _: Any, host: str, *more: Any) -> httpcore.AsyncNetworkStream:
        """Stand in for httpcore's own `connect_tcp`."""
        self.tried.append(host)
        if host in self.refusing:
            raise httpcore.ConnectError(f"{host} refuses")
        if host not in self.answering:
            await asyncio.Event().wait()
        stream = httpcore.AsyncMockStream([host.encode()])
        self.open.append(stream)
        return stream


def connected(wires: Wires, monkeypatch: pytest.MonkeyPatch, hub: list[str] | None = None) -> str:
    """Connect to a name, and say to which address."""

    async def connect(*given: Any) -> httpcore.AsyncNetworkStream:
        return await wires.connect(*given)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    monkeypatch.setattr(connector, "NEXT_S", 0.001)
    monkeypatch.setattr(connector, "NEAR_FIRST_S", 0.001)

    async def work() -> str:
        place = None if hub is None else places_of(map(real_address, hub))
        stream = await Connector(place).connect_tcp("images.example", 80, timeout=5.0)
        return (await stream.read(99)).decode()

    return asyncio.run(work())


def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses or hangs does not lose the image; the other family is tried second."""
    leads_to(monkeypatch, "9.0.0.1", "9.0.0.2", "9.0.0.3", "2606::1", "2606::2")
    wires = Wires("9.0.0.3", refusing=["9.0.0.2"])
    assert connected(wires, monkeypatch, []) == "9.0.0.3"
    assert wires.tried == ["9.0.0.1", "2606::1", "9.0.0.2", "9.0.0.3"]


def test_an_address_that_answers_late_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two answers at once leave one connection open."""
    leads_to(monkeypatch, "9.0.0.1", "9.0.0.2")
    wires = Wires("9.0.0.1", "9.0.0.2")
    both = asyncio.Barrier(2)

    async def connect(backend: Any, host: str, *more: Any) -> httpcore.AsyncNetworkStream:
        await both.wait()
        return await Wires.connect(wires, backend, host, *more)

    monkeypatch.setattr(wires, "connect", connect)
    assert connected(wires, monkeypatch, []) in ("9.0.0.1", "9.0.0.2")
    assert sorted(stream._closed for stream in wires.open) == [False, True]


def test_when_all_refuse_the_last_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one error of the kind that a single address gives."""
    leads_to(monkeypatch, "9.0.0.1", "9.0.0.2")
    with pytest.raises(httpcore.ConnectError, match=r"9\.0\.0\.2 refuses"):
        connected(Wires(refusing=["9.0.0.1", "9.0.0.2"]), monkeypatch, [])


def test_only_addresses_of_the_hubs_network_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a host in several private networks; one that is also this machine is not tried at all."""
    leads_to(monkeypatch, "192.168.0.9", "10.0.0.9", "10.0.0.8")
    wires = Wires("192.168.0.9", "10.0.0.8", refusing=["10.0.0.9"])
    assert connected(wires, monkeypatch, ["10.0.0.1"]) == "10.0.0.8"
    assert wires.tried == ["10.0.0.9", "10.0.0.8"]
    leads_to(monkeypatch, "10.0.0.9", "127.0.0.1")
    with pytest.raises(UnusableUrl, match="private network"):
        connected(wires, monkeypatch, ["10.0.0.1"])
    assert wires.tried == ["10.0.0.9", "10.0.0.8"]


def test_a_hub_is_reached_in_its_private_network_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """There its images are, too; without that network the public address does."""
    leads_to(monkeypatch, "2606::1", "10.0.0.1")
    assert connected(Wires("2606::1", "10.0.0.1"), monkeypatch) == "10.0.0.1"
    assert connected(Wires("2606::1"), monkeypatch) == "2606::1"


@pytest.fixture
def tls_host() -> Iterator[tuple[StandInHub, Relay]]:
    """Start a host that shows a certificate for images.example."""
    context = tls_context("images.example")
    with StandInHub() as hub, Relay({"*": hub.url.removeprefix("http://")}, tls=context) as relay:
        yield hub, relay


async def asked(url: str, **extensions: Any) -> int:
    """Ask once, and return the status."""
    async with httpx.AsyncClient(transport=EnvironmentTransport(read_network())) as http:
        return (await http.get(url, extensions=extensions)).status_code


def test_the_certificate_is_checked_against_the_name(
    tls_host: tuple[StandInHub, Relay], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The IP address stands nowhere in TLS or in the request: the name does."""
    hub, relay = tls_host
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    leads_to(monkeypatch, "127.0.0.1")
    loopback = {HUB_ADDRESSES: (real_address("127.0.0.1"),)}
    url = f"https://images.example:{relay.port}/hub/v1/models"
    assert asyncio.run(asked(url, **loopback)) == 200
    assert hub.requests[0].headers["host"] == f"images.example:{relay.port}"
    for host in ("other.example", "127.0.0.1"):
        with pytest.raises(httpx.ConnectError, match="certificate"):
            asyncio.run(asked(url.replace("images.example", host), **loopback))
    assert len(hub.requests) == 1


def test_a_connection_is_not_reused_under_other_rights() -> None:
    """What was opened for the Hub itself carries no request for an image that may not go there."""

    async def work(hub: StandInHub) -> None:
        url = f"{hub.url}/hub/v1/models"
        async with httpx.AsyncClient(transport=EnvironmentTransport(read_network())) as http:
            await http.get(url)
            await http.get(url, extensions={HUB_ADDRESSES: (real_address("127.0.0.1"),)})
            for rights in ((), (real_address("10.0.0.1"),)):
                with pytest.raises(UnusableUrl):
                    await http.get(url, extensions={HUB_ADDRESSES: rights})

    with StandInHub() as hub:
        asyncio.run(work(hub))
        assert (len(hub.requests), hub.most_open) == (2, (2, 0))
