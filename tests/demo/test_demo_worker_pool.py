"""The demo Hub's worker pool: fair queues, cached files, failures."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import image

from mountsea_magic.demo.server.http_app import OpenTasks
from mountsea_magic.demo.server.inputs import BadInput, Inputs
from mountsea_magic.demo.server.limits import Limits
from mountsea_magic.demo.server.render import draw
from mountsea_magic.demo.server.submissions import RequestRejected
from mountsea_magic.demo.server.tasks import DemoTask, TaskStore
from mountsea_magic.demo.server.worker import Worker, WorkerFailed
from mountsea_magic.demo.server.worker_pool import MAX_WAITING_INPUTS, WorkerPool

SMALL = {"prompt": "red", "seed": 1, "image_size": {"width": 64, "height": 64}}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Start one worker for all tests of this module, since its imports take a while."""
    started = Worker()
    yield started
    started.stop()


@pytest.fixture
def tasks(tmp_path: Path) -> TaskStore:
    """Create a store whose tasks complete at once."""
    return TaskStore(tmp_path, seconds=0)


def add_task(tasks: TaskStore, **more: Any) -> DemoTask:
    """Add a task with small images."""
    return tasks.add("gpt-image-2", SMALL | more)


def with_pool(
    tasks: TaskStore,
    folder: Path,
    worker: Worker,
    work: Callable[[WorkerPool], Awaitable[Any]],
    **limits: Any,
) -> Any:
    """Run a coroutine with a pool that has one worker."""

    async def inner() -> Any:
        pool = WorkerPool(tasks, folder, Limits(**limits), workers=1)
        pool._all = pool._free = [worker]
        return await work(pool)

    return asyncio.run(inner())


def test_worker_calls_functions_and_reraises_their_exceptions(worker: Worker) -> None:
    """In one other process."""
    assert (
        worker.call(os.getpid, timeout_s=60) == worker.call(os.getpid, timeout_s=60) != os.getpid()
    )
    with pytest.raises(ValueError, match="invalid literal"):
        worker.call(int, "x", timeout_s=60)


def test_worker_that_dies_or_hangs_is_replaced() -> None:
    """The call fails, and the next one starts a new process."""
    worker = Worker()
    with pytest.raises(WorkerFailed, match="_exit timed out or crashed"):
        worker.call(os._exit, 1, timeout_s=60)
    with pytest.raises(WorkerFailed, match="sleep timed out or crashed"):
        worker.call(time.sleep, 60, timeout_s=0.1)
    assert worker.call(abs, -3, timeout_s=60) == 3
    worker.stop()
    with pytest.raises(WorkerFailed):
        worker.call(abs, -3, timeout_s=60)


def test_image_is_drawn_once_and_cached_as_a_private_file(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """However many clients request it at once; it equals the image drawn in-process."""
    task = add_task(tasks)

    async def work(pool: WorkerPool) -> None:
        paths = await asyncio.gather(*(pool.image(task, 0, "a") for _ in range(5)))
        assert len(set(paths)) == 1
        assert pool.request_images(task, "a")
        content = paths[0].read_bytes()
        assert content == draw(task, 0)
        assert paths[0].stat().st_mode & 0o777 == 0o600
        assert paths[0].parent.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in paths[0].parent.iterdir()] == [paths[0].name]
        paths[0].unlink()
        assert (await pool.image(task, 0, "a")).read_bytes() == content

    with_pool(tasks, tmp_path, worker, work)


def test_clients_are_served_in_turn(tasks: TaskStore, tmp_path: Path, worker: Worker) -> None:
    """A client with one image does not wait for the six of another; each queue is in order."""
    many, one = [add_task(tasks, num_images=3) for _ in range(2)], add_task(tasks)

    async def work(pool: WorkerPool) -> list[tuple[str, int]]:
        finished: list[tuple[str, int]] = []

        async def request(task: DemoTask, number: int, client: str) -> None:
            await pool.image(task, number, client)
            finished.append((client, number))

        requests = [request(task, number, "flood") for task in many for number in range(3)]
        await asyncio.gather(*requests, request(one, 0, "student"))
        return finished

    finished = with_pool(tasks, tmp_path, worker, work)
    assert finished.index(("student", 0)) <= 2
    assert [number for client, number in finished if client == "flood"] == [0, 1, 2] * 2


def test_oldest_images_are_evicted_and_drawn_again(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """The cache size is limited; the same task draws the same image again."""
    task = add_task(tasks, num_images=3)
    size = len(draw(task, 0))

    async def work(pool: WorkerPool) -> None:
        first = (await pool.image(task, 0, "a")).read_bytes()
        for number in range(3):
            await pool.image(task, number, "a")
            drawn = sum(path.stat().st_size for path in (tmp_path / "drawn").iterdir())
            assert drawn <= 2 * size
        assert not (tmp_path / "drawn" / f"{task.task_id}.0.png").exists()
        assert (await pool.image(task, 0, "a")).read_bytes() == first

    with_pool(tasks, tmp_path, worker, work, image_bytes=2 * size)


def test_images_of_an_earlier_server_count_towards_the_limit(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """Partial files that it left are deleted."""
    first, second = add_task(tasks), add_task(tasks)

    async def draw_first(pool: WorkerPool) -> None:
        await pool.image(first, 0, "a")
        (tmp_path / "drawn" / ".hub-1.0.png.7.part").touch()

    async def draw_second(pool: WorkerPool) -> None:
        await pool.image(second, 0, "a")

    with_pool(tasks, tmp_path, worker, draw_first)
    with_pool(tasks, tmp_path, worker, draw_second, image_bytes=1)
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == [f"{second.task_id}.0.png"]


def test_drawing_is_attempted_twice_and_then_fails(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """503 at first, then 500; other images are still drawn."""
    bad = tasks.add("nano-banana-edit", {"prompt": "x"}, Inputs((b"no image",), None, (64, 64)))
    good = add_task(tasks)

    async def work(pool: WorkerPool) -> list[int]:
        statuses = []
        for _ in range(3):
            with pytest.raises(RequestRejected) as caught:
                await pool.image(bad, 0, "a")
            statuses.append(caught.value.status)
        assert pool.waiting == 0
        await pool.image(good, 0, "a")
        return statuses

    assert with_pool(tasks, tmp_path, worker, work) == [503, 503, 500]


def test_input_images_are_read_in_a_worker(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """Also images of this Hub; error messages are the same as in-process."""
    task = add_task(tasks)
    uri = f"data:image/png;base64,{base64.b64encode(image()).decode()}"
    own = f"http://localhost:8787/pictures/{task.task_id}/0"

    async def work(pool: WorkerPool) -> None:
        inputs = await pool.read_inputs({"image_urls": [uri, own]}, "m")
        assert inputs.images[0] == image()
        assert inputs.images[1]
        with pytest.raises(BadInput, match=r"image_urls\[0\]: the base64 data is invalid"):
            await pool.read_inputs({"image_urls": ["data:image/png;base64,a*"]}, "m")

    with_pool(tasks, tmp_path, worker, work)


def test_too_many_submissions_with_images_get_429(tasks: TaskStore, tmp_path: Path) -> None:
    """At once if the queue is full, and after a time-out if they are not started."""
    release = threading.Event()

    class Blocked(Worker):
        def call(self, function: Any, *arguments: Any, timeout_s: float) -> Any:
            release.wait(HANG_S)
            return Inputs()

    async def work(pool: WorkerPool) -> list[Any]:
        reads = [pool.read_inputs({}, "m") for _ in range(MAX_WAITING_INPUTS + 3)]
        waiting = [asyncio.ensure_future(read) for read in reads]
        await asyncio.wait(waiting[1:])
        release.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    results = with_pool(tasks, tmp_path, Blocked(), work, turn_s=0.05)
    assert results[0] == Inputs()
    assert {(rejection.status, rejection.retry_after_s) for rejection in results[1:]} == {(429, 3)}


def test_open_tasks_are_limited_in_total_and_per_client() -> None:
    """Tasks being created count too; finished ones do not."""
    open_tasks = OpenTasks(Limits(open_tasks=3, client_tasks=2))

    def open_task(client: str, *, ends_at: float = 10.0) -> None:
        with open_tasks.reserve(client) as accepted:
            accepted.append((f"hub-{client}{time.perf_counter_ns()}", ends_at))

    open_task("a")
    with open_tasks.reserve("a"), pytest.raises(RequestRejected) as caught:
        open_task("a")
    assert (caught.value.status, caught.value.retry_after_s) == (429, 5)
    open_task("a")
    open_task("b")
    with pytest.raises(RequestRejected):
        open_task("c")
    open_tasks.remove_finished(9.0, lambda task_id: False)
    with pytest.raises(RequestRejected):
        open_task("c")
    open_tasks.remove_finished(11.0, lambda task_id: task_id.startswith("hub-a"))
    open_task("c")
    with pytest.raises(RequestRejected):
        open_task("a")


def test_oldest_finished_tasks_are_deleted_at_the_limit(tmp_path: Path) -> None:
    """Failed and unfetched ones too; an unfinished task is never deleted."""
    now = time.time()
    seconds = 1000.0
    tasks = TaskStore(
        tmp_path, seconds=lambda: seconds, clock=lambda: now, max_tasks=4, max_input_bytes=100
    )
    running = tasks.add("m", {"prompt": "x"})
    seconds = 0.0
    ended = []
    for number in range(6):
        now += 1
        ended.append(tasks.add("m", {"prompt": "[fail]" if number % 2 else "x"}))
    known = [tasks.get(task.task_id) is not None for task in (running, *ended)]
    assert known == [True, False, False, False, True, True, True]
    now += 1
    edit = tasks.add("m", {"prompt": "x"}, Inputs((b"x" * 101,), None, (1, 1)))
    now += 1
    tasks.add("m", {"prompt": "x"})
    assert tasks.get(edit.task_id) is None
    assert not list(tmp_path.glob("*.input"))
    assert tasks.get(running.task_id) is not None
