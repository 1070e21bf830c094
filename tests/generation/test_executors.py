"""Tests of the workers that download and post-process the images of a batch."""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from pathlib import Path
from typing import Any

import pytest
from hub_server import KEY, RESET, Reply, StandInHub, data_uri, image
from runs import (
    FrequentPolls,
    assert_discreet,
    journal_of,
    names,
    newest_entry,
    submit_and_wait,
    with_client,
)
from workers import (
    KilledOnce,
    RecordingExecutor,
    describe,
    notices,
    process_id,
    refuse_cats,
    requests,
    results,
    run_all,
    unpicklable,
)

from mountsea_magic.clients import ClientPool
from mountsea_magic.errors import DownloadFailed, InvalidRequest
from mountsea_magic.generation import download as download_module
from mountsea_magic.generation import executor_calls, executors
from mountsea_magic.generation.events import Completed, Event, PostprocessFailed
from mountsea_magic.generation.executors import ImageWorkers
from mountsea_magic.generation.image_worker import SaveCall, Saved, Unavailable, save_image
from mountsea_magic.hub.client import HubClient
from mountsea_magic.images.files import GeneratedImage, part_file
from mountsea_magic.request.request import ImageRequest
from mountsea_magic.runtime.daemon_threads import DaemonThreads
from mountsea_magic.settings import read_settings

PROMPTS = ["a dog", "a cat", "a hen"]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry as often as in production, but at once."""
    monkeypatch.setattr(download_module, "PAUSES_S", (0.0,) * len(download_module.PAUSES_S))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for the originals, which does not exist yet; the journal is beside it."""
    return tmp_path / "originals"


def new_pool() -> ProcessPoolExecutor:
    """Return a pool of two processes, which are started one by one as they are needed."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    """Start worker processes for the module."""
    with new_pool() as pool:
        yield pool


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    """Start worker threads for the module."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(params=["processes", "threads"])
def pool(request: pytest.FixtureRequest) -> Executor:
    """Return each kind of executor in turn."""
    found: Executor = request.getfixturevalue(request.param)
    return found


def files_of(images: Sequence[GeneratedImage]) -> list[tuple[Path, str]]:
    """Return what the journal must know of images; it has no signed URLs."""
    return [(image.path, image.sha256) for image in images]


def assert_all_there(hub: StandInHub, folder: Path, done: list[Completed], count: int) -> None:
    """Check that every image is on disk once, journaled, and paid for once."""
    assert len(done) == len(hub.posts)
    images = [image for each in done for image in each.images]
    assert len(images) == count
    assert all(image.is_intact() for image in images)
    assert names(folder) == sorted(image.path.name for image in images)
    entries = {entry.task_id: entry for entry in journal_of(folder).search(limit=100)}
    for each in done:
        entry = entries[each.task_id]
        assert files_of(entry.files) == files_of(each.images)
        assert entry.status == "completed"


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_workers_save_and_postprocess_the_images(
    pool: Executor, transfer: str, folder: Path
) -> None:
    """They do both in one call; the images are on disk, and the values in the images' order."""
    recorder = RecordingExecutor(pool)
    workers = ImageWorkers(recorder, describe, transfer)
    with StandInHub() as hub:
        runs = run_all(hub, folder, requests(PROMPTS, num_images=2), workers)
        assert len(recorder.pickled) == len(hub.downloads_seen) == 6
        done = results(runs)
        assert_all_there(hub, folder, done, 6)
        assert {image.url for each in done for image in each.images} == {
            hub.image_url(f"{task_id}/{number}") for task_id in hub.task_ids for number in (0, 1)
        }
    for each, prompt in zip(done, PROMPTS, strict=True):
        assert each.postprocessed == tuple(
            (prompt, image.path.name, len(image.bytes)) for image in each.images
        )
    assert notices(runs) == []


def test_worker_processes_do_the_work(processes: Executor, folder: Path) -> None:
    """Neither the download nor the function runs in this process."""
    with StandInHub() as hub:
        (done,) = results(
            run_all(hub, folder, requests(["a dog"]), ImageWorkers(processes, process_id))
        )
        agents = {seen.headers["user-agent"] for seen in hub.downloads_seen}
    assert done.postprocessed[0][0] != os.getpid()
    assert len(agents) == 1 and "mountsea-magic" in agents.pop()


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_no_call_holds_the_key(threads: Executor, transfer: str, folder: Path) -> None:
    """Neither in plain text nor encoded, also when the Hub echoes it in URLs and in its text."""
    recorder = RecordingExecutor(threads)
    echo = base64.b64encode(KEY.encode()).decode()
    with StandInHub(downloads=[Reply(200, image())] * 4) as hub:
        hub.polls.append(
            hub.done(
                hub.data(
                    [
                        hub.image_url("a"),
                        f"{hub.image_origin}/b?key={KEY}",
                        f"{hub.image_origin}/c?token={echo}",
                        data_uri(image()),
                    ]
                )
                | {"description": f"made with {KEY}"}
            )
        )
        workers = ImageWorkers(recorder, describe, transfer)
        (done,) = results(run_all(hub, folder, requests(["a dog"]), workers))
        assert_all_there(hub, folder, [done], 4)
        assert [image.url for image in done.images[::3]] == [hub.image_url("a"), None]
        assert all("[key]" in str(image.url) for image in done.images[1:3])
        assert any(seen.path == f"/c?token={echo}" for seen in hub.downloads_seen)
    assert len(recorder.pickled) == 4
    for call in recorder.pickled:
        assert KEY.encode() not in call
        assert echo.encode() not in call
        assert KEY.encode("utf-16-le") not in call


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_inline_images_are_decoded_here_and_checked_by_workers(
    threads: Executor, transfer: str, folder: Path
) -> None:
    """A worker gets the file, or its bytes; a broken image is not retried."""
    recorder = RecordingExecutor(threads)
    workers = ImageWorkers(recorder, describe, transfer)
    with StandInHub() as hub:
        hub.polls.append(hub.done(hub.data([image(), image("jpeg")])))
        (done,) = results(run_all(hub, folder, requests(["a dog"], num_images=2), workers))
        assert_all_there(hub, folder, [done], 2)
        assert [name for _, name, _ in done.postprocessed] == names(folder)
        hub.polls.append(hub.done(hub.data([image()[:-20]])))
        with pytest.raises(DownloadFailed, match="not usable"):
            run_all(hub, folder, requests(["a dog"]), workers)
        assert len(hub.downloads_seen) == 0
    assert len(recorder.pickled) == 3


def test_a_large_inline_image_is_limited_before_it_is_sent(threads: Executor, folder: Path) -> None:
    """Data that can't be decoded fails here; no worker is asked."""
    recorder = RecordingExecutor(threads)
    with StandInHub() as hub:
        hub.polls.append(hub.done(hub.data(["data:image/png;base64,%%%"])))
        with pytest.raises(DownloadFailed, match="not usable"):
            run_all(hub, folder, requests(["a dog"]), ImageWorkers(recorder))
    assert recorder.pickled == []
    assert names(folder) == []


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_a_failed_download_of_a_worker_is_retried(
    pool: Executor, transfer: str, folder: Path
) -> None:
    """As often as one of this process; a worker's failure is a record, not an exception."""
    with StandInHub(downloads=[RESET, Reply(500), Reply(200, image()[:-40])]) as hub:
        workers = ImageWorkers(pool, describe, transfer)
        runs = run_all(hub, folder, requests(["a dog"]), workers)
        assert len(hub.downloads_seen) == 4
        assert_all_there(hub, folder, results(runs), 1)
        hub.downloads.extend([Reply(500)] * 4)
        with pytest.raises(DownloadFailed, match="HTTP 500") as caught:
            run_all(hub, folder, requests(["a dog"]), workers)
        assert len(hub.posts) == 2
    assert notices(runs) == []
    assert_discreet(caught.value)
    assert len(names(folder)) == 1


def test_this_process_polls_again_for_an_expired_url(processes: Executor, folder: Path) -> None:
    """Workers never poll: they report the HTTP status, and get the new URL."""
    with StandInHub(downloads=[Reply(403), Reply(200, image())]) as hub:
        hub.polls.extend(hub.done(hub.data([hub.image_url(name)])) for name in ("old", "new"))
        (done,) = results(run_all(hub, folder, requests(["a dog"]), ImageWorkers(processes)))
        assert len(hub.polls_seen) == 2
        assert done.images[0].url == hub.image_url("new")
        assert [seen.path.partition("?")[0] for seen in hub.downloads_seen] == ["/old", "/new"]
        assert all("authorization" not in seen.headers for seen in hub.downloads_seen)


def test_an_image_that_is_gone_is_reported_as_without_workers(
    threads: Executor, folder: Path
) -> None:
    """A 404 for a new URL means that the Hub no longer has the image."""
    with (
        StandInHub(downloads=[Reply(404)] * 8) as hub,
        pytest.raises(DownloadFailed, match="no longer seems to have") as caught,
    ):
        run_all(hub, folder, requests(["a dog"]), ImageWorkers(threads))
    assert caught.value.gone


def test_without_an_executor_postprocess_runs_on_threads(folder: Path) -> None:
    """Of this process, after the images are on disk; never on the event loop's thread."""
    with StandInHub() as hub:
        runs = run_all(hub, folder, requests(PROMPTS, num_images=2), ImageWorkers(None, process_id))
        done = results(runs)
        assert_all_there(hub, folder, done, 6)
    values = [value for each in done for value in each.postprocessed]
    assert len(values) == 6
    assert {pid for pid, _ in values} == {os.getpid()}
    assert threading.current_thread().name not in {name for _, name in values}


def test_the_threads_of_this_process_are_bounded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more images are post-processed at once than the limit."""
    monkeypatch.setattr(executors, "MAX_THREADS", 2)
    (request,) = requests(["a dog"], num_images=4)
    dog = GeneratedImage(folder / "dog.png", "png", 64, 48, "")
    completed = Completed((dog,) * 4, "", None)
    started, go = list[str](), threading.Event()
    before = set(threading.enumerate())

    def wait(image: GeneratedImage, request: ImageRequest) -> int:
        started.append(image.path.name)
        go.wait(30)
        return image.width

    async def run() -> Completed:
        running = asyncio.ensure_future(
            ImageWorkers(None, wait).postprocess(completed, request, on_event=print)
        )
        while len(started) < 2:
            await asyncio.sleep(0.01)
        assert len(set(threading.enumerate()) - before) == 2
        go.set()
        return await running

    assert asyncio.run(run()).postprocessed == (64,) * 4


@pytest.mark.parametrize("kind", ["here", "processes", "threads"])
def test_what_postprocess_raises_fails_its_request_and_keeps_the_images(
    kind: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    """The entry is journaled as completed; the error has the type, the text and the task."""
    executor = None if kind == "here" else request.getfixturevalue(kind)
    workers = ImageWorkers(executor, refuse_cats)
    with StandInHub() as hub:
        with pytest.raises(PostprocessFailed) as caught:
            run_all(hub, folder, requests(["a cat"]), workers)
        assert len(hub.posts) == 1
        (done,) = results(run_all(hub, folder, requests(["a dog"]), workers))
    assert done.postprocessed == ("a dog",)
    error = caught.value
    assert "ValueError: no cats, please (got 'a cat')" in str(error)
    assert "The images are kept" in str(error) and str(folder) in str(error)
    assert error.task_id == "hub-0001" and "hub-0001" in str(error)
    entry = journal_of(folder).find("hub-0001")
    assert entry is not None and entry.status == "completed" and entry.error == ""
    assert files_of(entry.files) == files_of(error.completed.images)
    assert all(image.is_intact() for image in entry.files)
    assert_discreet(error)


@pytest.mark.parametrize("transfer", ["path", "bytes"])
@pytest.mark.parametrize("kind", ["here", "processes"])
def test_answers_from_the_journal_are_postprocessed_too(
    kind: str, transfer: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    """Nothing is submitted or downloaded; a worker gets the file, or its bytes."""
    executor = None if kind == "here" else request.getfixturevalue(kind)
    batch = requests(["a dog"], seed=7)
    with StandInHub() as hub:
        first = results(run_all(hub, folder, batch, ImageWorkers()))
        workers = ImageWorkers(executor, describe, transfer)
        (done,) = results(run_all(hub, folder, batch, workers, fresh=False))
        assert len(hub.posts) == len(hub.downloads_seen) == 1
    assert done.from_journal and files_of(done.images) == files_of(first[0].images)
    (got,) = done.images
    assert done.postprocessed == (("a dog", got.path.name, len(got.bytes)),)


def test_files_that_are_fetched_again_are_postprocessed(processes: Executor, folder: Path) -> None:
    """An answer from the journal whose files are gone is downloaded by a worker."""
    batch = requests(["a dog"], seed=7)
    workers = ImageWorkers(processes, describe)
    with StandInHub() as hub:
        (first,) = results(run_all(hub, folder, batch, workers))
        first.images[0].path.unlink()
        (done,) = results(run_all(hub, folder, batch, workers, fresh=False))
        assert (len(hub.posts), len(hub.downloads_seen)) == (1, 2)
    assert done.from_journal
    assert done.postprocessed[0][1] == done.images[0].path.name


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_a_broken_process_pool_loses_no_image(transfer: str, folder: Path, tmp_path: Path) -> None:
    """This process downloads and post-processes the rest, with one notice; no file is left over."""
    postprocess = KilledOnce(tmp_path / "killed")
    prompts = [f"dog {number}" for number in range(8)]
    with new_pool() as pool, StandInHub() as hub:
        workers = ImageWorkers(pool, postprocess, transfer)
        runs = run_all(hub, folder, requests(prompts), workers)
        done = results(runs)
        assert_all_there(hub, folder, done, 8)
        more = run_all(hub, folder, requests(["one more"]), workers)
    assert [each.postprocessed for each in done] == [(each.images[0].path.name,) for each in done]
    (notice,) = notices(runs)
    assert "BrokenProcessPool" in notice
    assert len(results(more)) == 1 and notices(more) == []
    assert not workers.is_remote


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_a_function_that_cannot_be_pickled_runs_here(
    processes: Executor, transfer: str, folder: Path
) -> None:
    """The notice says why; the images are downloaded by this process."""
    prefix = "prompt: "
    workers = ImageWorkers(processes, lambda _, request: prefix + request.prompt, transfer)
    with StandInHub() as hub:
        runs = run_all(hub, folder, requests(PROMPTS), workers)
        assert_all_there(hub, folder, results(runs), 3)
        assert len(hub.downloads_seen) == 3
    assert [each.postprocessed for each in results(runs)] == [(prefix + each,) for each in PROMPTS]
    (notice,) = notices(runs)
    assert "pickle" in notice.lower()


def test_a_result_that_cannot_be_pickled_fails_its_request(
    processes: Executor, threads: Executor, folder: Path
) -> None:
    """The image is kept, and the executor is not to blame; worker threads pickle nothing."""
    workers = ImageWorkers(processes, unpicklable)
    with StandInHub() as hub:
        with pytest.raises(PostprocessFailed, match=r"returned what can't be pickled .*lock"):
            run_all(hub, folder, requests(["a dog"]), workers)
        (done,) = results(
            run_all(hub, folder, requests(["a cat"]), ImageWorkers(threads, unpicklable))
        )
    assert done.postprocessed[0].acquire(blocking=False)
    assert workers.is_remote
    assert len(names(folder)) == 2


def test_an_executor_that_was_shut_down_is_reported_once(folder: Path) -> None:
    """Its images are downloaded by this process."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with StandInHub() as hub:
        runs = run_all(hub, folder, requests(PROMPTS), ImageWorkers(pool, describe))
        assert_all_there(hub, folder, results(runs), 3)
    (notice,) = notices(runs)
    assert "shutdown" in notice
    assert all(each.postprocessed for each in results(runs))


class _Endless(Executor):
    """Breaks with its last call; the others never end, as when dask's client is closed.

    Args:
        last: The number of the last call.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        self.futures: list[Future[Any]] = []

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.futures.append(Future())
        if len(self.futures) == self.last:
            raise RuntimeError("the scheduler is gone")
        return self.futures[-1]


def test_calls_that_never_end_are_abandoned_once_the_executor_has_broken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process downloads all images, and cancels the calls."""
    monkeypatch.setattr(executor_calls, "GRACE_S", 0.0)
    executor = _Endless(6)
    with StandInHub() as hub:
        batch = requests(PROMPTS, num_images=2)
        runs = run_all(hub, folder, batch, ImageWorkers(executor, describe))
        assert_all_there(hub, folder, results(runs), 6)
    (notice,) = notices(runs)
    assert "the scheduler is gone" in notice
    for future in executor.futures[:-1]:
        with pytest.raises(CancelledError):
            future.result(30)


def test_an_executor_has_a_limited_number_of_calls(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait for their turns in this process."""
    monkeypatch.setattr(executors, "MAX_CALLS", 2)
    held = _Held()
    recorder = RecordingExecutor(held)

    async def run(client: HubClient) -> list[Event]:
        request, often = requests(["a dog"], num_images=4)[0], FrequentPolls()
        running = asyncio.ensure_future(
            submit_and_wait(client, request, folder, schedule=often, workers=ImageWorkers(recorder))
        )
        while len(recorder.pickled) < 2:
            await asyncio.sleep(0.01)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(recorder.pickled) == 2
        held.go.set()
        return await running

    with StandInHub() as hub:
        events = with_client(hub, run)
        assert_all_there(hub, folder, results([events]), 4)
    assert len(recorder.pickled) == 4


class _Elsewhere(Executor):
    """Runs calls as a worker of another machine would: its folders are not this process's."""

    def __init__(self, inner: Executor, elsewhere: Path) -> None:
        self.inner, self.elsewhere = inner, elsewhere

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        call, *rest = args
        if isinstance(call, SaveCall) and call.folder is not None and call.part is not None:
            folder = self.elsewhere / "originals"
            moved = {name: getattr(call, name) for name in ("stem", "url", "base_url")}
            call = SaveCall(**moved, folder=folder, part=folder / call.part.name)
        return self.inner.submit(function, call, *rest, **kwargs)


def test_workers_without_the_folder_leave_nothing_and_are_reported_once(
    threads: Executor, folder: Path, tmp_path: Path
) -> None:
    """This process downloads the images, and names `transfer="bytes"`; with that, workers do it."""
    executor = _Elsewhere(threads, tmp_path / "elsewhere")
    with StandInHub() as hub:
        runs = run_all(hub, folder, requests(PROMPTS), ImageWorkers(executor, describe))
        assert_all_there(hub, folder, results(runs), 3)
        assert len(hub.downloads_seen) == 3
    (notice,) = notices(runs)
    assert 'transfer="bytes"' in notice and str(folder) in notice
    assert not (tmp_path / "elsewhere").exists()
    with StandInHub() as hub:
        runs = run_all(
            hub, tmp_path / "b/originals", requests(PROMPTS), ImageWorkers(executor, None, "bytes")
        )
        assert len(results(runs)) == 3
    assert notices(runs) == []


class _Tampering(Executor):
    """Changes each result."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        def change() -> Any:
            saved = function(*args, **kwargs)
            assert isinstance(saved, Saved)
            if saved.content is None:
                saved.image.path.unlink()
                return saved
            return Saved(saved.image, saved.content[:-1], saved.outcome)

        return self.inner.submit(change)


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_a_workers_image_is_verified(threads: Executor, transfer: str, folder: Path) -> None:
    """A missing or changed file is downloaded again, by this process."""
    workers = ImageWorkers(_Tampering(threads), None, transfer)
    with StandInHub() as hub:
        runs = run_all(hub, folder, requests(["a dog"]), workers)
        assert_all_there(hub, folder, results(runs), 1)
        assert len(hub.downloads_seen) == 2
    assert len(notices(runs)) == 1


def test_a_repeated_call_finds_the_image_of_the_lost_worker(folder: Path) -> None:
    """A cluster repeats the calls of a lost worker: no second file, and no download."""
    with StandInHub(downloads=[Reply(200, image())]) as hub:
        url = hub.image_url("a")
        call = SaveCall(
            stem="dog-1", folder=folder, part=part_file(folder), url=url, base_url=hub.url
        )
        first, second = save_image(call), save_image(call)
        assert len(hub.downloads_seen) == 1
    assert isinstance(first, Saved) and first == second
    assert names(folder) == ["dog-1.png"]
    missing = SaveCall(stem="cat-1", folder=folder, part=folder / "x.part", url=url)
    assert save_image(missing) == Unavailable("it is not there")


def test_a_worker_with_an_unusable_proxy_leaves_the_image_to_this_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxies of a worker are those of its environment; the reason names the variable."""
    monkeypatch.setenv("HTTP_PROXY", "nonsense://proxy.example:1")
    call = SaveCall(
        stem="dog-1", folder=folder, part=part_file(folder), url="http://127.0.0.1:9/a",
        base_url="http://127.0.0.1:9",
    )  # fmt: skip
    result = save_image(call)
    assert isinstance(result, Unavailable)
    assert "HTTP_PROXY" in result.reason


def test_a_worker_refuses_a_private_host(folder: Path) -> None:
    """The same check as in this process: the Hub is public, the image's host is not."""
    call = SaveCall(
        stem="dog-1", folder=folder, part=part_file(folder), url="http://127.0.0.1:9/a",
        base_url="http://203.0.113.7",
    )  # fmt: skip
    result = save_image(call)
    assert "private network" in getattr(result, "message", "")
    assert names(folder) == []


class _Held(Executor):
    """Runs each call on a thread, which waits before it or in the user's function.

    Attributes:
        started: Set when it waits.
        go: Ends the wait when the test sets it.
        futures: The future of each call.
    """

    def __init__(self) -> None:
        self.started, self.go = threading.Event(), threading.Event()
        self.futures: list[Future[Any]] = []

    def hold(self, *_: object) -> None:
        self.started.set()
        self.go.wait(30)

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        def run() -> Any:
            if args[1] is None:
                self.hold()
            return function(*args, **kwargs)

        self.futures.append(DaemonThreads().submit(run))
        return self.futures[-1]


@pytest.mark.parametrize("has_published", [False, True])
def test_a_cancelled_generation_waits_for_no_worker_and_keeps_no_file(
    has_published: bool, folder: Path
) -> None:
    """Its running call is abandoned, whether it has saved the image already or not."""
    held = _Held()
    workers = ImageWorkers(held, held.hold if has_published else None)

    async def cancel(client: HubClient) -> None:
        request, often = requests(["a dog"])[0], FrequentPolls()
        running = asyncio.ensure_future(
            submit_and_wait(client, request, folder, schedule=often, workers=workers)
        )
        await asyncio.to_thread(held.started.wait, 30)
        assert len(names(folder)) == 1
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert names(folder) == []

    with StandInHub() as hub:
        with_client(hub, cancel)
        held.go.set()
        (future,) = held.futures
        future.exception(30)
    assert names(folder) == []
    assert newest_entry(folder).files == ()


def test_a_cancelled_generation_cancels_its_pending_calls(folder: Path) -> None:
    """A call that has not started never runs."""
    with ThreadPoolExecutor(1) as pool, StandInHub() as hub:
        release = threading.Event()
        pool.submit(release.wait, 30)
        recorder = RecordingExecutor(pool)

        async def cancel(client: HubClient) -> None:
            running = asyncio.ensure_future(
                submit_and_wait(
                    client,
                    requests(["a dog"])[0],
                    folder,
                    schedule=FrequentPolls(),
                    workers=ImageWorkers(recorder),
                )
            )
            while not recorder.futures:
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            while not recorder.futures[0].cancelled():
                await asyncio.sleep(0.01)

        with_client(hub, cancel)
        release.set()
    assert len(hub.downloads_seen) == 0
    assert names(folder) == []


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_images_of_the_demo_hub_are_downloaded_here_and_postprocessed_by_workers(
    processes: Executor, transfer: str, folder: Path, demo: None
) -> None:
    """It has no sockets, so no other process could reach it."""
    pool = ClientPool()
    pool.demo_seconds = 0.0

    async def run() -> list[Event]:
        client = pool.client(read_settings())
        try:
            return await submit_and_wait(
                client,
                requests(["a dog"], num_images=2)[0],
                folder,
                schedule=FrequentPolls(0.01),
                workers=ImageWorkers(processes, process_id, transfer),
            )
        finally:
            await pool.aclose()

    events = asyncio.run(run())
    (done,) = results([events])
    assert len(done.images) == len(done.postprocessed) == 2
    assert {pid for pid, _ in done.postprocessed}.isdisjoint({os.getpid()})
    assert names(folder) == sorted(image.path.name for image in done.images)
    assert notices([events]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"executor": "dask"}, "executor must have the interface"),
        ({"postprocess": 7}, "postprocess must be a function"),
        ({"transfer": "pigeon"}, "transfer must be 'path' or 'bytes'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    """Before anything is submitted."""
    with pytest.raises(InvalidRequest, match=message):
        ImageWorkers(**arguments)
