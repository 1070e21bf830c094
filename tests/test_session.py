"""`generate` and `agenerate` end to end: on the demo Hub, and against a stand-in over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import RESET, Reply, StandInHub, json_reply, picture, told
from PIL import Image

import mountsea_magic
from mountsea_magic import agenerate, generate, session
from mountsea_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    DownloadFailed,
    InvalidRequest,
    MountseaError,
    SubmissionUncertain,
    TaskFailed,
    WaitTimeout,
)
from mountsea_magic.events import Completed, Event, Submitted
from mountsea_magic.handle import Generation
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret

KEY = "sk-stand-in-123456"
SMALL: dict[str, Any] = {"model": "gpt-image-2", "image_size": {"width": 96, "height": 64}}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Put a fresh session in place of the process's, on the same loop thread; close its clients."""
    fresh = Session()
    fresh.worker = session.CURRENT.worker
    fresh.demo_seconds = 0.05
    monkeypatch.setattr(session, "CURRENT", fresh)
    yield fresh

    async def close() -> None:
        for clients in fresh._clients.values():
            for client in clients.values():
                await client.aclose()

    fresh.worker.run(close())


@pytest.fixture
def demo(here: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Choose the demo Hub by the environment, as a user would."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "demo:")
    return here


def reach(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead to a stand-in by the environment."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)


def taken(home: Path) -> list[Any]:
    """What the demo Hub was asked for."""
    return [json.loads(path.read_text()) for path in (home / "demo").glob("hub-*.json")]


def test_generate_gives_pictures_of_the_size_that_was_asked_for(demo: Session, home: Path) -> None:
    """From a prompt to files under MOUNTSEA_HOME, in one call, with no key and no socket."""
    dogs = generate("a dog on a beach", num_images=2, output_format="jpeg", **SMALL)
    assert (dogs.status, len(dogs), dogs.is_demo, dogs.error) == ("completed", 2, True, None)
    assert dogs.task_id is not None
    assert dogs.elapsed_s is not None
    assert dogs.description
    for got in dogs:
        assert (got.width, got.height, got.format) == (96, 64, "jpeg")
        assert got.pil.size == (96, 64)
        assert got.path.parent == home / "originals"
        assert "a-dog-on-a-beach" in got.path.name
    assert dogs[0].bytes != dogs[1].bytes
    assert [task["task_id"] for task in taken(home)] == [dogs.task_id]
    assert demo.open == []


def test_the_default_model_draws_its_native_size(demo: Session) -> None:
    """Without any parameter: nano-banana, one square PNG, as the package's front door gives it."""
    dog = mountsea_magic.generate("a dog")
    assert dog.request is not None
    assert dog.request.body() == {"model": "nano-banana", "input": {"prompt": "a dog"}}
    assert [(got.width, got.height, got.format) for got in dog] == [(1024, 1024, "png")]


def test_a_generation_saves_copies_that_overwrite_nothing(demo: Session, tmp_path: Path) -> None:
    """Twice into one folder: twice the files, byte for byte the originals."""
    dog = generate("a dog", **SMALL)
    first, second = dog.save(tmp_path / "out"), dog.save(tmp_path / "out")
    assert first != second
    assert {path.read_bytes() for path in first + second} == {dog[0].bytes}
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_sync_mode_leaves_no_address(demo: Session) -> None:
    """The picture comes within the answer: no URL to expire."""
    dog = generate(
        "a dog", aspect_ratio="1:1", resolution="0.5K", model="nano-banana-2", sync_mode=True
    )
    assert [(got.url, got.width) for got in dog] == [(None, 512)]


def test_several_at_once_by_gather(demo: Session, home: Path) -> None:
    """Awaited together, each gets its own task and its own pictures, in the order of the calls."""

    async def work() -> list[Generation]:
        return await asyncio.gather(*(agenerate(f"dog {n}", **SMALL) for n in range(4)))

    dogs = asyncio.run(work())
    assert [dog.prompt for dog in dogs] == [f"dog {n}" for n in range(4)]
    assert all(f"-dog-{n}-" in dog[0].path.name for n, dog in enumerate(dogs))
    assert len({dog.task_id for dog in dogs}) == len(taken(home)) == 4
    assert len({dog[0].bytes for dog in dogs}) == 4
    assert demo.open == []


def test_one_failure_of_several_spares_the_others(demo: Session) -> None:
    """`gather` with return_exceptions gives two pictures and one error with its task."""

    async def work() -> list[Generation | BaseException]:
        prompts = ("a dog", "a dog [fail]", "a cat")
        return await asyncio.gather(
            *(agenerate(prompt, **SMALL) for prompt in prompts), return_exceptions=True
        )

    dog, failed, cat = asyncio.run(work())
    assert isinstance(dog, Generation)
    assert isinstance(cat, Generation)
    assert isinstance(failed, TaskFailed)
    assert failed.task_id is not None


def test_agenerate_runs_from_any_loop(demo: Session) -> None:
    """One `asyncio.run` after another reuses the loop thread and its connections."""
    ids = {asyncio.run(agenerate("a dog", **SMALL)).task_id for _ in range(2)}
    assert len(ids) == 2
    assert len(demo._clients) == 1


def test_the_callers_loop_goes_on_meanwhile(demo: Session) -> None:
    """`agenerate` blocks nothing: other tasks of the caller's loop run while it waits."""

    async def work() -> int:
        turns = 0
        running = asyncio.ensure_future(agenerate("a dog", **SMALL))
        while not running.done():
            await asyncio.sleep(0)
            turns += 1
        await running
        return turns

    assert asyncio.run(work()) > 10


def test_generate_works_within_a_running_loop(demo: Session) -> None:
    """As in a notebook cell, whose thread has a loop that runs already."""

    async def work() -> Generation:
        return generate("a dog", **SMALL)

    assert len(asyncio.run(work())) == 1


def test_generate_works_from_several_threads(demo: Session) -> None:
    """A thread pool of the user's own is served too."""
    dogs: list[Generation] = []
    threads = [
        threading.Thread(target=lambda: dogs.append(generate("a dog", **SMALL))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({dog.task_id for dog in dogs}) == 3


@pytest.mark.parametrize(
    ("prompt", "parameters", "said"),
    [
        ("a dog", {"num_images": 5}, "at most 4"),
        ("a dog", {"num_images": 0}, "at least 1"),
        ("a dog", {"num_images": "many"}, "whole number"),
        ("a dog", {"num_images": True}, "whole number"),
        ("a dog", {"aspect_ratio": "16:8"}, "16:9"),
        ("a dog", {"aspect_ration": "16:9"}, "aspect_ratio"),
        ("a dog", {"model": "nano-bananna"}, "nano-banana"),
        ("a dog", {"model": "nano-banana-edit"}, "image_urls"),
        ("a dog", {"model": "gpt-image-2", "aspect_ratio": "1:1"}, "aspect_ratio"),
        ("a dog", {"safety_tolerance": 7}, "1, 2, 3, 4, 5, 6"),
        ("a dog \ud83d", {}, "surrogate"),
        ("", {}, "no prompt"),
        (" \n\t\n", {}, "no prompt"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_sent(
    here: Session,
    monkeypatch: pytest.MonkeyPatch,
    prompt: str,
    parameters: dict[str, Any],
    said: str,
) -> None:
    """Neither `generate` nor `agenerate` sends a byte, and the message names the nearest cure."""
    with StandInHub() as hub:
        reach(hub, monkeypatch)
        with pytest.raises(InvalidRequest) as caught:
            generate(prompt, **parameters)
        with pytest.raises(InvalidRequest, match=r"\S"):
            asyncio.run(agenerate(prompt, **parameters))
        assert hub.requests == []
    assert said in str(caught.value)
    assert here.open == []


def test_without_a_key_nothing_is_sent(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo is never chosen silently: the error names both ways on."""
    with StandInHub() as hub:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        with pytest.raises(ConfigurationError, match=r"%mountsea login.*%mountsea demo"):
            generate("a dog")
        assert hub.requests == []


def test_a_real_hub_is_asked_once_and_paid_once(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP: one POST with the key, one picture, no key at the picture's host."""
    with StandInHub(key=KEY) as hub:
        reach(hub, monkeypatch)
        dog = generate("a dog", seed=7)
        assert [seen.json for seen in hub.posts] == [
            {"model": "nano-banana", "input": {"prompt": "a dog", "seed": 7}}
        ]
        assert len(hub.downloads_seen) == 1
        assert "authorization" not in hub.downloads_seen[0].headers
    assert dog[0].bytes == picture()
    assert (dog.task_id, dog.is_demo) == ("hub-0001", False)


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
            here.worker.run(here.credits(here.settings()))
        assert hub.requests == []
        monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
        assert here.worker.run(here.credits(here.settings())) == 77


def test_demo_credits_are_told_and_spent(demo: Session) -> None:
    """A completed picture costs demo credits; a failed one costs none."""

    def left() -> float:
        return demo.worker.run(demo.credits(demo.settings()))

    before = left()
    with pytest.raises(TaskFailed):
        generate("a dog [fail]", **SMALL)
    assert left() == before
    generate("a dog", **SMALL)
    assert left() < before


def test_a_failed_task_is_closed_and_says_so(demo: Session) -> None:
    """The handle knows its error, and nothing is left to resume."""
    with pytest.raises(TaskFailed, match="Nothing was charged") as caught:
        generate("a dog [fail]", **SMALL)
    assert caught.value.task_id is not None
    assert demo.open == []


def test_what_goes_on_at_the_hub_stays_open_and_is_resumed(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a timeout the same handle is followed to its pictures: no second order."""
    with StandInHub(ready_after_looks=10**6) as hub:
        reach(hub, monkeypatch)
        with pytest.raises(WaitTimeout) as caught:
            generate("a dog", timeout=0.01)
        (dog,) = here.open
        assert (dog.task_id, dog.error) == ("hub-0001", caught.value)
        assert "`%mountsea resume hub-0001`" in str(caught.value)
        hub.ready_after_looks = 0
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
        here.worker.run(here.generate(dog, here.settings(), watch=events.append))
        assert len(hub.posts) == 1
    assert dog[0].bytes == picture()
    assert not any(isinstance(event, Submitted) for event in events)
    assert isinstance(events[-1], Completed)


@pytest.mark.parametrize(
    ("make", "kind", "stays_open"),
    [
        (lambda: StandInHub(key="another"), AuthenticationError, False),
        (lambda: StandInHub(submits=[RESET]), SubmissionUncertain, False),
        (
            lambda: StandInHub(submits=[json_reply({"message": f"no {KEY}"}, 422)]),
            InvalidRequest,
            False,
        ),
        (lambda: StandInHub(ending="failed"), TaskFailed, False),
        (lambda: StandInHub(looks=[json_reply({"message": KEY}, 401)]), AuthenticationError, True),
        (lambda: StandInHub(downloads=[Reply(500)] * 9), DownloadFailed, True),
    ],
    ids=["401", "reset", "422", "failed", "401 at a look", "no download"],
)
def test_every_error_is_ours_and_discreet(
    here: Session,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], StandInHub],
    kind: type[MountseaError],
    stays_open: bool,
) -> None:
    """One POST, an error without the key, and open only what can still be had."""
    with make() as hub:
        reach(hub, monkeypatch)
        with pytest.raises(kind) as caught:
            generate("a dog")
        assert len(hub.posts) == 1
    assert KEY not in told(caught.value)
    assert [dog.error for dog in here.open] == ([caught.value] if stays_open else [])
    assert (caught.value.task_id is not None) is (stays_open or kind is TaskFailed)


def test_a_cancelled_agenerate_stops_looking(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task stays open for a resume, and the loop thread asks for it no more."""
    with StandInHub(ready_after_looks=10**6) as hub:
        reach(hub, monkeypatch)

        async def work() -> None:
            running = asyncio.ensure_future(agenerate("a dog"))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.looks_seen) >= 1)
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


def test_a_demo_task_outlives_its_session(demo: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one kernel ordered, the next one fetches by the id."""
    demo.demo_seconds = 60.0
    with pytest.raises(WaitTimeout) as caught:
        generate("a dog", timeout=0.05, **SMALL)
    assert caught.value.task_id is not None
    with pytest.raises(WaitTimeout):
        again = Generation(None, task_id=caught.value.task_id)
        demo.worker.run(Session().generate(again, demo.settings(), timeout_s=0.05))
    assert again.status in ("pending", "processing")


def test_an_unknown_fault_is_refused_and_a_known_one_works(demo: Session) -> None:
    """`break_demo` names the nearest fault, and `none` mends the network again."""
    with pytest.raises(InvalidRequest, match="Did you mean offline"):
        demo.break_demo("ofline")
    assert demo.demo_fault == "none"
    assert demo.break_demo("offline")
    with pytest.raises(MountseaError, match="could not be reached"):
        generate("a dog", **SMALL)
    demo.break_demo("none")
    assert len(generate("a dog", **SMALL)) == 1


def test_originals_are_whole_pictures_and_nothing_else(demo: Session, home: Path) -> None:
    """After all is done the folder holds no part, and every file decodes."""

    async def work() -> None:
        kinds = ("png", "jpeg", "webp")
        await asyncio.gather(*(agenerate("a dog", output_format=kind, **SMALL) for kind in kinds))

    asyncio.run(work())
    files = sorted((home / "originals").iterdir())
    assert [path.suffix for path in sorted(files, key=lambda path: path.suffix)] == [
        *(".jpg", ".png", ".webp"),
    ]
    for path in files:
        with Image.open(path) as image:
            image.load()
