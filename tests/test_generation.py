"""A generation from order to files against real HTTP servers: what is asked, kept, and said."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hub_server import (
    BAD_GATEWAY,
    RESET,
    Reply,
    Script,
    StandInHub,
    data_uri,
    json_reply,
    picture,
    told,
)

import mountsea_magic.client
import mountsea_magic.generation
from mountsea_magic.client import HubClient
from mountsea_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    DownloadFailed,
    InsufficientCredits,
    InvalidRequest,
    MountseaError,
    SubmissionUncertain,
    TaskFailed,
    WaitTimeout,
)
from mountsea_magic.events import Completed, Downloading, Event, Notice, Submitted, Waiting
from mountsea_magic.generation import follow, order
from mountsea_magic.request import ImageRequest, build_request
from mountsea_magic.settings import Secret

T = TypeVar("T")
KEY = "sk-stand-in-123456"
DOG = build_request("A dog!")


class Often:
    """A schedule that looks every few milliseconds, and knows how often it was asked.

    Attributes:
        asked: For how long the task had been waited for, at each question.
    """

    def __init__(self, interval_s: float = 0.002) -> None:
        """Look that often."""
        self.asked: list[float] = []
        self._interval_s = interval_s

    def interval_s(self, waited_s: float, *, chance: float) -> float:
        """Note the question."""
        assert 0 <= chance < 1
        self.asked.append(waited_s)
        return self._interval_s


def with_client(hub: StandInHub, work: Callable[[HubClient], Awaitable[T]]) -> T:
    """Run a coroutine with a client, and close it."""

    async def run() -> T:
        client = HubClient(hub.url, Secret(KEY))
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


async def collect(events: AsyncGenerator[Event, None]) -> list[Event]:
    """Take all events."""
    async with aclosing(events):
        return [event async for event in events]


def ordered(
    hub: StandInHub,
    folder: Path,
    request: ImageRequest = DOG,
    *,
    timeout_s: float = 20.0,
    schedule: Often | None = None,
) -> list[Event]:
    """Order, and follow to the end."""
    often = schedule or Often()
    return with_client(
        hub,
        lambda client: collect(order(client, request, folder, timeout_s=timeout_s, schedule=often)),
    )


def resumed(hub: StandInHub, folder: Path, task_id: str = "hub-x") -> list[Event]:
    """Follow a task by its id."""
    return with_client(
        hub, lambda client: collect(follow(client, task_id, folder, schedule=Often()))
    )


def completed(events: list[Event]) -> Completed:
    """Return the last event."""
    last = events[-1]
    assert isinstance(last, Completed)
    return last


def names(folder: Path) -> list[str]:
    """List all files, hidden ones too."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def assert_helpful(error: MountseaError, task_id: str = "hub-0001") -> None:
    """Check what every error that concerns a task must bear, and what it must not."""
    assert error.task_id == task_id
    assert f"`%mountsea resume {task_id}`" in str(error)
    assert_discreet(error)


def assert_named(error: MountseaError, task_id: str = "hub-0001") -> None:
    """Check that an error names its task, where the Hub itself will not tell of it."""
    assert error.task_id == task_id
    assert task_id in str(error)
    assert_discreet(error)


def assert_discreet(error: MountseaError) -> None:
    """Check that neither the error nor a cause tells the key or a signed address."""
    assert KEY not in told(error)
    cause: BaseException | None = error
    while cause is not None:
        assert "s3cret-query" not in f"{cause} {cause!r} {vars(cause)}"
        assert cause is error or getattr(cause, "_request", None) is None
        cause = cause.__cause__ or cause.__context__
    assert error.__cause__ is None or error.__cause__.__traceback__ is None


def test_an_order_becomes_files(tmp_path: Path) -> None:
    """One POST, the events in their order, and originals that are byte for byte the host's."""
    images = [picture("png"), picture("jpeg"), picture("webp")]
    with StandInHub(images=images, ready_after_looks=2, key=KEY) as hub:
        events = ordered(hub, tmp_path / "new" / "folder")
        assert [seen.json for seen in hub.posts] == [
            {"model": "nano-banana", "input": {"prompt": "A dog!"}}
        ]
        assert (len(hub.looks_seen), len(hub.downloads_seen)) == (3, 3)
        assert {seen.headers["authorization"] for seen in hub.requests} == {f"Bearer {KEY}"}
        for download in hub.downloads_seen:
            assert KEY not in repr(download)
        urls = [hub.image_url(f"hub-0001/{number}") for number in range(3)]
    assert events[0] == Submitted("hub-0001")
    assert [type(event) for event in events] == [
        Submitted,
        *[Waiting] * 2,
        *[Downloading] * 4,
        Completed,
    ]
    assert [event for event in events if isinstance(event, Downloading)] == [
        Downloading(done, 3) for done in range(4)
    ]
    done = completed(events)
    assert [got.bytes for got in done.pictures] == images
    assert [got.format for got in done.pictures] == ["png", "jpeg", "webp"]
    assert [got.url for got in done.pictures] == urls
    assert {(got.width, got.height) for got in done.pictures} == {(64, 48)}
    assert done.description == "A stand-in's drawing."
    assert names(tmp_path / "new" / "folder") == [got.path.name for got in done.pictures]
    for number, (got, end) in enumerate(zip(done.pictures, ("png", "jpg", "webp"), strict=True)):
        assert re.fullmatch(
            rf"\d{{8}}-\d{{6}}-a-dog-[0-9a-f]{{8}}-{number + 1}\.{end}", got.path.name
        )


def test_the_hubs_words_for_a_running_task_are_passed_on(tmp_path: Path) -> None:
    """Known words, a neighbour's words, new words and no word at all: the task still runs."""
    looks: list[Script] = ["pending", "queued", "PROCESSING", "ready", "dreaming", {}]
    looks += [{"status": None, "ready": None, "data": None, "elapsed_ms": None, "news": [1]}]
    with StandInHub(looks=looks) as hub:
        events = ordered(hub, tmp_path)
    said = [event.status for event in events if isinstance(event, Waiting)]
    assert said == ["pending", "queued", "processing", "ready", "dreaming", "unknown", "unknown"]
    assert isinstance(events[-1], Completed)


def test_looks_follow_the_schedule(tmp_path: Path) -> None:
    """Before each look the schedule is asked once, with the time waited, from 0 upwards."""
    often = Often()
    with StandInHub(ready_after_looks=9) as hub:
        events = ordered(hub, tmp_path, schedule=often)
        assert len(hub.looks_seen) == len(often.asked) == 10
    assert often.asked[0] == 0.0
    assert often.asked == sorted(often.asked)
    waited = [event.elapsed_s for event in events if isinstance(event, Waiting)]
    assert waited == sorted(waited)


def test_the_built_in_schedule_looks_seldom(tmp_path: Path) -> None:
    """A task that is ready at once costs one look, without a schedule of our own."""
    with StandInHub() as hub:
        with_client(hub, lambda client: collect(order(client, DOG, tmp_path)))
        assert len(hub.looks_seen) == 1


def test_a_resumed_task_is_looked_at_at_once(tmp_path: Path) -> None:
    """There is no pause before the first look, no POST, and the time is told by the Hub's clock."""
    often = Often()
    with StandInHub() as hub:
        hub.looks.append(hub.done({"url": data_uri(picture())}))
        events = with_client(
            hub, lambda client: collect(follow(client, "hub-x", tmp_path, schedule=often))
        )
        assert [seen.path for seen in hub.requests] == ["/hub/v1/tasks/hub-x"]
    assert often.asked == []
    assert completed(events).elapsed_s == 1.5


@pytest.mark.parametrize(
    "shape",
    [
        lambda hub, url: hub.done(hub.data([url])),
        lambda hub, url: hub.done({"images": [{"url": url, "width": None, "file_size": None}]}),
        lambda hub, url: hub.done({"images": [url]}),
        lambda hub, url: hub.done({"images": None, "image": {"url": url}}),
        lambda hub, url: hub.done({"url": url}),
        lambda hub, url: hub.done([{"url": url}]),
        lambda hub, url: hub.done(url),
        lambda hub, url: hub.done(None, output={"images": [{"url": url}]}),
        lambda hub, url: hub.done({"images": [{"url": None}, {"url": url}, None, 7]}),
        lambda hub, url: hub.done({"images": [data_uri(picture())]}),
        lambda hub, url: hub.done({"b64_json": data_uri(picture()).partition(",")[2]}),
        lambda hub, url: hub.done({"image": {"b64": data_uri(picture()).partition(",")[2]}}),
        lambda hub, url: {"status": "succeeded", "output": {"image": url}},
        lambda hub, url: {"status": "a-new-word", "ready": True, "data": {"images": [url]}},
    ],
)
def test_pictures_are_found_in_every_shape(
    shape: Callable[[StandInHub, str], dict[str, Any]], tmp_path: Path
) -> None:
    """Whatever the output looks like within the contract's tolerance, its picture is kept."""
    with StandInHub(downloads=[Reply(200, picture())]) as hub:
        hub.looks.append(shape(hub, hub.image_url("a")))
        (got,) = completed(resumed(hub, tmp_path)).pictures
        assert got.url == (hub.image_url("a") if hub.downloads_seen else None)
    assert got.bytes == picture()
    assert names(tmp_path) == [got.path.name]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "nothing more"),
        ({}, "nothing more"),
        ({"images": []}, "nothing more"),
        ({"images": [], "description": "I would\x1b[31m rather\nnot."}, "I would[31m rather not."),
        ({"images": [{"url": None}], "description": None}, "nothing more"),
        ("no address", "nothing more"),
    ],
)
def test_a_completed_task_without_a_picture_says_what_the_hub_said(
    data: Any, said: str, tmp_path: Path
) -> None:
    """It may have been charged, so the error shows all there is and how to ask again."""
    with StandInHub() as hub:
        hub.looks.append(hub.done(data))
        with pytest.raises(DownloadFailed, match=r"may have been\s+charged") as caught:
            ordered(hub, tmp_path)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    assert said in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
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
def test_a_failed_task_says_why_and_that_it_is_free(answer: dict[str, Any], tmp_path: Path) -> None:
    """All bad endings end the wait at once, with the Hub's reason made plain."""
    with StandInHub(looks=["processing", answer]) as hub:
        with pytest.raises(TaskFailed, match="Nothing was charged") as caught:
            ordered(hub, tmp_path)
        assert (len(hub.posts), len(hub.looks_seen), len(hub.downloads_seen)) == (1, 2, 0)
    assert caught.value.task_id == "hub-0001"
    assert "hub-0001" in str(caught.value)
    assert "no dogs" in str(caught.value)
    assert not re.search("[\x1b\u202e]", str(caught.value))
    assert_discreet(caught.value)


def test_trouble_while_waiting_is_waited_out(tmp_path: Path) -> None:
    """A proxy's page, resets, 5xx, 408, 429 and rubbish between looks end nothing."""
    looks: list[Script] = [
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
    often = Often()
    with StandInHub(looks=looks, key=KEY) as hub:
        events = ordered(hub, tmp_path, schedule=often)
        assert (len(hub.posts), len(hub.looks_seen)) == (1, len(looks) + 1)
    assert len(often.asked) == len(looks) + 1
    assert [event.status for event in events if isinstance(event, Waiting)] == ["processing"]
    assert isinstance(events[-1], Completed)


def test_a_newborn_task_may_be_unknown_at_first(tmp_path: Path) -> None:
    """Just after the order a 404 means that not all of the Hub knows the task yet."""
    unknown = json_reply({"message": "no such task"}, 404)
    with StandInHub(looks=[unknown, unknown]) as hub:
        assert isinstance(ordered(hub, tmp_path)[-1], Completed)
        assert (len(hub.posts), len(hub.looks_seen)) == (1, 3)


def test_a_task_that_stays_unknown_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is no newborn any more, a 404 is the Hub's last word."""
    monkeypatch.setattr(mountsea_magic.generation, "NEWBORN_S", 0.0)
    with StandInHub(looks=[json_reply({}, 404)]) as hub:
        with pytest.raises(InvalidRequest, match="404") as caught:
            ordered(hub, tmp_path)
        assert len(hub.looks_seen) == 1
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
def test_a_refusal_in_mid_wait_ends_it_and_keeps_the_task(
    status: int, kind: type[MountseaError], tmp_path: Path
) -> None:
    """What another look cannot mend is said at once, and the error names the task."""
    refusal = json_reply({"message": f"not with {KEY}"}, status)
    with StandInHub(looks=["processing", refusal]) as hub:
        with pytest.raises(kind) as caught:
            ordered(hub, tmp_path)
        assert (len(hub.posts), len(hub.looks_seen)) == (1, 2)
    assert caught.value.status_code == status
    if kind is InvalidRequest:
        assert_named(caught.value)
    else:
        assert_helpful(caught.value)


def test_an_unknown_task_is_refused_at_once_when_resumed(tmp_path: Path) -> None:
    """A mistyped id gets no grace."""
    with StandInHub() as hub:
        with pytest.raises(InvalidRequest, match="404") as caught:
            resumed(hub, tmp_path, "hub-typo")
        assert len(hub.requests) == 1
    assert_named(caught.value, "hub-typo")


def test_a_refused_order_is_never_followed(tmp_path: Path) -> None:
    """Neither a refusal nor an uncertain order leads to a look or a second POST."""
    with StandInHub(submits=[json_reply({"message": "no"}, 422), RESET, BAD_GATEWAY]) as hub:
        for kind in (InvalidRequest, SubmissionUncertain, SubmissionUncertain):
            with pytest.raises(kind) as caught:
                ordered(hub, tmp_path)
            assert_discreet(caught.value)
        assert [seen.method for seen in hub.requests] == ["POST"] * 3
    assert names(tmp_path) == []


def test_the_wait_has_an_end(tmp_path: Path) -> None:
    """After the deadline nothing is asked any more, and the error tells how to fetch it later."""
    with StandInHub(ready_after_looks=10**6) as hub:

        async def work(client: HubClient) -> None:
            with pytest.raises(WaitTimeout, match=r"0\.1 s") as caught:
                await collect(order(client, DOG, tmp_path, timeout_s=0.1, schedule=Often(0.01)))
            assert_helpful(caught.value)
            asked = len(hub.requests)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            await asyncio.sleep(0.05)
            assert len(hub.requests) == asked

        with_client(hub, work)
        assert len(hub.posts) == 1
        assert 1 <= len(hub.looks_seen) <= 11


def test_the_pause_that_the_hub_asks_for_is_kept(tmp_path: Path) -> None:
    """A `Retry-After` that reaches past the deadline leaves no second look."""
    patience = json_reply({"message": "slow down"}, 429, headers={"Retry-After": "60"})
    with StandInHub(looks=[patience]) as hub:
        with pytest.raises(WaitTimeout, match="slow down") as caught:
            ordered(hub, tmp_path, timeout_s=0.1)
        assert len(hub.looks_seen) == 1
    assert_helpful(caught.value)


def test_a_look_without_an_answer_ends_with_the_wait(tmp_path: Path) -> None:
    """A Hub that hangs does not hold the cell longer than the timeout."""
    with StandInHub(looks=[Reply(hold=threading.Event())]) as hub:
        with pytest.raises(WaitTimeout) as caught:
            ordered(hub, tmp_path, timeout_s=0.1)
        assert len(hub.looks_seen) == 1
    assert_helpful(caught.value)


def test_no_time_at_all_still_keeps_the_task(tmp_path: Path) -> None:
    """With a timeout of 0 the order stands, unasked for."""
    with StandInHub() as hub:
        with pytest.raises(WaitTimeout) as caught:
            ordered(hub, tmp_path, timeout_s=0.0)
        assert (len(hub.posts), len(hub.looks_seen)) == (1, 0)
    assert_helpful(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, picture("jpeg")[:-200], {"Content-Type": "image/jpeg"}),
        Reply(200, picture("png")[: len(picture("png")) // 2]),
        Reply(200, picture("webp")[:-20]),
        Reply(200, picture("png")[:30], length=len(picture("png"))),
        Reply(200, b"\x89PNG\r\n\x1a\n" + b"\0" * 20_000, endless=True),
        Reply(200, b"<html>sign in</html>", {"Content-Type": "image/png"}),
        Reply(200, b""),
        Reply(403, b"Request has expired"),
        Reply(404, b""),
        Reply(410, b""),
        Reply(500, b""),
        RESET,
        Reply(302, headers={"Location": "/again?signature=s3cret-query"}),
        Reply(302, headers={"Location": "http://[::1/?signature=s3cret-query"}),
    ],
    ids=[
        *("half a jpeg", "half a png", "half a webp", "cut", "endless", "html", "empty"),
        *("403", "404", "410", "500", "reset", "circle", "nowhere"),
    ],
)
def test_a_picture_that_cannot_be_had_leaves_no_file(
    reply: Reply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What did not arrive whole is not kept, not paid again, and can be asked for later."""
    monkeypatch.setattr(mountsea_magic.client, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[reply] * 20, images=[picture("jpeg")]) as hub:
        with pytest.raises(DownloadFailed) as caught:
            ordered(hub, tmp_path)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    assert names(tmp_path) == []


def test_what_could_not_be_had_is_had_by_resuming(tmp_path: Path) -> None:
    """After a broken download the same task gives the same picture, with no second order."""
    with StandInHub(downloads=[RESET] * 4, images=[picture("jpeg")]) as hub:
        with pytest.raises(DownloadFailed) as caught:
            ordered(hub, tmp_path)
        assert caught.value.task_id is not None
        (got,) = completed(resumed(hub, tmp_path, caught.value.task_id)).pictures
        assert len(hub.posts) == 1
    assert got.bytes == picture("jpeg")
    assert names(tmp_path) == [got.path.name]


def test_one_bad_picture_of_several_leaves_no_part(tmp_path: Path) -> None:
    """The others are let go of cleanly: what is in the folder is whole."""
    images = [picture("png", number) for number in range(3)] + [b"no picture"]
    with StandInHub(images=images) as hub:
        with pytest.raises(DownloadFailed) as caught:
            ordered(hub, tmp_path)
        assert len(hub.posts) == 1
    assert_helpful(caught.value)
    for path in tmp_path.iterdir():
        assert path.suffix == ".png"
        assert path.read_bytes() in images[:3]


def test_a_folder_that_cannot_be_written_loses_nothing(tmp_path: Path) -> None:
    """The picture is kept in a temporary folder, and the notice names both folders."""
    blocked = tmp_path / "a file"
    blocked.write_text("mine")
    with StandInHub() as hub:
        events = ordered(hub, blocked)
    (notice,) = (event.text for event in events if isinstance(event, Notice))
    (kept,) = completed(events).pictures
    assert kept.bytes == picture()
    assert str(blocked) in notice and str(kept.path.parent) in notice
    assert blocked.read_text() == "mine"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_expired_addresses_are_asked_for_anew(tmp_path: Path, status: int) -> None:
    """A URL that is too old leads to one more look at the task, and to the picture."""
    with StandInHub(downloads=[Reply(status, b"expired")]) as hub:
        assert completed(ordered(hub, tmp_path)).pictures[0].bytes == picture()
        assert (len(hub.posts), len(hub.looks_seen), len(hub.downloads_seen)) == (1, 2, 2)


def test_a_download_that_breaks_is_tried_again(tmp_path: Path) -> None:
    """A reset and a cut body cost a second, not the picture."""
    cut = Reply(200, picture()[:100], {"Content-Type": "image/png"})
    with StandInHub(downloads=[RESET, cut]) as hub:
        assert completed(ordered(hub, tmp_path)).pictures[0].bytes == picture()
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 3)


def test_a_download_declared_over_the_cap_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too large stays too large."""
    monkeypatch.setattr("mountsea_magic.client.MAX_BYTES", 10)
    with StandInHub() as hub, pytest.raises(DownloadFailed, match="more than 10"):
        ordered(hub, tmp_path)
    assert len(hub.downloads_seen) == 1


def test_the_same_task_twice_overwrites_nothing(tmp_path: Path) -> None:
    """Even within one second, each fetch gets files of its own."""
    with StandInHub() as hub:
        ordered(hub, tmp_path)
        for _ in range(3):
            resumed(hub, tmp_path, "hub-0001")
        assert len(hub.posts) == 1
    assert len(names(tmp_path)) == 4
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {picture()}


def test_several_at_once_do_not_mix(tmp_path: Path) -> None:
    """Orders that share a client get each its own task and its own pictures, one POST each."""
    formats = ("png", "jpeg", "webp", "png", "jpeg", "webp")
    with StandInHub(ready_after_looks=1) as hub:

        async def work(client: HubClient) -> list[list[Event]]:
            return await asyncio.gather(
                *(
                    collect(
                        order(
                            client,
                            build_request(
                                f"dog {number}",
                                parameters={"output_format": kind, "num_images": 1 + number % 3},
                            ),
                            tmp_path,
                            schedule=Often(),
                        )
                    )
                    for number, kind in enumerate(formats)
                )
            )

        runs = with_client(hub, work)
        assert len(hub.posts) == len(formats)
        assert len(hub.downloads_seen) == len(names(tmp_path)) == 12
    for number, (run, kind) in enumerate(zip(runs, formats, strict=True)):
        pictures = completed(run).pictures
        assert [got.bytes for got in pictures] == [picture(kind, n) for n in range(1 + number % 3)]
        assert all(f"dog-{number}-" in got.path.name for got in pictures)
    assert (
        len({event.task_id for run in runs for event in run if isinstance(event, Submitted)}) == 6
    )


def test_nothing_is_asked_after_a_cancel(tmp_path: Path) -> None:
    """A cancelled wait leaves no task behind that goes on looking."""
    with StandInHub(ready_after_looks=10**6) as hub:

        async def work(client: HubClient) -> None:
            events = order(client, DOG, tmp_path, schedule=Often(0.005))
            running = asyncio.ensure_future(collect(events))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.looks_seen) >= 3)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            asked = len(hub.requests)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            await asyncio.sleep(0.05)
            assert len(hub.requests) == asked

        with_client(hub, work)
        assert len(hub.posts) == 1


def test_a_cancel_during_the_downloads_leaves_no_part(tmp_path: Path) -> None:
    """Half-received files go, and no download goes on unseen."""
    never = Reply(hold=threading.Event())
    request = build_request("a dog", parameters={"num_images": 3})
    with StandInHub(downloads=[never] * 3) as hub:

        async def work(client: HubClient) -> None:
            running = asyncio.ensure_future(
                collect(order(client, request, tmp_path, schedule=Often()))
            )
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.downloads_seen) == 3)
            assert [name.endswith(".part") for name in names(tmp_path)] == [True] * 3
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert names(tmp_path) == []

        with_client(hub, work)


def test_a_cancel_of_the_order_itself_sends_no_second(tmp_path: Path) -> None:
    """Cancelled while the answer is awaited: one POST arrived, and none follows."""
    with StandInHub(submits=[Reply(hold=threading.Event())]) as hub:

        async def work(client: HubClient) -> None:
            running = asyncio.ensure_future(collect(order(client, DOG, tmp_path, schedule=Often())))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.posts) == 1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert asyncio.all_tasks() == {asyncio.current_task()}

        with_client(hub, work)
        assert len(hub.requests) == 1


def test_closing_the_events_stops_the_looks(tmp_path: Path) -> None:
    """Whoever stops listening after the order gets no looks in the background."""
    with StandInHub() as hub:

        async def work(client: HubClient) -> None:
            events = order(client, DOG, tmp_path, schedule=Often())
            async with aclosing(events):
                assert await anext(events) == Submitted("hub-0001")
            assert asyncio.all_tasks() == {asyncio.current_task()}

        with_client(hub, work)
        assert [seen.method for seen in hub.requests] == ["POST"]
