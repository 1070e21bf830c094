"""The session of one process: its key and Hub, its open tasks, and how they are resumed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from hub_server import KEY, Reply, StandInHub, image, json_reply
from lab_server import end_demo_tasks
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
    """Return the credits of the current Hub."""
    return await here.clients.client(here.settings()).credits()


def test_a_login_takes_precedence_over_the_environment(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key has its own client, so that the keys are not mixed up."""
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        generate("a dog")
        here.login = Secret("sk-logged-in-98765")
        generate("a dog")
        keys = [seen.headers["authorization"] for seen in hub.posts]
    assert keys == [f"Bearer {KEY}", "Bearer sk-logged-in-98765"]


def test_credits_need_a_credits_url_for_other_hubs(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without MOUNTSEA_CREDITS_URL nothing is sent to a Hub that is not the default."""
    with StandInHub(key=KEY, credits=77) as hub:
        reach(hub, monkeypatch)
        with pytest.raises(ConfigurationError, match="MOUNTSEA_CREDITS_URL"):
            here.worker.run(credits_of(here))
        assert hub.requests == []
        monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
        assert here.worker.run(credits_of(here)) == 77


def test_demo_credits_are_spent(demo: None, here: Session) -> None:
    """A completed task costs demo credits; a failed one costs none."""

    def credits() -> float:
        return here.worker.run(credits_of(here))

    before = credits()
    with pytest.raises(TaskFailed):
        generate("a dog [fail]", **SMALL)
    assert credits() == before
    generate("a dog", **SMALL)
    assert credits() < before


def test_a_failed_task_is_closed(demo: None, here: Session) -> None:
    """The error says that nothing was charged, and there is nothing to resume."""
    with pytest.raises(TaskFailed, match="Nothing was charged") as caught:
        generate("a dog [fail]", **SMALL)
    assert caught.value.task_id is not None
    assert here.open == []


def test_a_task_that_timed_out_stays_open_and_can_be_resumed(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a timeout the same handle gets its images, without a second submission."""
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
    """A handle without a request submits nothing; the callback gets all events."""
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


def test_a_cancelled_agenerate_stops_polling(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task stays open, and nothing continues on the loop thread."""
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
    """Another kernel can resume it by its id."""
    here.clients.demo_seconds = 3600
    with pytest.raises(WaitTimeout) as caught:
        generate("a dog", timeout=0.05, **SMALL)
    assert caught.value.task_id is not None
    end_demo_tasks(home)
    other = Session()
    other.clients.demo_seconds = 0.0
    resumed, settings = other.recall(caught.value.task_id)
    here.worker.run(other.generate(resumed, settings))
    assert (resumed.status, resumed.prompt, len(resumed)) == ("completed", "a dog", 1)
    assert [task["task_id"] for task in demo_tasks(home)] == [caught.value.task_id]


def test_break_demo_validates_and_activates_a_fault(
    demo: None, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown fault is refused with a suggestion; `none` restores the network."""
    monkeypatch.setattr(retry, "MAX_CONNECT_ATTEMPTS", 1)
    with pytest.raises(InvalidRequest, match="Did you mean offline"):
        here.clients.break_demo("ofline")
    assert here.clients.demo_fault == "none"
    assert here.clients.break_demo("offline")
    with pytest.raises(MountseaError, match="could not be reached"):
        generate("a dog", **SMALL)
    here.clients.break_demo("none")
    assert len(generate("a dog", **SMALL)) == 1


def test_a_cancelled_submission_is_completed_in_the_background(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller continues at once; the task id arrives later, and a resume needs no new POST."""
    may_respond = threading.Event()
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        hub.submits.append(json_reply({"task_id": "hub-late"}, hold=may_respond))
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
        assert "already being submitted" in str(dog.interrupted())
        may_respond.set()
        here.worker.run(here.drain())
        assert (here.pending_submissions, dog.task_id) == (0, "hub-late")
        assert [entry.task_id for entry in here.open_tasks()] == ["hub-late"]
        here.worker.run(here.generate(*here.recall("hub-late")))
        assert len(hub.posts) == 1
    assert (dog.status, dog[0].bytes, here.open_tasks()) == ("completed", image(), [])


def test_open_tasks_are_shared_through_the_journal(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session lists them with their requests, until their images are downloaded."""
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


def test_a_task_is_resumed_at_its_own_hub(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even while the demo Hub is on; otherwise the error names the setting to change."""
    with StandInHub(ready_after_polls=10**6) as hub:
        reach(hub, monkeypatch)
        with pytest.raises(WaitTimeout) as caught:
            generate("a dog", timeout=0.01)
        real = caught.value.task_id
        here.demo = "on"
        drawing = generate("a dog", **SMALL).task_id
        assert real is not None and drawing is not None
        assert (here.recall(real)[1].base_url, here.recall(real)[0].is_demo) == (hub.url, False)
        here.demo = None
        assert here.recall(drawing)[0].is_demo
        monkeypatch.setenv("MOUNTSEA_BASE_URL", "https://elsewhere.example")
        with pytest.raises(ConfigurationError, match=f"set MOUNTSEA_BASE_URL to {hub.url}"):
            here.recall(real)
        assert here.recall("hub-unknown")[1].base_url == "https://elsewhere.example"


def test_two_concurrent_waits_for_one_handle_get_its_images(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from two cells: neither wait disturbs the other, and one POST is sent."""
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


def test_a_base_url_of_the_demo_hub_overrides_demo_off(here: Session) -> None:
    """The last choice counts."""
    here.demo = "off"
    here.use_base_url("demo:")
    assert here.settings().is_demo


def test_an_invalid_setting_is_reported_where_it_is_used(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the choice of a Hub, which would then fail without an effect."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "nonsense")
    here.use_base_url(None)
    with pytest.raises(ConfigurationError):
        here.settings()
