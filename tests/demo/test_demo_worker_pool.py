"""The demo Hub's pool and its worker processes: turns, files that are kept, failures."""

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
    """Start one worker for the tests of this module: it imports Pillow and the painter."""
    made = Worker()
    yield made
    made.stop()


@pytest.fixture
def tasks(tmp_path: Path) -> TaskStore:
    """Keep tasks that are done at once."""
    return TaskStore(tmp_path, seconds=0)


def added(tasks: TaskStore, **more: Any) -> DemoTask:
    """Order small images."""
    return tasks.add("gpt-image-2", SMALL | more)


def with_pool(
    tasks: TaskStore,
    folder: Path,
    worker: Worker,
    work: Callable[[WorkerPool], Awaitable[Any]],
    **limits: Any,
) -> Any:
    """Run a coroutine with a pool of one worker."""

    async def inner() -> Any:
        pool = WorkerPool(tasks, folder, Limits(**limits), workers=1)
        pool._all = pool._free = [worker]
        return await work(pool)

    return asyncio.run(inner())


def test_a_helper_calls_functions_and_passes_on_what_they_raise(worker: Worker) -> None:
    """In another process, one after the other."""
    assert (
        worker.call(os.getpid, timeout_s=60) == worker.call(os.getpid, timeout_s=60) != os.getpid()
    )
    with pytest.raises(ValueError, match="invalid literal"):
        worker.call(int, "x", timeout_s=60)


def test_a_helper_that_dies_or_takes_too_long_is_replaced() -> None:
    """The call fails, and the next one has a new process."""
    made = Worker()
    with pytest.raises(WorkerFailed, match="_exit timed out or crashed"):
        made.call(os._exit, 1, timeout_s=60)
    with pytest.raises(WorkerFailed, match="sleep timed out or crashed"):
        made.call(time.sleep, 60, timeout_s=0.1)
    assert made.call(abs, -3, timeout_s=60) == 3
    made.stop()
    with pytest.raises(WorkerFailed):
        made.call(abs, -3, timeout_s=60)


def test_an_image_is_drawn_once_and_kept_as_a_private_file(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """However many ask for it at once; it is what the painter draws in-process."""
    task = added(tasks)

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


def test_clients_take_turns(tasks: TaskStore, tmp_path: Path, worker: Worker) -> None:
    """Who asks for one image does not wait until another has got six; each in its order."""
    many, one = [added(tasks, num_images=3) for _ in range(2)], added(tasks)

    async def work(pool: WorkerPool) -> list[tuple[str, int]]:
        order: list[tuple[str, int]] = []

        async def ask(task: DemoTask, number: int, client: str) -> None:
            await pool.image(task, number, client)
            order.append((client, number))

        asked = [ask(task, number, "flood") for task in many for number in range(3)]
        await asyncio.gather(*asked, ask(one, 0, "student"))
        return order

    order = with_pool(tasks, tmp_path, worker, work)
    assert order.index(("student", 0)) <= 2
    assert [number for client, number in order if client == "flood"] == [0, 1, 2] * 2


def test_the_oldest_images_make_room_and_are_drawn_anew(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """Files are bounded in bytes; none is lost, since the same task draws the same image."""
    task = added(tasks, num_images=3)
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


def test_images_of_an_earlier_server_count(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """What it left half is removed."""
    first, second = added(tasks), added(tasks)

    async def draw_first(pool: WorkerPool) -> None:
        await pool.image(first, 0, "a")
        (tmp_path / "drawn" / ".hub-1.0.png.7.part").touch()

    async def draw_second(pool: WorkerPool) -> None:
        await pool.image(second, 0, "a")

    with_pool(tasks, tmp_path, worker, draw_first)
    with_pool(tasks, tmp_path, worker, draw_second, image_bytes=1)
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == [f"{second.task_id}.0.png"]


def test_what_can_t_be_drawn_is_tried_twice_and_then_fails(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """503 to come back, and at last 500; other images are drawn as ever."""
    bad = tasks.add("nano-banana-edit", {"prompt": "x"}, Inputs((b"no image",), None, (64, 64)))
    good = added(tasks)

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


def test_input_images_are_read_in_a_helper(
    tasks: TaskStore, tmp_path: Path, worker: Worker
) -> None:
    """Also an image of this Hub; what is refused in-process is refused here with the same words."""
    task = added(tasks)
    uri = f"data:image/png;base64,{base64.b64encode(image()).decode()}"
    own = f"http://localhost:8787/pictures/{task.task_id}/0"

    async def work(pool: WorkerPool) -> None:
        inputs = await pool.read_inputs({"image_urls": [uri, own]}, "m")
        assert inputs.images[0] == image()
        assert inputs.images[1]
        with pytest.raises(BadInput, match=r"image_urls\[0\]: its base64 is damaged"):
            await pool.read_inputs({"image_urls": ["data:image/png;base64,a*"]}, "m")

    with_pool(tasks, tmp_path, worker, work)


def test_too_many_submissions_with_images_are_told_to_come_back(
    tasks: TaskStore, tmp_path: Path
) -> None:
    """429 at once for those beyond the line, and after a while for those who get no turn."""
    release = threading.Event()

    class Held(Worker):
        def call(self, function: Any, *arguments: Any, timeout_s: float) -> Any:
            release.wait(30)
            return Inputs()

    async def work(pool: WorkerPool) -> list[Any]:
        asked = [pool.read_inputs({}, "m") for _ in range(MAX_WAITING_INPUTS + 3)]
        waiting = [asyncio.ensure_future(asking) for asking in asked]
        await asyncio.wait(waiting[1:])
        release.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    results = with_pool(tasks, tmp_path, Held(), work, turn_s=0.05)
    assert results[0] == Inputs()
    assert {(rejection.status, rejection.retry_after_s) for rejection in results[1:]} == {(429, 3)}


def test_open_tasks_are_counted_for_all_and_for_each_client() -> None:
    """Also while they are made; those that have ended count no more."""
    open_tasks = OpenTasks(Limits(open_tasks=3, client_tasks=2))

    def enter(client: str, *, ends_at: float = 10.0) -> None:
        with open_tasks.reserve(client) as accepted:
            accepted.append((f"hub-{client}{time.perf_counter_ns()}", ends_at))

    enter("a")
    with open_tasks.reserve("a"), pytest.raises(RequestRejected) as caught:
        enter("a")
    assert (caught.value.status, caught.value.retry_after_s) == (429, 5)
    enter("a")
    enter("b")
    with pytest.raises(RequestRejected):
        enter("c")
    open_tasks.remove_finished(9.0, lambda task_id: False)
    with pytest.raises(RequestRejected):
        enter("c")
    open_tasks.remove_finished(11.0, lambda task_id: task_id.startswith("hub-a"))
    enter("c")
    with pytest.raises(RequestRejected):
        enter("a")


def test_the_oldest_tasks_that_have_ended_make_room(tmp_path: Path) -> None:
    """Failed and unfetched ones, too; a task that has not ended is never forgotten."""
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
