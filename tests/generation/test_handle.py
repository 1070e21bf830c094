"""The handle of a background generation: done, wait, await, cancel, pickle."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from cells import FAILED
from hang import HANG_S
from hub_server import SILENT, StandInHub, image, json_reply
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import Interrupted, MountseaError, TaskFailed
from mountsea_magic.generation.handle import Generation
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session

Start = Callable[..., Generation]


@pytest.fixture
def start(hub: StandInHub, shell: InteractiveShell) -> Iterator[Start]:
    """Start a cell in the background and return its handle; cancelled after the test."""
    started: list[Generation] = []

    def begin(line: str = "", prompt: str = "a dog") -> Generation:
        shell.run_cell_magic("mountsea", f"-b -q -o dog {line}", prompt)  # type: ignore[no-untyped-call]  # IPython's is so
        handle = shell.user_ns["dog"]
        assert isinstance(handle, Generation)
        started.append(handle)
        return handle

    yield begin
    for handle in started:
        handle.cancel()
        with suppress(MountseaError, Interrupted):
            handle.wait(HANG_S)


def test_background_cell_returns_at_once(hub: StandInHub, start: Start) -> None:
    """The handle exists while the POST is pending, and is updated afterwards."""
    may_respond = threading.Event()
    hub.submits.append(json_reply({"task_id": "hub-slow"}, hold=may_respond))
    hub.polls.append(hub.done({"url": hub.image_url("hub-slow")}))
    dog = start()
    assert not dog.done() and dog.task_id is None
    with pytest.raises(TimeoutError, match="did not end within 0 s"):
        dog.wait(0)
    may_respond.set()
    hub.wait_until(lambda: len(hub.polls_seen) == 1)
    assert dog.task_id == "hub-slow"
    assert len(hub.posts) == 1


def test_wait_returns_the_handle(hub: StandInHub, start: Start) -> None:
    """After the end further waits return at once."""
    dog = start("-n 2")
    assert dog.wait(HANG_S) is dog is dog.wait() is dog.wait(0)
    assert dog.done() and dog.status == "completed"
    assert [made.bytes for made in dog] == [image("png", number) for number in range(2)]
    assert len(hub.posts) == 1


def test_wait_raises_the_error(hub: StandInHub, start: Start) -> None:
    """With its type and task id, each time, as a blocking cell would."""
    hub.polls.append(FAILED)
    dog = start()
    for _ in range(2):
        with pytest.raises(TaskFailed, match="no dogs") as caught:
            dog.wait(HANG_S)
        assert caught.value is dog.error and caught.value.task_id == dog.task_id == "hub-0001"
    assert dog.done() and dog.status == "failed"


def test_wait_timeout_does_not_stop_the_generation(hub: StandInHub, start: Start) -> None:
    """Only the wait ends; the generation continues to its images."""
    hub.ready_after_polls = 10**6
    dog = start()
    with pytest.raises(TimeoutError, match=r"0\.05 s"):
        dog.wait(0.05)
    hub.ready_after_polls = 0
    assert len(dog.wait(HANG_S)) == 1


def test_await_does_not_block_the_loop(hub: StandInHub, start: Start) -> None:
    """Other tasks of the loop run meanwhile; two tasks can await the same handle."""
    hub.ready_after_polls = 10**6
    dog = start()

    async def both() -> tuple[list[Generation], int]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while not dog.done():
                beats += 1
                if beats == 4:
                    hub.ready_after_polls = 0
                await asyncio.sleep(0.005)

        async def awaited() -> Generation:
            return await dog

        first, second, _ = await asyncio.gather(awaited(), awaited(), beat())
        return [first, second], beats

    handles, beats = asyncio.run(both())
    assert handles == [dog, dog] and len(dog) == 1 and beats > 3


def test_cancelling_an_await_does_not_stop_the_generation(hub: StandInHub, start: Start) -> None:
    """A timeout around an await ends only the await."""
    hub.ready_after_polls = 10**6
    dog = start()

    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await dog

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    hub.ready_after_polls = 0
    assert len(dog.wait(HANG_S)) == 1


def test_await_raises_the_error(hub: StandInHub, start: Start) -> None:
    """As `wait` does."""
    hub.polls.append(FAILED)
    dog = start()

    async def awaited() -> None:
        with pytest.raises(TaskFailed, match="no dogs"):
            await dog

    asyncio.run(awaited())


def test_cancel_stops_the_wait_and_keeps_the_task(
    hub: StandInHub, here: Session, start: Start
) -> None:
    """No poll follows, the error names the command, and a resume fetches the images."""
    hub.polls.append(SILENT)  # no other poll is pending when the wait ends
    dog = start()
    hub.wait_until(lambda: len(hub.polls_seen) == 1)
    dog.cancel()
    with pytest.raises(Interrupted, match="`%mountsea resume hub-0001`"):
        dog.wait(HANG_S)
    assert dog.done() and isinstance(dog.error, KeyboardInterrupt)
    dog.cancel()
    resumed = here.worker.run(here.generate(*here.recall("hub-0001")))
    assert resumed is dog and dog.error is None and dog[0].bytes == image()
    assert (len(hub.polls_seen), len(hub.posts)) == (2, 1)


def test_cancel_after_the_end_changes_nothing(hub: StandInHub, start: Start) -> None:
    """The images stay, and no error is raised."""
    dog = start()
    dog.wait(HANG_S)
    dog.cancel()
    assert len(dog.wait(HANG_S)) == 1 and dog.status == "completed"


def test_cancel_during_a_submission_loses_no_task(
    hub: StandInHub, here: Session, start: Start
) -> None:
    """The response is awaited in the background, and the handle gets its task id."""
    may_respond = threading.Event()
    hub.submits.append(json_reply({"task_id": "hub-late"}, hold=may_respond))
    dog = start()
    hub.wait_until(lambda: len(hub.posts) == 1)
    dog.cancel()
    with pytest.raises(Interrupted, match="already being submitted"):
        dog.wait(HANG_S)
    may_respond.set()
    here.worker.run(here.drain())
    assert dog.task_id == "hub-late" and len(hub.posts) == 1
    assert [entry.task_id for entry in here.open_tasks()] == ["hub-late"]


def test_a_result_can_be_pickled(hub: StandInHub, start: Start) -> None:
    """The copy has the request and the images, and is done."""
    dog = start("-n 2 -s 7")
    dog.wait(HANG_S)
    copy = pickle.loads(pickle.dumps(dog))
    assert isinstance(copy, Generation) and copy.done() and copy.wait() is copy
    assert (copy.request, copy.task_id, copy.images) == (dog.request, dog.task_id, dog.images)
    assert [made.bytes for made in copy] == [made.bytes for made in dog]
    copy.cancel()


@pytest.mark.parametrize("how", ["failed", "interrupted", "running"])
def test_an_unfinished_handle_can_be_pickled(hub: StandInHub, start: Start, how: str) -> None:
    """The copy has the task id and the error, so that it can be resumed elsewhere."""
    hub.ready_after_polls = 10**6
    if how == "failed":
        hub.polls.append(FAILED)
    dog = start()
    hub.wait_until(lambda: len(hub.polls_seen) >= 1)
    if how == "interrupted":
        dog.cancel()
    if how != "running":
        with suppress(TaskFailed, Interrupted):
            dog.wait(HANG_S)
    copy = pickle.loads(pickle.dumps(dog))
    assert (copy.task_id, copy.request, str(copy.error)) == (
        dog.task_id,
        dog.request,
        str(dog.error),
    )
    assert type(copy.error) is type(dog.error)


def test_a_handle_that_was_never_started_is_done() -> None:
    """It has nothing to wait for, and `cancel` does nothing."""
    new = Generation(build_request("a dog"))
    new.cancel()
    assert new.done() and new.status == "new" and len(new) == 0
