"""The session of one process: which key and Hub it uses, what is open, and how it is resumed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from hub_server import KEY, Reply, StandInHub, image, json_reply
from own_session import SMALL, demo_tasks, reach

from mountsea_magic import agenerate, generate
from mountsea_magic.errors import (
    ConfigurationError,
    InvalidRequest,
    MountseaError,
    TaskFailed,
    WaitTimeout,
)
from mountsea_magic.generation.events import Completed, Event, Submitted
from mountsea_magic.generation.handle import Generation
from mountsea_magic.hub import retry
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret


async def credits_of(here: Session) -> float:
    """Ask on the loop that the client belongs to."""
    return await here.clients.client(here.settings()).credits()


def test_a_login_goes_before_the_environment(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each key has a client of its own: none is sent where the other is meant."""
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        generate("a dog")
        here.login = Secret("sk-logged-in-98765")
        generate("a dog")
        keys = [seen.headers["authorization"] for seen in hub.posts]
    assert keys == [f"Bearer {KEY}", "Bearer sk-logged-in-98765"]


def test_credits_are_asked_of_the_hub_that_is_set(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint that was named is asked; for another Hub none is guessed."""
    with StandInHub(key=KEY, credits=77) as hub:
        reach(hub, monkeypatch)
        with pytest.raises(ConfigurationError, match="MOUNTSEA_CREDITS_URL"):
            here.worker.run(credits_of(here))
        assert hub.requests == []
        monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
        assert here.worker.run(credits_of(here)) == 77


def test_demo_credits_are_told_and_spent(demo: None, here: Session) -> None:
    """A completed image costs demo credits; a failed one costs none."""

    def left() -> float:
        return here.worker.run(credits_of(here))

    before = left()
    with pytest.raises(TaskFailed):
        generate("a dog [fail]", **SMALL)
    assert left() == before
    generate("a dog", **SMALL)
    assert left() < before


def test_a_failed_task_is_closed_and_says_so(demo: None, here: Session) -> None:
    """The handle knows its error, and nothing is left to resume."""
    with pytest.raises(TaskFailed, match="Nothing was charged") as caught:
        generate("a dog [fail]", **SMALL)
    assert caught.value.task_id is not None
    assert here.open == []


def test_what_goes_on_at_the_hub_stays_open_and_is_resumed(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a timeout the same handle is followed to its images: no second order."""
    with StandInHub(ready_after_polls=10**6) as hub:
        reach(hub, monkeypatch)
        with pytest.raises(WaitTimeout) as caught:
            generate("a dog", timeout=0.01)
        (dog,) = here.open
        assert (dog.task_id, dog.error) == ("hub-0001", caught.value)
        assert "`%mountsea resume hub-0001`" in str(caught.value)
        hub.ready_after_polls = 0
        here.open.remove(dog)
        here.worker.run(here.generate(dog, here.settings()))
        assert len(hub.posts) == 1
    assert (dog.status, len(dog), here.open) == ("completed", 1, [])


def test_a_task_is_resumed_by_its_id_alone(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handle without a request sends no order; the watcher is told of everything."""
    events: list[Event] = []
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        task_id = generate("a dog").task_id
        dog = Generation(None, task_id=task_id)
        here.worker.run(here.generate(dog, here.settings(), on_event=events.append))
        assert len(hub.posts) == 1
    assert dog[0].bytes == image()
    assert not any(isinstance(event, Submitted) for event in events)
    assert isinstance(events[-1], Completed)


def test_a_cancelled_agenerate_stops_looking(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task stays open for a resume, and the loop thread asks for it no more."""
    with StandInHub(ready_after_polls=10**6) as hub:
        reach(hub, monkeypatch)

        async def work() -> None:
            running = asyncio.ensure_future(agenerate("a dog"))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.polls_seen) >= 1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        async def others() -> set[asyncio.Task[Any]]:
            waiting = asyncio.all_tasks() - {asyncio.current_task()}
            if waiting:
                await asyncio.wait(waiting, timeout=5)
            return {task for task in waiting if not task.done()}

        asyncio.run(work())
        assert here.worker.run(others()) == set()
        assert len(hub.posts) == 1
    assert [dog.task_id for dog in here.open] == ["hub-0001"]


def test_a_demo_task_outlives_its_session(demo: None, here: Session, home: Path) -> None:
    """What one kernel ordered, the next one fetches by the id."""
    here.clients.demo_seconds = 0.5
    with pytest.raises(WaitTimeout) as caught:
        generate("a dog", timeout=0.05, **SMALL)
    assert caught.value.task_id is not None
    other = Session()
    other.clients.demo_seconds = 0.0
    again, settings = other.recall(caught.value.task_id)
    here.worker.run(other.generate(again, settings))
    assert (again.status, again.prompt, len(again)) == ("completed", "a dog", 1)
    assert [task["task_id"] for task in demo_tasks(home)] == [caught.value.task_id]


def test_an_unknown_fault_is_refused_and_a_known_one_works(
    demo: None, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`break_demo` names the nearest fault, and `none` mends the network again."""
    monkeypatch.setattr(retry, "MAX_CONNECT_ATTEMPTS", 1)
    with pytest.raises(InvalidRequest, match="Did you mean offline"):
        here.clients.break_demo("ofline")
    assert here.clients.demo_fault == "none"
    assert here.clients.break_demo("offline")
    with pytest.raises(MountseaError, match="could not be reached"):
        generate("a dog", **SMALL)
    here.clients.break_demo("none")
    assert len(generate("a dog", **SMALL)) == 1


def test_a_cancel_in_flight_leaves_the_order_to_its_answer(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller goes on at once; the id is learned later, and the images need no new order."""
    answered = threading.Event()
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        hub.submits.append(json_reply({"task_id": "hub-late"}, hold=answered))
        hub.polls.append(hub.done({"url": hub.image_url("a")}))
        hub.downloads.append(Reply(200, image()))

        async def work() -> None:
            running = asyncio.ensure_future(agenerate("a dog"))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.posts) == 1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        asyncio.run(work())
        (dog,) = here.open
        assert (here.pending_submissions, dog.task_id, dog.status) == (1, None, "submitting")
        assert "on its way" in str(dog.interrupted())
        answered.set()
        here.worker.run(here.drain())
        assert (here.pending_submissions, dog.task_id) == (0, "hub-late")
        assert [entry.task_id for entry in here.open_tasks()] == ["hub-late"]
        here.worker.run(here.generate(*here.recall("hub-late")))
        assert len(hub.posts) == 1
    assert (dog.status, dog[0].bytes, here.open_tasks()) == ("completed", image(), [])


def test_another_session_knows_what_is_open(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open tasks come from the journal, each with its request, and leave it with their images."""
    other = Session()
    with StandInHub(ready_after_polls=10**6) as hub:
        reach(hub, monkeypatch)
        with pytest.raises(WaitTimeout):
            generate("a dog", timeout=0.01)
        (entry,) = other.open_tasks()
        assert (entry.task_id, entry.prompt, entry.hub) == ("hub-0001", "a dog", hub.url)
        hub.ready_after_polls = 0
        dog, settings = other.recall("hub-0001")
        here.worker.run(here.generate(dog, settings))
        assert len(hub.posts) == 1
    assert dog.prompt == "a dog"
    assert other.open_tasks() == []


def test_a_task_is_asked_for_at_the_hub_that_has_it(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while another Hub is on; where the settings do not lead there, the error says how."""
    with StandInHub(ready_after_polls=10**6) as hub:
        reach(hub, monkeypatch)
        with pytest.raises(WaitTimeout) as caught:
            generate("a dog", timeout=0.01)
        real = caught.value.task_id
        here.demo = "on"
        drawn = generate("a dog", **SMALL).task_id
        assert real is not None and drawn is not None
        assert (here.recall(real)[1].base_url, here.recall(real)[0].is_demo) == (hub.url, False)
        here.demo = None
        assert here.recall(drawn)[0].is_demo
        monkeypatch.setenv("MOUNTSEA_BASE_URL", "https://elsewhere.example")
        with pytest.raises(ConfigurationError, match=f"set MOUNTSEA_BASE_URL to {hub.url}"):
            here.recall(real)
        assert here.recall("hub-unknown")[1].base_url == "https://elsewhere.example"


def test_two_waits_for_one_handle_both_get_its_images(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Awaited twice at once, as in two cells: neither wait harms the other, and it is paid once."""
    with StandInHub(ready_after_polls=10**6) as hub:
        reach(hub, monkeypatch)
        with pytest.raises(WaitTimeout):
            generate("a dog", timeout=0.01)
        (dog,) = here.open
        hub.ready_after_polls = 3

        async def both() -> list[Generation]:
            settings = here.settings()
            return await asyncio.gather(*(here.generate(dog, settings) for _ in range(2)))

        assert here.worker.run(both()) == [dog, dog]
        assert len(hub.posts) == 1
    assert (dog.status, dog[0].bytes, dog.error) == ("completed", image(), None)
    assert (here.open, here.open_tasks()) == ([], [])
