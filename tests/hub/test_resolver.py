"""DNS lookups: one that hangs blocks nothing else, and concurrent callers share one."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hang import HANG_S
from hub_server import KEY, StandInHub

from mountsea_magic.errors import HubUnavailable
from mountsea_magic.hub import exchange, resolver
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.resolver import resolve
from mountsea_magic.runtime.loop_thread import LoopThread
from mountsea_magic.settings import Secret

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]


class SlowNames:
    """A system resolver that hangs for some names until it is released."""

    def __init__(self) -> None:
        self.lookups: list[str] = []
        self.released = threading.Event()

    def __call__(self, host: str, port: int, **more: Any) -> Any:
        """Replace `socket.getaddrinfo`."""
        self.lookups.append(host)
        if host.startswith("slow"):
            self.released.wait(HANG_S)
        if host.startswith("broken"):
            raise ZeroDivisionError("in the resolver's own module")
        return FOUND


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNames]:
    """Install it, and release its threads at the end."""
    slow = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield slow
    slow.released.set()


async def start_and_cancel(*hosts: str) -> None:
    """Start lookups that hang, and cancel them."""
    tasks = [asyncio.ensure_future(resolve(host, 80)) for host in hosts]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in outcomes)


def test_a_lookup_that_hangs_is_cancelled_at_once_and_blocks_nothing(names: SlowNames) -> None:
    """Other lookups, asyncio's threads and the next cell do not wait for it."""

    async def first_cell() -> None:
        await start_and_cancel(*(f"slow{n}.example" for n in range(40)))
        assert await asyncio.to_thread(int, "7") == 7

    worker = LoopThread()
    worker.run(first_cell())
    assert worker.run(resolve("hub.example", 80)) == ("127.0.0.1",)
    assert not names.released.is_set()
    names.released.set()


def test_concurrent_callers_share_a_lookup(names: SlowNames) -> None:
    """Hundreds of submissions need only one; one that hangs for long is started again."""

    async def work() -> None:
        tasks = [asyncio.ensure_future(resolve("slow.example", 80)) for _ in range(100)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        names.released.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert set(results[1:]) == {("127.0.0.1",)}
        assert names.lookups == ["slow.example"]
        names.released.clear()
        await start_and_cancel("slow.example")
        names.released.set()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resolver, "SHARED_S", -1.0)
            assert await resolve("slow.example", 80) == ("127.0.0.1",)
        assert names.lookups == ["slow.example"] * 3

    asyncio.run(work())


def test_threads_that_hang_are_limited(names: SlowNames, monkeypatch: pytest.MonkeyPatch) -> None:
    """IP addresses need no thread."""
    monkeypatch.setattr(resolver, "_slots", threading.BoundedSemaphore(2))

    async def work() -> None:
        await start_and_cancel("slow1.example", "slow2.example")
        with pytest.raises(OSError, match="still running"):
            await resolve("hub.example", 80)
        assert await resolve("127.0.0.1", 80) == ("127.0.0.1",)
        assert await resolve("::1", 80) == ("::1",)

    asyncio.run(work())
    assert names.lookups == ["slow1.example", "slow2.example"]


def test_without_new_threads_one_of_asyncio_is_used(
    names: SlowNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some Python versions start none at exit, when a request may still have to be sent."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    async def work() -> None:
        await asyncio.to_thread(int)  # now the loop has a thread
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            assert await resolve("hub.example", 80) == ("127.0.0.1",)

    asyncio.run(work())


def test_a_lookup_that_hangs_or_fails_is_hub_unavailable(
    names: SlowNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the resolver raises; nothing was sent."""
    monkeypatch.setattr(exchange, "CONNECT_TIMEOUT_S", 0.05)

    async def ask(host: str, port: str) -> None:
        client = HubClient(f"http://{host}.example:{port}", Secret(KEY))
        with pytest.raises(HubUnavailable, match="could not be reached"):
            await client.task("hub-1")
        await client.aclose()

    with StandInHub() as hub:
        for host in ("slow", "broken"):
            asyncio.run(ask(host, hub.url.rpartition(":")[2]))
        assert hub.requests == []
