"""Which client is used for what, and what becomes of it."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path

import certifi
import pytest
from hub_server import KEY, OTHER_KEY, StandInHub

from mountsea_magic.clients import ClientPool
from mountsea_magic.errors import ConfigurationError, HubUnavailable, InvalidRequest
from mountsea_magic.settings import DEMO_URL, Secret, Settings


@pytest.fixture
def settings(hub: StandInHub, home: Path) -> Settings:
    """Lead to a stand-in."""
    return Settings(hub.url, Secret(KEY), "a test", hub.credits_url, home)


def test_a_client_is_kept_for_its_loop_and_its_settings(settings: Settings) -> None:
    """The same again is the same client; another key, Hub or loop has its own."""
    connections = ClientPool()
    other_key = replace(settings, key=Secret(OTHER_KEY))
    elsewhere = replace(settings, base_url="http://127.0.0.1:9")

    async def made() -> list[int]:
        all_of_them = [settings, settings, other_key, elsewhere]
        clients = [connections.client(each) for each in all_of_them]
        await connections.aclose()
        return [clients.index(client) for client in clients]

    assert asyncio.run(made()) == [0, 0, 2, 3]

    async def one() -> int:
        client = connections.client(settings)
        return id(client) if connections.client(settings) is client else 0

    first = asyncio.new_event_loop()
    second = asyncio.new_event_loop()
    try:
        assert 0 != first.run_until_complete(one()) != second.run_until_complete(one()) != 0
        for loop in (first, second):
            loop.run_until_complete(connections.aclose())
    finally:
        first.close()
        second.close()


def test_a_change_of_the_network_in_the_environment_makes_another_client(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy, an exemption, a bundle, and a bundle's new content; the same again is the same."""
    connections = ClientPool()
    bundle = tmp_path / "ca.pem"
    shutil.copy(certifi.where(), bundle)

    async def made() -> list[int]:
        clients = [connections.client(settings)]
        for name, value in (
            ("ALL_PROXY", "a:1"),
            ("NO_PROXY", "b"),
            ("SSL_CERT_FILE", str(bundle)),
        ):
            monkeypatch.setenv(name, value)
            clients.append(connections.client(settings))
        os.utime(bundle, (1, 1))
        clients += [connections.client(settings), connections.client(settings)]
        for name in ("ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
        clients.append(connections.client(settings))
        await connections.aclose()
        return [clients.index(client) for client in clients]

    assert asyncio.run(made()) == [0, 1, 2, 3, 4, 4, 0]


def test_each_key_goes_with_its_own_requests(hub: StandInHub, settings: Settings) -> None:
    """Two clients at the same Hub do not mix their keys up."""
    connections = ClientPool()
    other = replace(settings, key=Secret(OTHER_KEY))

    async def ask() -> None:
        for each in (settings, other, settings):
            await connections.client(each).credits()
        await connections.aclose()

    asyncio.run(ask())
    keys = [seen.headers["x-api-key"] for seen in hub.requests]
    assert keys == [KEY, OTHER_KEY, KEY]


def test_a_hub_without_a_key_is_not_connected_to(hub: StandInHub, settings: Settings) -> None:
    """The error names the cures, and nothing is sent."""

    async def ask() -> None:
        ClientPool().client(replace(settings, key=None))

    with pytest.raises(ConfigurationError, match="`%mountsea login`"):
        asyncio.run(ask())
    assert hub.requests == []


def test_the_demo_needs_no_key_and_takes_none(hub: StandInHub, settings: Settings) -> None:
    """Its client is of this process: no socket, and no key even where there is one."""
    connections = ClientPool()

    async def ask() -> float:
        left = await connections.client(replace(settings, base_url=DEMO_URL)).credits()
        await connections.aclose()
        return left

    assert asyncio.run(ask()) == 1000
    assert hub.requests == []


def test_closing_ends_the_clients_of_this_loop_alone(settings: Settings) -> None:
    """What is asked for after it is a new client; with none there is nothing to close."""
    connections = ClientPool()

    async def run() -> bool:
        await connections.aclose()
        first = connections.client(settings)
        await connections.aclose()
        with pytest.raises(HubUnavailable, match="closed"):
            await first.credits()
        second = connections.client(settings)
        await connections.aclose()
        return first is second

    assert asyncio.run(run()) is False


def test_a_fault_is_of_the_demo_that_runs_already(settings: Settings) -> None:
    """Switched on between two requests of one client it holds for the next, and is mended so."""
    connections = ClientPool()

    async def run() -> list[str]:
        client = connections.client(replace(settings, base_url=DEMO_URL))
        told = []
        for fault in ("none", "offline", "none"):
            connections.break_demo(fault)
            try:
                told.append(f"{await client.credits():g}")
            except HubUnavailable:
                told.append("unavailable")
        await connections.aclose()
        return told

    assert asyncio.run(run()) == ["1000", "unavailable", "1000"]


def test_every_fault_has_a_name_and_says_what_it_does() -> None:
    """An unknown one is refused with the nearest, and changes nothing."""
    connections = ClientPool()
    for fault in connections.demo_faults():
        assert connections.break_demo(fault) and connections.demo_fault == fault
    with pytest.raises(InvalidRequest, match="Did you mean flaky"):
        connections.break_demo("flacky")
    assert connections.demo_fault == connections.demo_faults()[-1]
