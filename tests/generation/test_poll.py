"""Generations from submission to files, against real HTTP servers: polls, journal, errors."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_server import (
    BAD_GATEWAY,
    KEY,
    RESET,
    Reply,
    Script,
    StandInHub,
    data_uri,
    image,
    json_reply,
)
from runs import (
    DOG,
    HUB,
    FrequentPolls,
    assert_discreet,
    assert_helpful,
    assert_named,
    completed,
    generate,
    in_virtual_time,
    journal_of,
    names,
    newest_entry,
    processing,
    resume,
    submit_and_wait,
    wait_for_task,
    with_client,
)

from mountsea_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    InsufficientCredits,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    TaskFailed,
    WaitTimeout,
)
from mountsea_magic.generation.duration import PRIOR_S
from mountsea_magic.generation.events import (
    Completed,
    Downloading,
    Event,
    Submitted,
    Submitting,
    Waiting,
)
from mountsea_magic.generation.submit import PendingSubmissions
from mountsea_magic.hub import retry
from mountsea_magic.hub.client import HubClient
from mountsea_magic.request.request import build_request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for the originals, which does not exist yet; the journal is beside it."""
    return tmp_path / "originals"


def test_a_submission_leads_to_files(folder: Path) -> None:
    """One POST, the events in order, and originals that equal the downloads byte for byte."""
    images = [image("png"), image("jpeg"), image("webp")]
    with StandInHub(images=images, ready_after_polls=2, key=KEY) as hub:
        events = generate(hub, folder / "new" / "folder")
        assert [seen.json for seen in hub.posts] == [
            {"model": "nano-banana", "input": {"prompt": "A dog!"}}
        ]
        assert (len(hub.polls_seen), len(hub.downloads_seen)) == (3, 3)
        assert {seen.headers["authorization"] for seen in hub.requests} == {f"Bearer {KEY}"}
        for download in hub.downloads_seen:
            assert KEY not in repr(download)
        urls = [hub.image_url(f"hub-0001/{number}") for number in range(3)]
    assert events[:2] == [Submitting(), Submitted("hub-0001", PRIOR_S)]
    assert [type(event) for event in events] == [
        Submitting,
        Submitted,
        *[Waiting] * 2,
        *[Downloading] * 4,
        Completed,
    ]
    assert [event for event in events if isinstance(event, Downloading)] == [
        Downloading(done, 3) for done in range(4)
    ]
    done = completed(events)
    assert [got.bytes for got in done.images] == images
    assert [got.format for got in done.images] == ["png", "jpeg", "webp"]
    assert [got.url for got in done.images] == urls
    assert {(got.width, got.height) for got in done.images} == {(64, 48)}
    assert (done.description, done.task_id) == ("A stand-in's drawing.", "hub-0001")
    assert done.from_journal is False
    assert names(folder / "new" / "folder") == [got.path.name for got in done.images]
    for number, (got, end) in enumerate(zip(done.images, ("png", "jpg", "webp"), strict=True)):
        assert re.fullmatch(
            rf"\d{{8}}-\d{{6}}-a-dog-[0-9a-f]{{8}}-{number + 1}\.{end}", got.path.name
        )


def test_a_completed_task_is_journaled(folder: Path) -> None:
    """With task id, status, time, description and files, but without image URLs."""
    with StandInHub() as hub:
        done = completed(generate(hub, folder))
    entry = newest_entry(folder)
    assert (entry.hub, entry.task_id, entry.status) == (HUB, "hub-0001", "completed")
    assert (entry.prompt, entry.model) == ("A dog!", "nano-banana")
    assert (entry.elapsed_s, entry.description) == (done.elapsed_s, done.description)
    assert [file.path for file in entry.files] == [got.path for got in done.images]
    assert all(file.is_intact() and file.url is None for file in entry.files)
    assert b"s3cret-query" not in (folder.parent / "journal.sqlite").read_bytes()


def test_a_lone_surrogate_in_a_task_id_loses_no_image(folder: Path) -> None:
    """JSON may contain one; it is replaced in URLs and in the journal."""
    with StandInHub(submits=[json_reply({"task_id": "hub-\ud800"})]) as hub:
        hub.polls.append(hub.done({"url": data_uri(image())}))
        done = completed(generate(hub, folder))
        assert [seen.path for seen in hub.polls_seen] == ["/hub/v1/tasks/hub-%3F"]
    assert (done.task_id, done.images[0].bytes) == ("hub-\ud800", image())
    assert (newest_entry(folder).task_id, newest_entry(folder).status) == ("hub-?", "completed")


def test_every_status_of_a_running_task_is_passed_on(folder: Path) -> None:
    """Known, unknown and missing statuses all mean that the task is still running."""
    polls: list[Script] = ["pending", "queued", "PROCESSING", "ready", "dreaming", {}]
    polls += [{"status": None, "ready": None, "data": None, "elapsed_ms": None, "news": [1]}]
    with StandInHub(polls=polls) as hub:
        events = generate(hub, folder)
    statuses = [event.status for event in events if isinstance(event, Waiting)]
    assert statuses == [
        "pending",
        "queued",
        "processing",
        "ready",
        "dreaming",
        "unknown",
        "unknown",
    ]
    assert isinstance(events[-1], Completed)


def test_polls_follow_the_schedule(folder: Path) -> None:
    """The schedule is called once before each poll, with the time waited so far."""
    often = FrequentPolls()
    with StandInHub(ready_after_polls=9) as hub:
        events = generate(hub, folder, schedule=often)
        assert len(hub.polls_seen) == len(often.calls) == 10
    assert often.calls[0] == 0.0
    assert often.calls == sorted(often.calls)
    waited = [event.elapsed_s for event in events if isinstance(event, Waiting)]
    assert waited == sorted(waited)


def test_the_default_schedule_polls_rarely(folder: Path) -> None:
    """A task that is ready at once needs one poll."""
    with StandInHub() as hub:
        with_client(hub, lambda client: submit_and_wait(client, DOG, folder))
        assert len(hub.polls_seen) == 1


def test_a_resumed_task_is_polled_at_once(folder: Path) -> None:
    """No pause before the first poll, no POST, and the duration is the Hub's."""
    often = FrequentPolls()
    with StandInHub() as hub:
        hub.polls.append(hub.done({"url": data_uri(image())}))
        events = with_client(
            hub, lambda client: wait_for_task(client, "hub-x", folder, schedule=often)
        )
        assert [seen.path for seen in hub.requests] == ["/hub/v1/tasks/hub-x"]
    assert often.calls == []
    assert completed(events).elapsed_s == 1.5


def test_the_duration_of_a_resumed_task_may_be_unknown(folder: Path) -> None:
    """Unless the Hub reports it, there is none, and later estimates ignore the task."""
    with StandInHub() as hub:
        hub.polls.append(hub.done({"url": data_uri(image())}, elapsed_ms=None))
        assert completed(resume(hub, folder)).elapsed_s is None
    assert newest_entry(folder).elapsed_s is None
    assert journal_of(folder).durations(HUB, DOG) == []


@pytest.mark.parametrize(
    "status",
    [
        {"status": "failed", "ready": True, "error_code": "E1", "error_message": "no dogs"},
        {"status": "error", "errorMessage": "no dogs"},
        {"status": "timeout", "error": {"code": "E1", "message": "no dogs"}},
        {"status": "cancelled", "ready": True, "error_message": None, "error": "no dogs"},
        {"status": "canceled", "error_code": "no dogs"},
        {"ready": True, "status": None, "error_message": "no dogs."},
        {"status": "failed", "error_message": f"no dogs for {KEY}"},
        {"status": "failed", "error_message": "\x1b[2Jno dogs\u202e"},
    ],
)
def test_the_error_of_a_failed_task_has_the_reason(status: dict[str, Any], folder: Path) -> None:
    """The wait ends at once; the Hub's reason is sanitized, and nothing was charged."""
    with StandInHub(polls=["processing", status]) as hub:
        with pytest.raises(TaskFailed, match="Nothing was charged") as caught:
            generate(hub, folder)
        assert (len(hub.posts), len(hub.polls_seen), len(hub.downloads_seen)) == (1, 2, 0)
    assert_named(caught.value)
    assert "no dogs" in str(caught.value)
    assert not re.search("[\x1b\u202e]", str(caught.value))
    assert (newest_entry(folder).is_open, newest_entry(folder).error) == (False, str(caught.value))


def test_failed_polls_are_retried(folder: Path) -> None:
    """A proxy's page, resets, 5xx, 408, 429 and invalid JSON do not end the wait."""
    polls: list[Script] = [
        BAD_GATEWAY,
        "processing",
        RESET,
        json_reply({"message": "oops"}, 500),
        json_reply({}, 408),
        json_reply({}, 429),
        json_reply({}, 429, headers={"Retry-After": "0"}),
        Reply(200, b"<html>"),
        Reply(200, b'{"status":', length=99),
        json_reply([]),
    ]
    often = FrequentPolls()
    with StandInHub(polls=polls, key=KEY) as hub:
        events = generate(hub, folder, schedule=often)
        assert (len(hub.posts), len(hub.polls_seen)) == (1, len(polls) + 1)
    assert len(often.calls) == len(polls) + 1
    assert [event.status for event in events if isinstance(event, Waiting)] == ["processing"]
    assert isinstance(events[-1], Completed)


def test_a_404_is_retried_just_after_the_submission(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all servers of the Hub may know the task yet."""
    monkeypatch.setattr(retry, "NEW_TASK_GRACE_S", 60.0)
    unknown = json_reply({"message": "no such task"}, 404)
    with StandInHub(polls=[unknown, unknown]) as hub:
        assert isinstance(generate(hub, folder)[-1], Completed)
        assert (len(hub.posts), len(hub.polls_seen)) == (1, 3)


def test_a_404_after_the_grace_period_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not retried any more."""
    monkeypatch.setattr(retry, "NEW_TASK_GRACE_S", 0.0)
    with StandInHub(polls=[json_reply({}, 404)]) as hub:
        with pytest.raises(InvalidRequest, match="404") as caught:
            generate(hub, folder)
        assert len(hub.polls_seen) == 1
    assert_named(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (403, AuthenticationError),
        (402, InsufficientCredits),
        (400, InvalidRequest),
        (422, InvalidRequest),
        (302, ConfigurationError),
    ],
)
def test_a_refused_poll_ends_the_wait_and_keeps_the_task_open(
    status: int, kind: type[MountseaError], folder: Path
) -> None:
    """What a retry can't fix is raised at once, and the error names the task."""
    refusal = json_reply({"message": f"not with {KEY}"}, status)
    with StandInHub(polls=["processing", refusal]) as hub:
        with pytest.raises(kind) as caught:
            generate(hub, folder)
        assert (len(hub.posts), len(hub.polls_seen)) == (1, 2)
    assert caught.value.status_code == status
    if kind is InvalidRequest:
        assert_named(caught.value)
    else:
        assert_helpful(caught.value)
    entry = newest_entry(folder)
    assert (entry.status, entry.is_open, entry.error) == ("processing", True, str(caught.value))


def test_resuming_an_unknown_task_fails_at_once(folder: Path) -> None:
    """A mistyped id gets no grace period, and no journal entry."""
    with StandInHub() as hub:
        with pytest.raises(InvalidRequest, match="404") as caught:
            resume(hub, folder, "hub-typo")
        assert len(hub.requests) == 1
    assert_named(caught.value, "hub-typo")
    assert journal_of(folder).search() == []


def test_a_resume_just_after_the_submission_retries_a_404(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after an interrupt, not all servers of the Hub may know the task yet."""
    monkeypatch.setattr(retry, "NEW_TASK_GRACE_S", 60.0)
    unknown = json_reply({"message": "no such task"}, 404)
    with StandInHub(polls=[unknown, unknown]) as hub:
        with pytest.raises(WaitTimeout):
            generate(hub, folder, timeout_s=0.0)
        assert completed(resume(hub, folder, "hub-0001")).images[0].bytes == image()
        assert (len(hub.posts), len(hub.polls_seen)) == (1, 3)
    assert (newest_entry(folder).status, newest_entry(folder).is_open) == ("completed", False)


def test_a_404_for_an_old_task_closes_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace period a 404 is final: later resumes skip the task."""
    monkeypatch.setattr(retry, "NEW_TASK_GRACE_S", 0.0)
    with StandInHub(polls=[json_reply({"message": "no such task"}, 404)]) as hub:
        with pytest.raises(WaitTimeout):
            generate(hub, folder, timeout_s=0.0)
        with pytest.raises(InvalidRequest, match="has no task hub-0001") as caught:
            resume(hub, folder, "hub-0001")
        assert (len(hub.posts), len(hub.polls_seen)) == (1, 1)
    assert_named(caught.value)
    assert (newest_entry(folder).status, newest_entry(folder).is_open) == ("forgotten", False)


def test_a_refused_submission_is_not_polled(folder: Path) -> None:
    """Neither a refusal nor an uncertain submission leads to a poll or a second POST."""
    no_quota = json_reply({"message": "your quota is used up"}, 429, headers={"Retry-After": "0"})
    kinds = (InvalidRequest, RateLimited, SubmissionUncertain, SubmissionUncertain)
    refusals = [json_reply({"message": "no"}, 422), no_quota, RESET, BAD_GATEWAY]
    with StandInHub(submits=refusals) as hub:
        for kind in kinds:
            with pytest.raises(kind) as caught:
                generate(hub, folder)
            assert_discreet(caught.value)
            assert (newest_entry(folder).task_id, newest_entry(folder).error) == (
                None,
                str(caught.value),
            )
        assert [seen.method for seen in hub.requests] == ["POST"] * 4
    statuses = [entry.status for entry in journal_of(folder).search()]
    assert statuses == ["uncertain", "uncertain", "refused", "refused"]
    assert names(folder) == []


def test_the_wait_ends_at_the_timeout(folder: Path) -> None:
    """Nothing is polled afterwards, and the error has the command to fetch the task later."""

    async def work(client: HubClient) -> None:
        with pytest.raises(WaitTimeout, match=r"60 s") as caught:
            await submit_and_wait(client, DOG, folder, timeout_s=60.0, schedule=FrequentPolls(7.0))
        assert_helpful(caught.value)
        assert asyncio.get_running_loop().time() == pytest.approx(60.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(600)

    assert in_virtual_time(work, processing) == ["POST"] + ["GET"] * 8


def test_retry_after_is_respected(folder: Path) -> None:
    """There is no second poll if `Retry-After` is longer than the timeout."""

    async def slow_down(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={"message": "slow down"}, headers={"Retry-After": "60"})

    async def work(client: HubClient) -> None:
        with pytest.raises(WaitTimeout, match="slow down") as caught:
            await submit_and_wait(client, DOG, folder, timeout_s=30.0, schedule=FrequentPolls(1.0))
        assert_helpful(caught.value)

    assert in_virtual_time(work, slow_down) == ["POST", "GET"]


def test_a_poll_without_a_response_ends_at_the_timeout(folder: Path) -> None:
    """A Hub that hangs does not block the cell longer than the timeout."""

    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def work(client: HubClient) -> None:
        with pytest.raises(WaitTimeout) as caught:
            await submit_and_wait(client, DOG, folder, timeout_s=30.0, schedule=FrequentPolls(1.0))
        assert_helpful(caught.value)
        assert asyncio.get_running_loop().time() == pytest.approx(30.0)

    assert in_virtual_time(work, hang) == ["POST", "GET"]


def test_a_timeout_of_0_still_submits(folder: Path) -> None:
    """The task is not polled, and stays open."""
    with StandInHub() as hub:
        with pytest.raises(WaitTimeout) as caught:
            generate(hub, folder, timeout_s=0.0)
        assert (len(hub.posts), len(hub.polls_seen)) == (1, 0)
    assert_helpful(caught.value)


def test_concurrent_generations_are_independent(folder: Path) -> None:
    """With a shared client, each gets its own task and images, with one POST each."""
    formats = ("png", "jpeg", "webp", "png", "jpeg", "webp")
    with StandInHub(ready_after_polls=1) as hub:

        async def work(client: HubClient) -> list[list[Event]]:
            return await asyncio.gather(
                *(
                    submit_and_wait(
                        client,
                        build_request(
                            f"dog {number}",
                            parameters={"output_format": kind, "num_images": 1 + number % 3},
                        ),
                        folder,
                        schedule=FrequentPolls(),
                    )
                    for number, kind in enumerate(formats)
                )
            )

        runs = with_client(hub, work)
        assert len(hub.posts) == len(formats)
        assert len(hub.downloads_seen) == len(names(folder)) == 12
    for number, (run, kind) in enumerate(zip(runs, formats, strict=True)):
        images = completed(run).images
        assert [got.bytes for got in images] == [image(kind, n) for n in range(1 + number % 3)]
        assert all(f"dog-{number}-" in got.path.name for got in images)
    assert (
        len({event.task_id for run in runs for event in run if isinstance(event, Submitted)}) == 6
    )


def test_a_cancelled_wait_stops_polling(folder: Path) -> None:
    """No asyncio task continues to poll in the background."""

    async def work(client: HubClient) -> None:
        running = asyncio.ensure_future(
            submit_and_wait(client, DOG, folder, schedule=FrequentPolls(5.0))
        )
        await asyncio.sleep(17)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(600)

    assert in_virtual_time(work, processing) == ["POST"] + ["GET"] * 3


def test_a_cancelled_submission_still_awaits_its_response(folder: Path) -> None:
    """One POST, whose task id is still passed on and journaled."""
    may_respond, ids, pending = threading.Event(), list[str](), PendingSubmissions()
    with StandInHub(submits=[json_reply({"task_id": "hub-late"}, hold=may_respond)]) as hub:

        async def work(client: HubClient) -> None:
            running = asyncio.ensure_future(
                submit_and_wait(client, DOG, folder, pending=pending, on_task_id=ids.append)
            )
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.posts) == 1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert (pending.count, ids, newest_entry(folder).status) == (1, [], "submitting")
            may_respond.set()
            await pending.drain()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        with_client(hub, work)
        assert len(hub.requests) == 1
    assert (pending.count, ids) == (0, ["hub-late"])
    assert (newest_entry(folder).task_id, newest_entry(folder).is_open) == ("hub-late", True)


def test_a_callback_that_raises_stops_polling(folder: Path) -> None:
    """A callback that raises after the submission leaves no poll in the background."""
    events: list[Event] = []

    def stop(event: Event) -> None:
        events.append(event)
        if event == Submitted("hub-0001", PRIOR_S):
            raise LookupError("stop")

    with StandInHub() as hub:

        async def work(client: HubClient) -> None:
            with pytest.raises(LookupError, match="stop"):
                await submit_and_wait(client, DOG, folder, schedule=FrequentPolls(), on_event=stop)
            assert events == [Submitting(), Submitted("hub-0001", PRIOR_S)]
            assert asyncio.all_tasks() == {asyncio.current_task()}

        with_client(hub, work)
        assert [seen.method for seen in hub.requests] == ["POST"]
    entry = newest_entry(folder)
    assert (entry.task_id, entry.status, entry.error) == ("hub-0001", "submitted", "")
