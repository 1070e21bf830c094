"""Worker processes that draw images for the demo Hub over HTTP, with a fair queue per client."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from .inputs import Inputs
from .limits import Limits
from .render import draw_file, format_of, read_inputs
from .submissions import RequestRejected
from .tasks import DemoTask, TaskStore
from .worker import Worker, WorkerFailed

SOON_S = 8.0
"""A task counts as completed if its images should be drawn within this many seconds; a download
waits for them."""

MAX_WAITING_INPUTS = 24
"""How many submissions may wait for their input images to be read."""

MAX_WAITING_IMAGES = 2000
"""How many images may wait to be drawn."""

_DRAW_TIMEOUT_S, _INPUTS_TIMEOUT_S = 60.0, 20.0
"""How long drawing an image, and reading a submission's input images, may take, in seconds."""

_MAX_ATTEMPTS = 2

_Image = tuple[str, int]
"""A task id and the number of one of its images."""


@dataclass(slots=True, eq=False)
class _Job:
    """A call for a worker; `image` is the image that it draws, if it draws one."""

    call: Callable[[Worker], Any]
    result: asyncio.Future[Any]
    image: _Image | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)


class WorkerPool:
    """Draws images in worker processes, and caches their files.

    Each client (IP address) has its own queue, and the queues are served round-robin.

    Args:
        tasks: The task store.
        folder: Where tasks are stored; images are cached in its subfolder ``drawn``.
        limits: How much to store; the defaults if None.
        workers: How many processes to use; by default one for each CPU, at most 4.

    Example:
        >>> pool = WorkerPool(TaskStore(Path("demo")), Path("demo"))
        >>> pool.waiting
        0
    """

    def __init__(
        self,
        tasks: TaskStore,
        folder: Path,
        limits: Limits | None = None,
        *,
        workers: int | None = None,
    ) -> None:
        self._tasks, self._folder = tasks, folder
        self._limits = limits or Limits()
        self.workers = workers or min(4, _cpu_count())
        self._all = [Worker() for _ in range(self.workers)]
        self._free = list(self._all)
        self._inputs: deque[_Job] = deque()
        self._queues: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._drawing: dict[_Image, _Job] = {}
        self._failures: OrderedDict[_Image, int] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._mean_s = 0.7
        self._files = self._cached_files()

    @property
    def waiting(self) -> int:
        """How many images are waiting or being drawn."""
        return len(self._drawing)

    def is_drawing(self, task_id: str) -> bool:
        """Return whether an image of a task is waiting or being drawn."""
        return any(image[0] == task_id for image in self._drawing)

    def request_images(self, task: DemoTask, client: str) -> bool:
        """Queue the images of a task, and return whether they are drawn, or will be soon.

        Args:
            task: The task.
            client: The IP address whose queue to use.

        Raises:
            RequestRejected: With status 500 if an image can't be drawn, 503 if too many wait.
        """
        missing = [self._job_for(task, number, client) for number in range(task.image_count)]
        soon = len(self._drawing) * self._mean_s / self.workers <= SOON_S
        return soon or not any(missing)

    async def image(self, task: DemoTask, number: int, client: str) -> Path:
        """Wait until an image is drawn, and return its file.

        Args:
            task: The task.
            number: Which of its images, from 0.
            client: The IP address whose queue to use.

        Raises:
            RequestRejected: With status 500 if it can't be drawn, 503 if not in time.
        """
        job = self._job_for(task, number, client)
        if job is not None:
            try:
                async with asyncio.timeout(self._limits.image_s):
                    await asyncio.shield(job.result)
            except TimeoutError:
                raise _busy(503) from None
        if (task.task_id, number) not in self._files:
            raise _busy(503)
        return self._path(task, number)

    async def read_inputs(self, given: Mapping[str, Any], model: str) -> Inputs:
        """Read the input images of a submission; these jobs go before all drawing.

        Args:
            given: The input of the request.
            model: The model's id.

        Raises:
            RequestRejected: With status 429, if too many are waiting.
            BadInput: If an image is rejected.
            WorkerFailed: If that takes too long or too much memory.
        """
        if len(self._inputs) >= MAX_WAITING_INPUTS:
            raise _busy(429)
        now, folder = self._tasks.clock(), self._folder
        job = _Job(
            lambda worker: worker.call(
                read_inputs, folder, dict(given), model, now, timeout_s=_INPUTS_TIMEOUT_S
            ),
            _future(),
        )
        self._inputs.append(job)
        self._start_jobs()
        try:
            async with asyncio.timeout(self._limits.turn_s):
                await job.started.wait()
        except TimeoutError:
            self._inputs.remove(job)
            raise _busy(429) from None
        return await job.result  # type: ignore[no-any-return]  # the result type depends on the call

    def warm_up(self) -> None:
        """Start the first worker in a thread: its imports take a while."""
        Thread(target=_warm_up, args=(self._free[-1],), daemon=True).start()

    def close(self) -> None:
        """Stop the worker processes."""
        for worker in self._all:
            worker.stop()

    def _job_for(self, task: DemoTask, number: int, client: str) -> _Job | None:
        """Return the job that draws an image, or None if its file exists."""
        image = (task.task_id, number)
        if image in self._files:
            if self._path(task, number).exists():
                self._files.move_to_end(image)
                return None
            del self._files[image]
        if image in self._drawing:
            return self._drawing[image]
        if self._failures.get(image, 0) >= _MAX_ATTEMPTS:
            raise RequestRejected(500, "The demo Hub could not draw this image.")
        if len(self._drawing) >= MAX_WAITING_IMAGES:
            raise _busy(503)
        folder, path = self._folder, self._path(task, number)
        job = _Job(
            lambda worker: worker.call(
                draw_file, folder, task, number, path, timeout_s=_DRAW_TIMEOUT_S
            ),
            _future(),
            image,
        )
        self._drawing[image] = job
        self._queues.setdefault(client, deque()).append(job)
        self._start_jobs()
        return job

    def _start_jobs(self) -> None:
        """Give each free worker a job, input images first: clients are waiting for those."""
        while self._free and (self._inputs or self._queues):
            if self._inputs:
                job = self._inputs.popleft()
            else:
                client, jobs = self._queues.popitem(last=False)
                job = jobs.popleft()
                if jobs:
                    self._queues[client] = jobs
            job.started.set()
            running = asyncio.get_running_loop().create_task(self._run(self._free.pop(), job))
            self._running.add(running)
            running.add_done_callback(self._running.discard)

    async def _run(self, worker: Worker, job: _Job) -> None:
        """Run a job; its exception goes to whoever waits for the result."""
        clock = asyncio.get_running_loop().time
        started_s = clock()
        try:
            result = await asyncio.to_thread(job.call, worker)
        except Exception as error:  # process boundary
            if job.image is not None:
                self._failures[job.image] = self._failures.get(job.image, 0) + 1
                while len(self._failures) > MAX_WAITING_IMAGES:
                    self._failures.popitem(last=False)
            job.result.set_exception(error if job.image is None else _busy(503))
        else:
            if job.image is not None:
                self._mean_s += (clock() - started_s - self._mean_s) / 8
                self._files[job.image] = result
                self._evict()
            job.result.set_result(result)
        finally:
            if job.image is not None:
                self._drawing.pop(job.image, None)
            self._free.append(worker)
            self._start_jobs()

    def _evict(self) -> None:
        """Delete the least recently used images; they are drawn again on demand."""
        excess = sum(self._files.values()) - self._limits.image_bytes
        while excess > 0 and len(self._files) > 1:
            (task_id, number), size = self._files.popitem(last=False)
            excess -= size
            for path in (self._folder / "drawn").glob(f"{task_id}.{number}.*"):
                path.unlink(missing_ok=True)

    def _path(self, task: DemoTask, number: int) -> Path:
        return self._folder / "drawn" / f"{task.task_id}.{number}.{format_of(task)}"

    def _cached_files(self) -> OrderedDict[_Image, int]:
        """List what an earlier server has drawn, the oldest first, and delete partial files."""
        files = []
        for path in (self._folder / "drawn").glob("*"):
            task_id, _, rest = path.name.partition(".")
            number = rest.partition(".")[0]
            if path.suffix == ".part" or not number.isdecimal():
                path.unlink(missing_ok=True)
                continue
            status = path.stat()
            files.append((status.st_mtime, (task_id, int(number)), status.st_size))
        return OrderedDict((image, size) for _, image, size in sorted(files))


def _busy(status: int) -> RequestRejected:
    """Return a temporary error: nothing was accepted, or trying again is harmless."""
    return RequestRejected(status, "The demo Hub is busy; try again in 3 s.", retry_after_s=3)


def _future() -> asyncio.Future[Any]:
    """Create a future whose exception may never be retrieved, without a warning about it."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _warm_up(worker: Worker) -> None:
    """Call any function of this module, to import it; errors show up at the first drawing."""
    with suppress(WorkerFailed):
        worker.call(_cpu_count, timeout_s=_DRAW_TIMEOUT_S)


def _cpu_count() -> int:
    """Count the CPUs that this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1
