"""The handle of a generation in the background: asked, waited for, awaited, cancelled, kept."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from cells import FAILED
from hub_server import SILENT, StandInHub, image, json_reply
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import Interrupted, MountseaError, TaskFailed
from mountsea_magic.generation.handle import Generation
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session

Start = Callable[..., Generation]


@pytest.fixture
def start(hub: StandInHub, shell: InteractiveShell) -> Iterator[Start]:
    """Start a cell in the background, and hand its handle over; none outlives the test."""
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
            handle.wait(10)


def test_a_cell_in_the_background_returns_at_once(hub: StandInHub, start: Start) -> None:
    """Its handle is there while the order is still on its way, and learns of it all."""
    answered = threading.Event()
    hub.submits.append(json_reply({"task_id": "hub-slow"}, hold=answered))
    hub.polls.append(hub.done({"url": hub.image_url("hub-slow")}))
    dog = start()
    assert not dog.done() and dog.task_id is None
    with pytest.raises(TimeoutError, match="not over within 0 s"):
        dog.wait(0)
    answered.set()
    hub.wait_until(lambda: len(hub.polls_seen) == 1)
    assert dog.task_id == "hub-slow"
    assert len(hub.posts) == 1


def test_waiting_brings_the_handle_itself(hub: StandInHub, start: Start) -> None:
    """Once it is over there is nothing to wait for, however often one asks."""
    dog = start("-n 2")
    assert dog.wait(20) is dog is dog.wait() is dog.wait(0)
    assert dog.done() and dog.status == "completed"
    assert [made.bytes for made in dog] == [image("png", number) for number in range(2)]
    assert len(hub.posts) == 1


def test_waiting_raises_what_went_wrong(hub: StandInHub, start: Start) -> None:
    """With its type and its task, as a cell that blocks would."""
    hub.polls.append(FAILED)
    dog = start()
    for _ in range(2):
        with pytest.raises(TaskFailed, match="no dogs") as caught:
            dog.wait(20)
        assert caught.value is dog.error and caught.value.task_id == dog.task_id == "hub-0001"
    assert dog.done() and dog.status == "failed"


def test_a_wait_that_gives_up_stops_nothing(hub: StandInHub, start: Start) -> None:
    """The time-out is the wait's alone: the generation goes on to its images."""
    hub.ready_after_polls = 10**6
    dog = start()
    with pytest.raises(TimeoutError, match=r"0\.05 s"):
        dog.wait(0.05)
    hub.ready_after_polls = 0
    assert len(dog.wait(20)) == 1


def test_awaiting_leaves_the_loop_free(hub: StandInHub, start: Start) -> None:
    """Other tasks of the same loop run meanwhile; two may await the same handle."""
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


def test_cancelling_whoever_awaits_stops_nothing(hub: StandInHub, start: Start) -> None:
    """A time-out around an await is the await's alone."""
    hub.ready_after_polls = 10**6
    dog = start()

    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await dog

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    hub.ready_after_polls = 0
    assert len(dog.wait(20)) == 1


def test_awaiting_raises_what_went_wrong(hub: StandInHub, start: Start) -> None:
    """As a wait does."""
    hub.polls.append(FAILED)
    dog = start()

    async def awaited() -> None:
        with pytest.raises(TaskFailed, match="no dogs"):
            await dog

    asyncio.run(awaited())


def test_cancel_stops_the_wait_and_keeps_the_task(
    hub: StandInHub, here: Session, start: Start
) -> None:
    """No look follows, the error says how to get at the task, and a resume brings its images."""
    hub.polls.append(SILENT)  # no other poll is on its way when the wait ends
    dog = start()
    hub.wait_until(lambda: len(hub.polls_seen) == 1)
    dog.cancel()
    with pytest.raises(Interrupted, match="`%mountsea resume hub-0001`"):
        dog.wait(20)
    assert dog.done() and isinstance(dog.error, KeyboardInterrupt)
    dog.cancel()
    again = here.worker.run(here.generate(*here.recall("hub-0001")))
    assert again is dog and dog.error is None and dog[0].bytes == image()
    assert (len(hub.polls_seen), len(hub.posts)) == (2, 1)


def test_cancel_after_the_end_changes_nothing(hub: StandInHub, start: Start) -> None:
    """The images stay, and no error comes up."""
    dog = start()
    dog.wait(20)
    dog.cancel()
    assert len(dog.wait(20)) == 1 and dog.status == "completed"


def test_cancel_while_the_order_is_on_its_way_loses_no_task(
    hub: StandInHub, here: Session, start: Start
) -> None:
    """The POST is seen to its answer, and the handle learns its task."""
    answered = threading.Event()
    hub.submits.append(json_reply({"task_id": "hub-late"}, hold=answered))
    dog = start()
    hub.wait_until(lambda: len(hub.posts) == 1)
    dog.cancel()
    with pytest.raises(Interrupted, match="on its way"):
        dog.wait(20)
    answered.set()
    here.worker.run(here.drain())
    assert dog.task_id == "hub-late" and len(hub.posts) == 1
    assert [entry.task_id for entry in here.open_tasks()] == ["hub-late"]


def test_a_result_can_be_pickled(hub: StandInHub, start: Start) -> None:
    """It is kept with its request and images, and is over where it comes to light again."""
    dog = start("-n 2 -s 7")
    dog.wait(20)
    again = pickle.loads(pickle.dumps(dog))
    assert isinstance(again, Generation) and again.done() and again.wait() is again
    assert (again.request, again.task_id, again.images) == (dog.request, dog.task_id, dog.images)
    assert [made.bytes for made in again] == [made.bytes for made in dog]
    again.cancel()


@pytest.mark.parametrize("how", ["failed", "interrupted", "running"])
def test_an_unfinished_handle_can_be_pickled(hub: StandInHub, start: Start, how: str) -> None:
    """Its task and its error are kept, so that it can be resumed elsewhere."""
    hub.ready_after_polls = 10**6
    if how == "failed":
        hub.polls.append(FAILED)
    dog = start()
    hub.wait_until(lambda: len(hub.polls_seen) >= 1)
    if how == "interrupted":
        dog.cancel()
    if how != "running":
        with suppress(TaskFailed, Interrupted):
            dog.wait(20)
    again = pickle.loads(pickle.dumps(dog))
    assert (again.task_id, again.request, str(again.error)) == (
        dog.task_id,
        dog.request,
        str(dog.error),
    )
    assert type(again.error) is type(dog.error)


def test_a_handle_of_nothing_has_nothing_to_wait_for() -> None:
    """One that was never started is not waited for, and a cancel does not hurt it."""
    new = Generation(build_request("a dog"))
    new.cancel()
    assert new.done() and new.status == "new" and len(new) == 0
