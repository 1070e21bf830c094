"""The client pool: which client is used for which settings, and when it is closed."""

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
    """The settings for a stand-in Hub."""
    return Settings(hub.url, Secret(KEY), "a test", hub.credits_url, home)


def test_a_client_is_reused_for_the_same_loop_and_settings(settings: Settings) -> None:
    """Another key, Hub or loop has its own client."""
    pool = ClientPool()
    other_key = replace(settings, key=Secret(OTHER_KEY))
    elsewhere = replace(settings, base_url="http://127.0.0.1:9")

    async def indices() -> list[int]:
        all_settings = [settings, settings, other_key, elsewhere]
        clients = [pool.client(each) for each in all_settings]
        await pool.aclose()
        return [clients.index(client) for client in clients]

    assert asyncio.run(indices()) == [0, 0, 2, 3]

    async def one() -> int:
        client = pool.client(settings)
        return id(client) if pool.client(settings) is client else 0

    first = asyncio.new_event_loop()
    second = asyncio.new_event_loop()
    try:
        assert 0 != first.run_until_complete(one()) != second.run_until_complete(one()) != 0
        for loop in (first, second):
            loop.run_until_complete(pool.aclose())
    finally:
        first.close()
        second.close()


def test_a_changed_proxy_or_certificate_makes_a_new_client(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy, an exemption, a bundle, or a bundle's new content; the same ones reuse a client."""
    pool = ClientPool()
    bundle = tmp_path / "ca.pem"
    shutil.copy(certifi.where(), bundle)

    async def indices() -> list[int]:
        clients = [pool.client(settings)]
        for name, value in (
            ("ALL_PROXY", "a:1"),
            ("NO_PROXY", "b"),
            ("SSL_CERT_FILE", str(bundle)),
        ):
            monkeypatch.setenv(name, value)
            clients.append(pool.client(settings))
        os.utime(bundle, (1, 1))
        clients += [pool.client(settings), pool.client(settings)]
        for name in ("ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
        clients.append(pool.client(settings))
        await pool.aclose()
        return [clients.index(client) for client in clients]

    assert asyncio.run(indices()) == [0, 1, 2, 3, 4, 4, 0]


def test_each_key_goes_with_its_own_requests(hub: StandInHub, settings: Settings) -> None:
    """Two clients of the same Hub use their own keys."""
    pool = ClientPool()
    other = replace(settings, key=Secret(OTHER_KEY))

    async def ask() -> None:
        for each in (settings, other, settings):
            await pool.client(each).credits()
        await pool.aclose()

    asyncio.run(ask())
    keys = [seen.headers["x-api-key"] for seen in hub.requests]
    assert keys == [KEY, OTHER_KEY, KEY]


def test_without_a_key_nothing_is_sent(hub: StandInHub, settings: Settings) -> None:
    """The error names the commands that help."""

    async def ask() -> None:
        ClientPool().client(replace(settings, key=None))

    with pytest.raises(ConfigurationError, match="`%mountsea login`"):
        asyncio.run(ask())
    assert hub.requests == []


def test_the_demo_hub_needs_no_key_and_gets_none(hub: StandInHub, settings: Settings) -> None:
    """Its client uses no socket, and no key even if there is one."""
    pool = ClientPool()

    async def ask() -> float:
        credits = await pool.client(replace(settings, base_url=DEMO_URL)).credits()
        await pool.aclose()
        return credits

    assert asyncio.run(ask()) == 1000
    assert hub.requests == []


def test_aclose_closes_the_clients_of_the_running_loop(settings: Settings) -> None:
    """Afterwards there is a new client; without clients it does nothing."""
    pool = ClientPool()

    async def run() -> bool:
        await pool.aclose()
        first = pool.client(settings)
        await pool.aclose()
        with pytest.raises(HubUnavailable, match="closed"):
            await first.credits()
        second = pool.client(settings)
        await pool.aclose()
        return first is second

    assert asyncio.run(run()) is False


def test_a_demo_fault_applies_to_existing_clients(settings: Settings) -> None:
    """It can be activated and deactivated between two requests of one client."""
    pool = ClientPool()

    async def run() -> list[str]:
        client = pool.client(replace(settings, base_url=DEMO_URL))
        outcomes = []
        for fault in ("none", "offline", "none"):
            pool.break_demo(fault)
            try:
                outcomes.append(f"{await client.credits():g}")
            except HubUnavailable:
                outcomes.append("unavailable")
        await pool.aclose()
        return outcomes

    assert asyncio.run(run()) == ["1000", "unavailable", "1000"]


def test_every_demo_fault_has_a_description() -> None:
    """An unknown one is refused with a suggestion, and changes nothing."""
    pool = ClientPool()
    for fault in pool.demo_faults():
        assert pool.break_demo(fault) and pool.demo_fault == fault
    with pytest.raises(InvalidRequest, match="Did you mean flaky"):
        pool.break_demo("flacky")
    assert pool.demo_fault == pool.demo_faults()[-1]
