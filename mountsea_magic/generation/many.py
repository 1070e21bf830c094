"""Many generations: started lazily, slowed down together, and stopped where it is hopeless."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ..errors import MountseaError
from ..hub.status import Status
from ..runtime.loop_thread import Job, LoopThread
from .admission import DEFAULT_CONCURRENCY, Admission, BatchAdmission, Stopped
from .events import Event
from .handle import Generation
from .poll_limit import DEFAULT_POLLS_PER_S

AHEAD = 2
"""How many times the concurrency may be under way: while some download, others are submitted."""


class Generate(Protocol):
    """Runs one generation to its images, as `Session.generate` does."""

    async def __call__(
        self,
        generation: Generation,
        *,
        admission: Admission,
        on_event: Callable[[Event], None] | None,
    ) -> object:
        """Run the generation.

        Raises:
            MountseaError: If it failed.
            Stopped: If nothing more is submitted.
        """


class Watcher(Protocol):
    """Receives the events of a batch's generations, on the loop thread."""

    def take(self, generation: Generation, event: Event) -> None:
        """Take an event of a generation."""

    def end(self, generation: Generation) -> None:
        """Take the end of a generation, in whatever way."""


class BatchRunner:
    """Runs the generations of one batch; each of them is a job on the loop thread.

    Attributes:
        ahead: How many generations may be under way at once, those that download included.
        stopped_by: The error because of which nothing more is submitted, or None.
        pause_s: For how many seconds nothing may be submitted, as the Hub asked after a 429, or 0.
        watcher: Receives the events of the generations, or None.

    Args:
        worker: The loop thread.
        generate: Runs one generation.
        concurrency: How many tasks may run at the Hub at once.
        polls_per_s: How many polls a second all tasks may make together.
        stop_at_failure: Whether any failure stops further submissions.
        kind: What the batch consists of, for the message of those that are skipped.

    Example:
        >>> runner = BatchRunner(worker, generate, concurrency=64)  # doctest: +SKIP
        >>> worker.join([runner.prepare(generation) for generation in batch])  # doctest: +SKIP
    """

    def __init__(
        self,
        worker: LoopThread,
        generate: Generate,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        polls_per_s: float = DEFAULT_POLLS_PER_S,
        stop_at_failure: bool = False,
        kind: str = "request of this batch",
    ) -> None:
        self.ahead = AHEAD * concurrency
        self._worker, self._generate, self._kind = worker, generate, kind
        self._admission = BatchAdmission(
            concurrency, polls_per_s=polls_per_s, stop_at_failure=stop_at_failure
        )
        self._under_way = asyncio.Semaphore(self.ahead)
        self.watcher: Watcher | None = None

    @property
    def pause_s(self) -> float:
        """For how many seconds nothing may be submitted, as the Hub asked after a 429, or 0."""
        return self._admission.pause_s

    @property
    def stopped_by(self) -> MountseaError | None:
        """The error because of which nothing more is submitted, or None."""
        return self._admission.stopped_by

    def prepare(self, generation: Generation) -> Job[None]:
        """Create the job of a generation, which is not started yet, and attach it to the handle.

        Args:
            generation: The handle.
        """
        job = self._worker.prepare(self.run(generation))
        generation.attach(job)
        return job

    async def run(self, generation: Generation) -> None:
        """Run a generation on the loop thread when it is its turn.

        Args:
            generation: The handle.

        Raises:
            MountseaError: If it failed or was skipped; also stored in the handle's ``error``.
        """
        watcher = self.watcher
        on_event = partial(watcher.take, generation) if watcher is not None else None
        try:
            await self._run(generation, on_event)
        finally:
            if watcher is not None:
                watcher.end(generation)

    async def _run(self, generation: Generation, on_event: Callable[[Event], None] | None) -> None:
        async with self._under_way:
            try:
                if self.stopped_by is not None:
                    raise Stopped(self.stopped_by)
                await self._generate(generation, admission=self._admission, on_event=on_event)
            except Stopped as stop:
                raise self._skip(generation, stop.cause) from stop.cause
            except MountseaError as error:
                generation.error = error
                self._admission.failed(error)
                raise
            except Exception as error:
                generation.error = error  # a batch must show any error, also one of ours
                raise

    def _skip(self, generation: Generation, cause: MountseaError) -> MountseaError:
        """Mark a generation as skipped, and return its error."""
        error = MountseaError(f"Skipped, because an earlier {self._kind} failed: {cause}")
        generation.status, generation.error = Status.SKIPPED, error
        return error
