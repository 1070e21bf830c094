"""The demo Hub's tasks: one small file each; all else is a function of that file and the clock.

The input images of an edit are files of their own beside it, so that counting tasks stays cheap.

Nothing runs in the background, so a task outlives the kernel that ordered it, as at a real Hub.
"""

from __future__ import annotations

import json
import re
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...runtime.private_files import new_file, private_folder, read_regular, write_private
from ...runtime.rng import RNG
from .inputs import Inputs
from .sizes import image_size

FIRST_CREDITS = 1000
"""What a demo account starts with."""

PRICE = 4
"""What an image costs, in demo credits, once its task is completed."""

PENDING_PART = 0.15
"""The part of a task's duration during which it is pending."""

_MAX_BYTES = 64 * 1024 * 1024
"""The largest file that is read, in bytes."""

KEPT_S = 7 * 24 * 3600.0
"""How long a task is remembered, in seconds."""

_IMAGES = ("image_urls", "mask_url")
"""The parameters whose images are kept as files: what they say may be megabytes long."""

_ENDING = re.compile(r"\[(fail|timeout|cancel)\]", re.IGNORECASE)
_ENDINGS = {"fail": "failed", "timeout": "timeout", "cancel": "cancelled"}


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One task, as it was ordered.

    Attributes:
        task_id: Its id, with the prefix that the vendor's page shows.
        model: The model's id.
        input: The input, as it was sent, but for its images.
        seed: The seed of its first image: the request's, or one drawn by lot.
        created_at: When it was ordered, in seconds since 1970.
        duration_s: How long it takes, in seconds.
        input_count: How many input images it has.
        input_size: Width and height of the first of them, in pixels; empty without one.
        masked: Whether it has a mask.
    """

    task_id: str
    model: str
    input: dict[str, Any]
    seed: int
    created_at: float
    duration_s: float
    input_count: int = 0
    input_size: list[int] = field(default_factory=list)
    masked: bool = False

    @property
    def ending(self) -> str:
        """How it ends: `[fail]`, `[timeout]` or `[cancel]` in the prompt asks for a bad one."""
        asked = _ENDING.search(str(self.input.get("prompt", "")))
        return _ENDINGS[asked[1].lower()] if asked else "completed"

    @property
    def image_count(self) -> int:
        """How many images it makes."""
        return int(self.input.get("num_images", 1))

    def seed_of(self, number: int) -> int:
        """Return the seed of one of its images, counted from 0: the next seed's are others."""
        return self.seed if number == 0 else zlib.crc32(f"{self.seed} {number}".encode())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images that it makes, in pixels."""
        source = (self.input_size[0], self.input_size[1]) if self.input_size else None
        return image_size(self.input, source)

    def status(self, now: float) -> str:
        """Return its status at a time, in seconds since 1970.

        Example:
            >>> DemoTask("hub-1", "nano-banana", {"prompt": "a dog"}, 1, 100.0, 10.0).status(105.0)
            'processing'
        """
        age = now - self.created_at
        if age < self.duration_s * PENDING_PART:
            return "pending"
        return "processing" if age < self.duration_s else self.ending


class TaskStore:
    """The tasks of one demo account, kept as files of a folder that many kernels may share.

    Example:
        >>> store = TaskStore(Path("/tmp/demo"))  # doctest: +SKIP
        >>> store.add("nano-banana", {"prompt": "a dog"}).status(time.time())  # doctest: +SKIP
        'pending'
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float | Callable[[], float] = 6.0,
        clock: Callable[[], float] = time.time,
        max_tasks: int | None = None,
        max_input_bytes: int | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            folder: Where the files go; made when the first task comes.
            seconds: How long a task takes, give or take a quarter, in seconds, or what tells it.
            clock: Tells the seconds since 1970.
            max_tasks: How many are kept: the oldest that have ended make room; None keeps all.
            max_input_bytes: How much the files of their input images hold together.
        """
        self._limits = (max_tasks, max_input_bytes)
        self._seconds = seconds
        self.clock = clock
        self._folder = folder

    def add(self, model: str, given: dict[str, Any], inputs: Inputs | None = None) -> DemoTask:
        """Take an order.

        Args:
            model: The model's id.
            given: The request's input.
            inputs: The images that it names; None for a model that draws from text.
        """
        self._forget_old()
        inputs = inputs or Inputs()
        seconds = self._seconds() if callable(self._seconds) else self._seconds
        seed = given.get("seed")
        task = DemoTask(
            task_id=f"hub-{uuid.uuid4()}",
            model=model,
            input={name: value for name, value in given.items() if name not in _IMAGES},
            seed=seed if isinstance(seed, int) else RNG.randrange(2**31),
            created_at=self.clock(),
            duration_s=seconds * RNG.uniform(0.75, 1.25),
            input_count=len(inputs.images),
            input_size=list(inputs.size or ()),
            masked=inputs.mask is not None,
        )
        private_folder(self._folder)
        contents = inputs.images if inputs.mask is None else (*inputs.images, inputs.mask)
        for path, content in zip(self._files(task), contents, strict=True):
            with new_file(path) as file:
                file.write(content)
        write_private(self._folder / f"{task.task_id}.json", json.dumps(asdict(task)).encode())
        return task

    def get(self, task_id: str) -> DemoTask | None:
        """Return the task of that id, or None."""
        if not re.fullmatch(r"hub-[0-9a-f-]{36}", task_id):
            return None
        task = _read(self._folder / f"{task_id}.json")
        if task is None or not all(path.exists() for path in self._files(task)):
            return None
        return task

    def inputs(self, task: DemoTask) -> Inputs:
        """Return the input images of a task.

        Raises:
            FileNotFoundError: If they were removed meanwhile.
        """
        contents = [read_regular(path, _MAX_BYTES) for path in self._files(task)]
        mask = contents.pop() if task.masked else None
        size = (task.input_size[0], task.input_size[1]) if task.input_size else None
        return Inputs(tuple(contents), mask, size)

    def credits(self) -> int:
        """Return the credits that are left: only completed tasks are charged."""
        now = self.clock()
        charged = (t.image_count * PRICE for t in self._all() if t.status(now) == "completed")
        return max(0, FIRST_CREDITS - sum(charged))

    def _files(self, task: DemoTask) -> list[Path]:
        """Where its input images are kept, the mask last."""
        count = task.input_count + task.masked
        return [self._folder / f"{task.task_id}.{number}.input" for number in range(count)]

    def _all(self) -> Iterator[DemoTask]:
        """A file that another kernel has just removed is no task any more."""
        for path in self._folder.glob("hub-*.json"):
            task = _read(path)
            if task is not None:
                yield task

    def _forget(self, task: DemoTask) -> None:
        """Remove its files, first the one by which it is known."""
        for path in (self._folder / f"{task.task_id}.json", *self._files(task)):
            path.unlink(missing_ok=True)

    def _make_room(self, kept: list[DemoTask]) -> None:
        """A task that has not ended is never forgotten."""
        max_tasks, max_bytes = self._limits
        sizes = {path.name: path.stat().st_size for path in self._folder.glob("hub-*.input")}
        count, used = len(kept), sum(sizes.values())
        for task in sorted(kept, key=lambda task: task.created_at):
            many = max_tasks is not None and count >= max_tasks
            large = max_bytes is not None and used > max_bytes
            if not many and not (large and task.input_count):
                continue
            if task.status(self.clock()) in ("pending", "processing"):
                continue
            self._forget(task)
            count, used = count - 1, used - sum(sizes.get(p.name, 0) for p in self._files(task))

    def _forget_old(self) -> None:
        """A classroom machine must not gather files for ever; images go with their task."""
        kept = []
        for task in self._all():
            if self.clock() - task.created_at > KEPT_S:
                self._forget(task)
            else:
                kept.append(task)
        if self._limits != (None, None):
            self._make_room(kept)
        for path in (*self._folder.glob("hub-*.input"), *self._folder.glob(".hub-*.part")):
            # what a kernel that was killed has left behind
            with suppress(FileNotFoundError):
                task_file = path.with_name(f"{path.name.partition('.')[0]}.json")
                if not task_file.exists() and self.clock() - path.stat().st_mtime > KEPT_S:
                    path.unlink()


def _read(path: Path) -> DemoTask | None:
    """A damaged or missing file is a task that the demo Hub does not know."""
    try:
        task = DemoTask(**json.loads(read_regular(path, _MAX_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    numbers = (task.seed, task.created_at, task.duration_s, task.input_count, *task.input_size)
    whole = isinstance(task.input, dict) and all(isinstance(n, int | float) for n in numbers)
    return task if whole and len(task.input_size) in (0, 2) else None
