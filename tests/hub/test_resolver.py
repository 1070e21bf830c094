"""Looking hosts up: a look-up that hangs holds up nobody, and everyone gets the same answer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hub_server import KEY, StandInHub

from mountsea_magic.errors import HubUnavailable
from mountsea_magic.hub import exchange, resolver
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.resolver import resolve
from mountsea_magic.runtime.loop_thread import LoopThread
from mountsea_magic.settings import Secret

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]


class SlowNames:
    """A system's resolver that answers when it is let, but knows some names at once."""

    def __init__(self) -> None:
        """Hang for every name that begins with `slow`."""
        self.asked: list[str] = []
        self.answers = threading.Event()

    def __call__(self, host: str, port: int, **more: Any) -> Any:
        """Stand in for `socket.getaddrinfo`."""
        self.asked.append(host)
        if host.startswith("slow"):
            self.answers.wait(30)
        if host.startswith("broken"):
            raise ZeroDivisionError("in the resolver's own module")
        return FOUND


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNames]:
    """Put it in place, and let its threads go in the end."""
    slow = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield slow
    slow.answers.set()


async def given_up(*hosts: str) -> None:
    """Begin look-ups that hang, and cancel them."""
    tasks = [asyncio.ensure_future(resolve(host, 80)) for host in hosts]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in outcomes)


def test_a_lookup_that_hangs_is_given_up_at_once_and_holds_nothing(names: SlowNames) -> None:
    """Neither another host's look-up nor work on asyncio's threads nor the next cell waits."""

    async def first_cell() -> None:
        await given_up(*(f"slow{n}.example" for n in range(40)))
        assert await asyncio.to_thread(int, "7") == 7

    worker = LoopThread()
    worker.run(first_cell())
    assert worker.run(resolve("hub.example", 80)) == ("127.0.0.1",)
    assert not names.answers.is_set()
    names.answers.set()


def test_those_who_ask_for_the_same_share_one_lookup(names: SlowNames) -> None:
    """Hundreds of submissions need one; one that hangs for long is asked for anew."""

    async def work() -> None:
        asking = [asyncio.ensure_future(resolve("slow.example", 80)) for _ in range(100)]
        await asyncio.sleep(0)
        asking[0].cancel()
        names.answers.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert set(answers[1:]) == {("127.0.0.1",)}
        assert names.asked == ["slow.example"]
        names.answers.clear()
        await given_up("slow.example")
        names.answers.set()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resolver, "SHARED_S", -1.0)
            assert await resolve("slow.example", 80) == ("127.0.0.1",)
        assert names.asked == ["slow.example"] * 3

    asyncio.run(work())


def test_threads_that_hang_are_counted(names: SlowNames, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are never more than a number of them; an address needs none."""
    monkeypatch.setattr(resolver, "_slots", threading.BoundedSemaphore(2))

    async def work() -> None:
        await given_up("slow1.example", "slow2.example")
        with pytest.raises(OSError, match="unanswered"):
            await resolve("hub.example", 80)
        assert await resolve("127.0.0.1", 80) == ("127.0.0.1",)
        assert await resolve("::1", 80) == ("::1",)

    asyncio.run(work())
    assert names.asked == ["slow1.example", "slow2.example"]


def test_a_thread_that_cant_be_started_is_borrowed(
    names: SlowNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some Pythons start none while the process ends, when a request may still have to leave."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    async def work() -> None:
        await asyncio.to_thread(int)  # the loop has a thread by now
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            assert await resolve("hub.example", 80) == ("127.0.0.1",)

    asyncio.run(work())


def test_a_hub_whose_name_hangs_or_breaks_is_unavailable(
    names: SlowNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the resolver does, it is one of our errors, and nothing was sent."""
    monkeypatch.setattr(exchange, "CONNECT_S", 0.05)

    async def ask(host: str, port: str) -> None:
        client = HubClient(f"http://{host}.example:{port}", Secret(KEY))
        with pytest.raises(HubUnavailable, match="could not be reached"):
            await client.task("hub-1")
        await client.aclose()

    with StandInHub() as hub:
        for host in ("slow", "broken"):
            asyncio.run(ask(host, hub.url.rpartition(":")[2]))
        assert hub.requests == []
