"""The demo's network and its faults, seen through the real client: what each lesson shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
from hub_server import image
from quick_loop import QuickLoop
from runs import DOG, Often, begun, followed, names, newest

from mountsea_magic.demo.server.app import create_app
from mountsea_magic.demo.server.network import DEMO_ORIGIN, FAULTS, DemoNetwork
from mountsea_magic.errors import (
    DownloadFailed,
    HubUnavailable,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    WaitTimeout,
)
from mountsea_magic.generation import download, submit
from mountsea_magic.generation.events import Completed, Event, RetryScheduled, Submitted, Submitting
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.retry import submit_retry_pause


class Lesson:
    """A demo Hub behind its network, with a fault that can be changed while it runs."""

    def __init__(self, folder: Path) -> None:
        """Start with all well: a task is ready at once."""
        self.fault = "none"
        self.now = time.time()
        self.folder, self.images = folder, folder / "pictures"
        self.schedule = Often()
        self.app = create_app(
            folder / "demo",
            seconds=0.0,
            clock=lambda: self.now,
            painter=lambda task, number: image("jpeg", number),
        )

    def run(
        self,
        work: Callable[[HubClient], AsyncGenerator[Event, None]],
        watch: Callable[[Event], None] = lambda event: None,
    ) -> list[Event]:
        """Take all events of a generation over the demo's network."""

        async def inner() -> list[Event]:
            network = DemoNetwork(self.app, fault=lambda: self.fault)
            client = HubClient(DEMO_ORIGIN, transport=network)
            seen = []
            try:
                async with aclosing(work(client)) as events:
                    async for event in events:
                        watch(event)
                        seen.append(event)
            finally:
                await client.aclose()
            return seen

        with QuickLoop() as loop:
            return loop.run(inner())

    def order(
        self, watch: Callable[[Event], None] = lambda event: None, timeout_s: float = 10.0
    ) -> list[Event]:
        """Order a dog."""
        often = self.schedule
        return self.run(
            lambda client: begun(client, DOG, self.images, timeout_s=timeout_s, schedule=often),
            watch,
        )

    def follow(self, task_id: str) -> list[Event]:
        """Follow a task by its id."""
        return self.run(
            lambda client: followed(client, task_id, self.images, schedule=self.schedule)
        )

    @property
    def taken(self) -> int:
        """How many orders the Hub has taken."""
        return len(list((self.folder / "demo").glob("hub-*.json")))

    @property
    def files(self) -> list[str]:
        """The files of images, hidden ones too."""
        return names(self.images)


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    """Make a lesson in a folder of its own; what is tried again is tried again at once."""

    def at_once(
        error: MountseaError, *, tries: int, paused_s: float, jitter: float
    ) -> float | None:
        pause_s = submit_retry_pause(error, tries=tries, paused_s=paused_s, jitter=jitter)
        return None if pause_s is None else 0.0

    monkeypatch.setattr(submit, "submit_retry_pause", at_once)
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))
    return Lesson(tmp_path)


def test_without_a_fault_all_is_well(lesson: Lesson) -> None:
    """An order goes from submission to image with no socket."""
    events = lesson.order()
    assert [type(event) for event in events[:2]] == [Submitting, Submitted]
    assert isinstance(events[-1], Completed)
    assert [got.bytes for got in events[-1].images] == [image("jpeg")]
    assert lesson.taken == len(lesson.files) == 1


def test_offline_is_no_uncertain_order(lesson: Lesson) -> None:
    """Nothing is reached, so nothing was ordered, and the error says what to check."""
    lesson.fault = "offline"
    with pytest.raises(HubUnavailable, match="could not be reached"):
        lesson.order()
    assert (lesson.taken, newest(lesson.images).state) == (0, "unsent")


@pytest.mark.parametrize("fault", ["offline", "busy"])
def test_a_network_that_is_mended_in_time_takes_the_order(lesson: Lesson, fault: str) -> None:
    """An order that was surely not taken goes out again by itself, and is taken once."""
    lesson.fault = fault

    def mend_while_it_waits(event: Event) -> None:
        if isinstance(event, RetryScheduled):
            lesson.fault = "none"

    events = lesson.order(mend_while_it_waits)
    assert sum(isinstance(event, Submitting) for event in events) == 2
    assert isinstance(events[-1], Completed)
    assert lesson.taken == 1


def test_a_lost_answer_is_an_uncertain_order(lesson: Lesson) -> None:
    """The Hub took exactly one order, and nobody knows its id."""
    lesson.fault = "lost-answer"
    with pytest.raises(SubmissionUncertain, match="never pay twice"):
        lesson.order()
    assert lesson.taken == 1


def test_a_busy_hub_orders_nothing(lesson: Lesson) -> None:
    """429 with a pause of 2 s, and after the last try that error with its pause."""
    lesson.fault = "busy"
    with pytest.raises(RateLimited, match="Nothing was submitted") as caught:
        lesson.order()
    assert caught.value.retry_after_s == 2.0
    assert (lesson.taken, newest(lesson.images).state) == (0, "refused")


def test_a_flaky_network_is_waited_out(lesson: Lesson) -> None:
    """Every other look fails, and the images come all the same, with one look more."""
    lesson.fault = "flaky"
    assert isinstance(lesson.order()[-1], Completed)
    assert len(lesson.schedule.asked) == 2
    assert lesson.taken == 1


def test_a_proxys_page_is_waited_out_until_the_deadline(lesson: Lesson) -> None:
    """As long as the proxy answers, the wait goes on; then the error names it and the task."""
    lesson.fault = "html"
    with pytest.raises(WaitTimeout, match="502") as caught:
        lesson.order(timeout_s=1.0)
    task_id = caught.value.task_id
    assert task_id is not None
    assert f"`%mountsea resume {task_id}`" in str(caught.value)
    lesson.fault = "none"
    assert isinstance(lesson.follow(task_id)[-1], Completed)
    assert lesson.taken == 1


@pytest.mark.parametrize("fault", ["expired", "cut"])
def test_an_image_that_does_not_come_can_be_resumed(lesson: Lesson, fault: str) -> None:
    """Nothing half is kept; mended, the same task gives the image, and no second is ordered."""
    lesson.fault = fault
    with pytest.raises(DownloadFailed) as caught:
        lesson.order()
    assert lesson.files == []
    assert caught.value.task_id is not None
    lesson.fault = "none"
    last = lesson.follow(caught.value.task_id)[-1]
    assert isinstance(last, Completed)
    assert last.images[0].bytes == image("jpeg")
    assert lesson.taken == len(lesson.files) == 1


def test_a_fault_can_come_and_go_while_a_task_runs(lesson: Lesson) -> None:
    """The fault is asked for at each request: offline after the order, mended some looks later."""

    class Mending(Often):
        def interval_s(self, waited_s: float, *, jitter: float) -> float:
            if len(self.asked) == 3:
                lesson.fault = "none"
            return super().interval_s(waited_s, jitter=jitter)

    def break_after_order(event: Event) -> None:
        if isinstance(event, Submitted):
            lesson.fault = "offline"

    lesson.schedule = Mending()
    assert isinstance(lesson.order(break_after_order)[-1], Completed)
    assert len(lesson.schedule.asked) == 4
    assert lesson.taken == 1


ENDS: dict[str, type[MountseaError] | None] = {
    "none": None,
    "offline": HubUnavailable,
    "lost-answer": SubmissionUncertain,
    "busy": RateLimited,
    "flaky": None,
    "html": WaitTimeout,
    "expired": DownloadFailed,
    "cut": DownloadFailed,
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_ends_in_images_or_an_error_of_ours(lesson: Lesson, fault: str) -> None:
    """No fault leaks an exception of another library, nor a part of a file."""
    lesson.fault, error = fault, ENDS[fault]
    timeout_s = 1.0 if error is WaitTimeout else 20.0
    if error is None:
        assert isinstance(lesson.order(timeout_s=timeout_s)[-1], Completed)
    else:
        with pytest.raises(error):
            lesson.order(timeout_s=timeout_s)
    assert not [name for name in lesson.files if name.endswith(".part")]


def test_the_faults_say_what_they_do() -> None:
    """Each name is one word that can be typed, and has its sentence."""
    for name, what in FAULTS.items():
        assert name == name.lower()
        assert " " not in name
        assert what
    assert "none" in FAULTS


def test_the_network_carries_anything_to_the_hub(lesson: Lesson) -> None:
    """An ordinary httpx client can speak with it too, whatever host it names."""

    async def ask() -> int:
        async with httpx.AsyncClient(transport=DemoNetwork(lesson.app)) as client:
            response = await client.get("http://any.invalid/api-user/credits")
            return int(response.json()["credits"])

    assert asyncio.run(ask()) == 1000
