"""The demo Hub's tasks: one small JSON file each, from which, with the clock, all else follows.

The input images of an edit are stored in separate files, so that counting tasks stays cheap.

Nothing runs in the background, so a task outlives the kernel that submitted it, as at a real Hub.
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

INITIAL_CREDITS = 1000
"""The initial balance of a demo account."""

CREDITS_PER_IMAGE = 4
"""The price of an image in demo credits, charged when its task completes."""

PENDING_FRACTION = 0.15
"""For which fraction of its duration a task is pending."""

_MAX_BYTES = 64 * 1024 * 1024
"""The largest file to read, in bytes."""

RETENTION_S = 7 * 24 * 3600.0
"""How long a task is stored, in seconds."""

_IMAGES = ("image_urls", "mask_url")
"""Parameters that are stored as files instead: their data URIs may be megabytes long."""

_ENDING = re.compile(r"\[(fail|timeout|cancel)\]", re.IGNORECASE)
_ENDINGS = {"fail": "failed", "timeout": "timeout", "cancel": "cancelled"}


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One task, as it was submitted.

    Attributes:
        task_id: Its id, with the prefix `hub-` that the vendor documents.
        model: The model's id.
        input: The input as it was submitted, without its images.
        seed: The seed of its first image: the request's, or a random one.
        created_at: When it was submitted, in seconds since 1970.
        duration_s: How long it runs, in seconds.
        input_count: How many input images it has.
        input_size: Width and height of the first one in pixels; empty if there is none.
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
    def final_status(self) -> str:
        """Its final status: `[fail]`, `[timeout]` or `[cancel]` in the prompt choose a failure."""
        match = _ENDING.search(str(self.input.get("prompt", "")))
        return _ENDINGS[match[1].lower()] if match else "completed"

    @property
    def image_count(self) -> int:
        """How many images it has."""
        return int(self.input.get("num_images", 1))

    def seed_of(self, number: int) -> int:
        """Return the seed of an image, from 0; hashed, so that it is not another task's seed."""
        return self.seed if number == 0 else zlib.crc32(f"{self.seed} {number}".encode())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its images, in pixels."""
        source = (self.input_size[0], self.input_size[1]) if self.input_size else None
        return image_size(self.input, source)

    def status(self, now: float) -> str:
        """Return its status.

        Args:
            now: The time in seconds since 1970.

        Example:
            >>> DemoTask("hub-1", "nano-banana", {"prompt": "a dog"}, 1, 100.0, 10.0).status(105.0)
            'processing'
        """
        age_s = now - self.created_at
        if age_s < self.duration_s * PENDING_FRACTION:
            return "pending"
        return "processing" if age_s < self.duration_s else self.final_status


class TaskStore:
    """The tasks of one demo account, stored as files in a folder that several kernels may share.

    Args:
        folder: Where the files are stored; created with the first task.
        seconds: Duration of a task in seconds, varied by up to 25 %; or a function that returns it.
        clock: Returns the current time in seconds since 1970.
        max_tasks: How many tasks to store; the oldest finished ones are deleted. None for no limit.
        max_input_bytes: Total size of the stored input images. None for no limit.

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
        self._limits = (max_tasks, max_input_bytes)
        self._seconds = seconds
        self.clock = clock
        self._folder = folder

    def add(self, model: str, given: dict[str, Any], inputs: Inputs | None = None) -> DemoTask:
        """Store a new task.

        Args:
            model: The model's id.
            given: The input of the request.
            inputs: The input images; None for a text-to-image model.
        """
        self._delete_expired()
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
        """Return the task with this id, or None."""
        if not re.fullmatch(r"hub-[0-9a-f-]{36}", task_id):
            return None
        task = _read(self._folder / f"{task_id}.json")
        if task is None or not all(path.exists() for path in self._files(task)):
            return None
        return task

    def inputs(self, task: DemoTask) -> Inputs:
        """Return the input images of a task.

        Raises:
            FileNotFoundError: If they have been deleted.
        """
        contents = [read_regular(path, _MAX_BYTES) for path in self._files(task)]
        mask = contents.pop() if task.masked else None
        size = (task.input_size[0], task.input_size[1]) if task.input_size else None
        return Inputs(tuple(contents), mask, size)

    def credits(self) -> int:
        """Return the remaining credits; only completed tasks are charged."""
        now = self.clock()
        charged = (
            t.image_count * CREDITS_PER_IMAGE for t in self._all() if t.status(now) == "completed"
        )
        return max(0, INITIAL_CREDITS - sum(charged))

    def _files(self, task: DemoTask) -> list[Path]:
        """Return the files of its input images, the mask last."""
        count = task.input_count + task.masked
        return [self._folder / f"{task.task_id}.{number}.input" for number in range(count)]

    def _all(self) -> Iterator[DemoTask]:
        """Yield all tasks; files that another kernel has just deleted are skipped."""
        for path in self._folder.glob("hub-*.json"):
            task = _read(path)
            if task is not None:
                yield task

    def _delete(self, task: DemoTask) -> None:
        """Delete its files, first the JSON file."""
        for path in (self._folder / f"{task.task_id}.json", *self._files(task)):
            path.unlink(missing_ok=True)

    def _enforce_limits(self, tasks: list[DemoTask]) -> None:
        """Delete the oldest finished tasks until the limits hold."""
        max_tasks, max_bytes = self._limits
        sizes = {path.name: path.stat().st_size for path in self._folder.glob("hub-*.input")}
        count, used = len(tasks), sum(sizes.values())
        for task in sorted(tasks, key=lambda task: task.created_at):
            too_many = max_tasks is not None and count >= max_tasks
            too_large = max_bytes is not None and used > max_bytes
            if not too_many and not (too_large and task.input_count):
                continue
            if task.status(self.clock()) in ("pending", "processing"):
                continue
            self._delete(task)
            count, used = count - 1, used - sum(sizes.get(p.name, 0) for p in self._files(task))

    def _delete_expired(self) -> None:
        """Delete tasks that are too old, and what breaks the limits: disk use must stay bounded."""
        stored = []
        for task in self._all():
            if self.clock() - task.created_at > RETENTION_S:
                self._delete(task)
            else:
                stored.append(task)
        if self._limits != (None, None):
            self._enforce_limits(stored)
        for path in (*self._folder.glob("hub-*.input"), *self._folder.glob(".hub-*.part")):
            # left behind by a kernel that was killed
            with suppress(FileNotFoundError):
                task_file = path.with_name(f"{path.name.partition('.')[0]}.json")
                if not task_file.exists() and self.clock() - path.stat().st_mtime > RETENTION_S:
                    path.unlink()


def _read(path: Path) -> DemoTask | None:
    """Read a task; None if the file is damaged or missing."""
    try:
        task = DemoTask(**json.loads(read_regular(path, _MAX_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    numbers = (task.seed, task.created_at, task.duration_s, task.input_count, *task.input_size)
    is_valid = isinstance(task.input, dict) and all(isinstance(n, int | float) for n in numbers)
    return task if is_valid and len(task.input_size) in (0, 2) else None
