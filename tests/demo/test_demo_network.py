"""The demo network and its faults, as the real client sees them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from hub_server import image
from quick_loop import QuickLoop
from runs import DOG, FrequentPolls, names, newest_entry, submit_and_wait, wait_for_task

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
from mountsea_magic.generation import admission, download
from mountsea_magic.generation.events import Completed, Event, RetryScheduled, Submitted, Submitting
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.retry import submit_retry_pause


class Lesson:
    """A demo Hub behind its network; tasks end at once, and the fault can change at any time."""

    def __init__(self, folder: Path) -> None:
        self.fault = "none"
        self.now = time.time()
        self.folder, self.images = folder, folder / "pictures"
        self.schedule = FrequentPolls()
        self.app = create_app(
            folder / "demo",
            seconds=0.0,
            clock=lambda: self.now,
            painter=lambda task, number: image("jpeg", number),
        )

    def run(self, work: Callable[[HubClient], Awaitable[list[Event]]]) -> list[Event]:
        """Run a generation over the demo network; return its events."""

        async def inner() -> list[Event]:
            network = DemoNetwork(self.app, fault=lambda: self.fault)
            client = HubClient(DEMO_ORIGIN, transport=network)
            try:
                return await work(client)
            finally:
                await client.aclose()

        with QuickLoop() as loop:
            return loop.run(inner())

    def submit(
        self, on_event: Callable[[Event], None] = lambda event: None, timeout_s: float = 10.0
    ) -> list[Event]:
        """Submit a request, and wait for its images."""
        often = self.schedule
        return self.run(
            lambda client: submit_and_wait(
                client, DOG, self.images, timeout_s=timeout_s, schedule=often, on_event=on_event
            )
        )

    def resume(self, task_id: str) -> list[Event]:
        """Wait for a task, given its id."""
        return self.run(
            lambda client: wait_for_task(client, task_id, self.images, schedule=self.schedule)
        )

    @property
    def task_count(self) -> int:
        """How many tasks the Hub has."""
        return len(list((self.folder / "demo").glob("hub-*.json")))

    @property
    def files(self) -> list[str]:
        """The names of the image files, including hidden ones."""
        return names(self.images)


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    """Create a lesson in its own folder, with retries that do not wait."""

    def without_pause(
        error: MountseaError, *, tries: int, paused_s: float, jitter: float
    ) -> float | None:
        pause_s = submit_retry_pause(error, tries=tries, paused_s=paused_s, jitter=jitter)
        return None if pause_s is None else 0.0

    monkeypatch.setattr(admission, "submit_retry_pause", without_pause)
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))
    return Lesson(tmp_path)


def test_without_a_fault_the_image_arrives(lesson: Lesson) -> None:
    """From submission to image without a socket."""
    events = lesson.submit()
    assert [type(event) for event in events[:2]] == [Submitting, Submitted]
    assert isinstance(events[-1], Completed)
    assert [got.bytes for got in events[-1].images] == [image("jpeg")]
    assert lesson.task_count == len(lesson.files) == 1


def test_offline_is_not_an_uncertain_submission(lesson: Lesson) -> None:
    """The Hub was not reached, so nothing was submitted; the error says what to check."""
    lesson.fault = "offline"
    with pytest.raises(HubUnavailable, match="could not be reached"):
        lesson.submit()
    assert (lesson.task_count, newest_entry(lesson.images).status) == (0, "unsent")


@pytest.mark.parametrize("fault", ["offline", "busy"])
def test_submission_is_retried_until_the_fault_is_gone(lesson: Lesson, fault: str) -> None:
    """A submission that certainly failed is retried automatically, and makes one task."""
    lesson.fault = fault

    def clear_fault(event: Event) -> None:
        if isinstance(event, RetryScheduled):
            lesson.fault = "none"

    events = lesson.submit(clear_fault)
    assert sum(isinstance(event, Submitting) for event in events) == 2
    assert isinstance(events[-1], Completed)
    assert lesson.task_count == 1


def test_lost_response_is_an_uncertain_submission(lesson: Lesson) -> None:
    """The Hub has exactly one task, and the client does not know its id."""
    lesson.fault = "lost-answer"
    with pytest.raises(SubmissionUncertain, match="never pay twice"):
        lesson.submit()
    assert lesson.task_count == 1


def test_busy_hub_creates_no_task(lesson: Lesson) -> None:
    """429 with Retry-After: 2; after the last retry that error is raised."""
    lesson.fault = "busy"
    with pytest.raises(RateLimited, match="Nothing was submitted") as caught:
        lesson.submit()
    assert caught.value.retry_after_s == 2.0
    assert (lesson.task_count, newest_entry(lesson.images).status) == (0, "refused")


def test_failed_polls_are_retried(lesson: Lesson) -> None:
    """Every other poll fails, and the images arrive anyway, after one more poll."""
    lesson.fault = "flaky"
    assert isinstance(lesson.submit()[-1], Completed)
    assert len(lesson.schedule.calls) == 2
    assert lesson.task_count == 1


def test_proxy_error_page_is_retried_until_the_timeout(lesson: Lesson) -> None:
    """Then the error names the HTTP status and the task, which can be resumed."""
    lesson.fault = "html"
    with pytest.raises(WaitTimeout, match="502") as caught:
        lesson.submit(timeout_s=1.0)
    task_id = caught.value.task_id
    assert task_id is not None
    assert f"`%mountsea resume {task_id}`" in str(caught.value)
    lesson.fault = "none"
    assert isinstance(lesson.resume(task_id)[-1], Completed)
    assert lesson.task_count == 1


@pytest.mark.parametrize("fault", ["expired", "cut"])
def test_failed_download_can_be_resumed(lesson: Lesson, fault: str) -> None:
    """No partial file stays; later the same task returns the image, with no second submission."""
    lesson.fault = fault
    with pytest.raises(DownloadFailed) as caught:
        lesson.submit()
    assert lesson.files == []
    assert caught.value.task_id is not None
    lesson.fault = "none"
    last = lesson.resume(caught.value.task_id)[-1]
    assert isinstance(last, Completed)
    assert last.images[0].bytes == image("jpeg")
    assert lesson.task_count == len(lesson.files) == 1


def test_fault_can_change_while_a_task_runs(lesson: Lesson) -> None:
    """Offline after the submission, and back some polls later."""

    class ClearsFault(FrequentPolls):
        def interval_s(self, waited_s: float, *, jitter: float) -> float:
            if len(self.calls) == 3:
                lesson.fault = "none"
            return super().interval_s(waited_s, jitter=jitter)

    def go_offline(event: Event) -> None:
        if isinstance(event, Submitted):
            lesson.fault = "offline"

    lesson.schedule = ClearsFault()
    assert isinstance(lesson.submit(go_offline)[-1], Completed)
    assert len(lesson.schedule.calls) == 4
    assert lesson.task_count == 1


EXPECTED_ERRORS: dict[str, type[MountseaError] | None] = {
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
def test_every_fault_ends_in_images_or_a_mountsea_error(lesson: Lesson, fault: str) -> None:
    """No fault leaks an exception of another library, or leaves a partial file."""
    lesson.fault, error = fault, EXPECTED_ERRORS[fault]
    timeout_s = 1.0 if error is WaitTimeout else 20.0
    if error is None:
        assert isinstance(lesson.submit(timeout_s=timeout_s)[-1], Completed)
    else:
        with pytest.raises(error):
            lesson.submit(timeout_s=timeout_s)
    assert not [name for name in lesson.files if name.endswith(".part")]


def test_faults_have_typeable_names_and_descriptions() -> None:
    """Each name is one lowercase word."""
    for name, description in FAULTS.items():
        assert name == name.lower()
        assert " " not in name
        assert description
    assert "none" in FAULTS


def test_network_works_with_any_httpx_client(lesson: Lesson) -> None:
    """Whatever host the URL has."""

    async def ask() -> int:
        async with httpx.AsyncClient(transport=DemoNetwork(lesson.app)) as client:
            response = await client.get("http://any.invalid/api-user/credits")
            return int(response.json()["credits"])

    assert asyncio.run(ask()) == 1000
