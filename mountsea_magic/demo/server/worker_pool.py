"""The workshop of the demo Hub over HTTP: helper processes draw, and clients get their turns."""

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

from .helper import Helper, HelperFailed
from .inputs import Inputs
from .limits import Limits
from .render import draw_file, format_of, read_inputs
from .submissions import Refusal
from .tasks import DemoTask, TaskStore

SOON_S = 8.0
"""A task whose images will surely be drawn in so many seconds counts as completed: a download
waits for them."""

MAX_WAITING_INPUTS = 24
"""How many submissions wait at once for their input images to be read."""

MAX_WAITING_IMAGES = 2000
"""How many images wait at once to be drawn."""

_DRAW_S, _INPUTS_S = 60.0, 20.0
"""How long a drawing, and the reading of a submission's input images, may take, in seconds."""

_TRIES = 2

_Image = tuple[str, int]
"""The id of a task, and which of its images is meant."""


@dataclass(slots=True, eq=False)
class _Job:
    """A call of a helper; `image` says for which image, if for one."""

    call: Callable[[Helper], Any]
    result: asyncio.Future[Any]
    image: _Image | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)


class Workshop:
    """Draws images in as many helper processes as there are processors, and keeps their files.

    Each client, known by its IP address, has a line of its own, and the lines take turns.

    Example:
        >>> workshop = Workshop(TaskStore(Path("demo")), Path("demo"))
        >>> workshop.waiting
        0
    """

    def __init__(
        self,
        tasks: TaskStore,
        folder: Path,
        limits: Limits | None = None,
        *,
        helpers: int | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            tasks: The tasks.
            folder: Where they are kept; the images go to its folder ``drawn``.
            limits: How much is kept.
            helpers: How many processes draw; as many as there are processors, at most 4.
        """
        self._tasks, self._folder = tasks, folder
        self._limits = limits or Limits()
        self.helpers = helpers or min(4, _processors())
        self._all = [Helper() for _ in range(self.helpers)]
        self._free = list(self._all)
        self._inputs: deque[_Job] = deque()
        self._turns: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._drawing: dict[_Image, _Job] = {}
        self._failures: OrderedDict[_Image, int] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._mean_s = 0.7
        self._files = self._found()

    @property
    def waiting(self) -> int:
        """How many images are not drawn yet."""
        return len(self._drawing)

    def is_drawing(self, task_id: str) -> bool:
        """Say whether an image of a task waits to be drawn."""
        return any(image[0] == task_id for image in self._drawing)

    def want(self, task: DemoTask, client: str) -> bool:
        """Have the images of a task drawn, and say whether they are there, or will be soon.

        Args:
            task: The task.
            client: Whose turn it takes.

        Raises:
            Refusal: If an image can't be drawn, 500, or too many wait, 503.
        """
        missing = [self._want(task, number, client) for number in range(task.image_count)]
        soon = len(self._drawing) * self._mean_s / self.helpers <= SOON_S
        return soon or not any(missing)

    async def image(self, task: DemoTask, number: int, client: str) -> Path:
        """Return the file of an image, once it is drawn.

        Args:
            task: The task.
            number: Which of its images, from 0.
            client: Whose turn it takes.

        Raises:
            Refusal: If it can't be drawn, 500, or not in time, 503; asking again is free.
        """
        job = self._want(task, number, client)
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
        """Read the input images of a submission, before any drawing, in the order of submissions.

        Args:
            given: The request's input.
            model: The model's id.

        Raises:
            Refusal: If too many wait, 429.
            BadInput: If an image is refused.
            HelperFailed: If they take too long or too much memory.
        """
        if len(self._inputs) >= MAX_WAITING_INPUTS:
            raise _busy(429)
        now, folder = self._tasks.clock(), self._folder
        job = _Job(
            lambda helper: helper.call(
                read_inputs, folder, dict(given), model, now, timeout_s=_INPUTS_S
            ),
            _future(),
        )
        self._inputs.append(job)
        self._start()
        try:
            async with asyncio.timeout(self._limits.turn_s):
                await job.begun.wait()
        except TimeoutError:
            self._inputs.remove(job)
            raise _busy(429) from None
        return await job.result  # type: ignore[no-any-return]  # of whichever call it was

    def warm_up(self) -> None:
        """Start the helper that is asked first, in a thread: its imports take a while."""
        Thread(target=_warm_up, args=(self._free[-1],), daemon=True).start()

    def close(self) -> None:
        """End the helper processes."""
        for helper in self._all:
            helper.stop()

    def _want(self, task: DemoTask, number: int, client: str) -> _Job | None:
        """The job that draws an image; None if its file is there."""
        image = (task.task_id, number)
        if image in self._files:
            if self._path(task, number).exists():
                self._files.move_to_end(image)
                return None
            del self._files[image]
        if image in self._drawing:
            return self._drawing[image]
        if self._failures.get(image, 0) >= _TRIES:
            raise Refusal(500, "The demo Hub could not draw this image.")
        if len(self._drawing) >= MAX_WAITING_IMAGES:
            raise _busy(503)
        folder, path = self._folder, self._path(task, number)
        job = _Job(
            lambda helper: helper.call(draw_file, folder, task, number, path, timeout_s=_DRAW_S),
            _future(),
            image,
        )
        self._drawing[image] = job
        self._turns.setdefault(client, deque()).append(job)
        self._start()
        return job

    def _start(self) -> None:
        """Give each free helper a job: input images first, whose submissions are open requests."""
        while self._free and (self._inputs or self._turns):
            if self._inputs:
                job = self._inputs.popleft()
            else:
                client, jobs = self._turns.popitem(last=False)
                job = jobs.popleft()
                if jobs:
                    self._turns[client] = jobs
            job.begun.set()
            running = asyncio.get_running_loop().create_task(self._run(self._free.pop(), job))
            self._running.add(running)
            running.add_done_callback(self._running.discard)

    async def _run(self, helper: Helper, job: _Job) -> None:
        """What a job raises is for whoever waits for it; the helpers go on."""
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        try:
            result = await asyncio.to_thread(job.call, helper)
        except Exception as error:  # the border to another process
            if job.image is not None:
                self._failures[job.image] = self._failures.get(job.image, 0) + 1
                while len(self._failures) > MAX_WAITING_IMAGES:
                    self._failures.popitem(last=False)
            job.result.set_exception(error if job.image is None else _busy(503))
        else:
            if job.image is not None:
                self._mean_s += (clock() - begun_s - self._mean_s) / 8
                self._files[job.image] = result
                self._make_room()
            job.result.set_result(result)
        finally:
            if job.image is not None:
                self._drawing.pop(job.image, None)
            self._free.append(helper)
            self._start()

    def _make_room(self) -> None:
        """The images that were asked for longest ago are drawn anew if they are asked for again."""
        over = sum(self._files.values()) - self._limits.image_bytes
        while over > 0 and len(self._files) > 1:
            (task_id, number), size = self._files.popitem(last=False)
            over -= size
            for path in (self._folder / "drawn").glob(f"{task_id}.{number}.*"):
                path.unlink(missing_ok=True)

    def _path(self, task: DemoTask, number: int) -> Path:
        return self._folder / "drawn" / f"{task.task_id}.{number}.{format_of(task)}"

    def _found(self) -> OrderedDict[_Image, int]:
        """What an earlier server has drawn, the oldest first; what it left half is removed."""
        found = []
        for path in (self._folder / "drawn").glob("*"):
            task_id, _, rest = path.name.partition(".")
            number = rest.partition(".")[0]
            if path.suffix == ".part" or not number.isdecimal():
                path.unlink(missing_ok=True)
                continue
            status = path.stat()
            found.append((status.st_mtime, (task_id, int(number)), status.st_size))
        return OrderedDict((image, size) for _, image, size in sorted(found))


def _busy(status: int) -> Refusal:
    """Nothing was accepted, or nothing can be lost: the client comes back."""
    return Refusal(status, "The demo Hub is busy: come back in a moment.", retry_after_s=3)


def _future() -> asyncio.Future[Any]:
    """A future whose exception nobody may be waiting for any more."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _warm_up(helper: Helper) -> None:
    """Any function of this module brings its imports; the first drawing reports what fails."""
    with suppress(HelperFailed):
        helper.call(_processors, timeout_s=_DRAW_S)


def _processors() -> int:
    """Those that this process may use, where the system tells."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1
