"""Batches for blocking code: from the requests of `generate_many` to generations that run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

from .batch_options import BatchOptions
from .errors import Interrupted, InvalidRequest, MountseaError
from .generation.batch import Batch, Retry
from .generation.batch_report import interrupted
from .generation.executors import ImageWorkers
from .generation.handle import Generation
from .generation.many import BatchRunner, Watcher
from .hub.status import Status
from .request.catalog import Model
from .request.grid import Grid
from .request.many import read_drawn, read_requests
from .request.prepare import InputImages
from .request.request import ImageRequest
from .request.sweep import Item, merge_problems
from .runtime.loop_thread import TICK_S, Job
from .session import Session
from .settings import Settings

ShowProgress = Callable[[int | None], AbstractContextManager[Callable[[], None] | None]]

STOP_TIMEOUT_S = 0.4
"""How long an interrupt waits for the generations to stop, in seconds."""

_ROOM_S = 0.02
"""How often a lazy batch looks whether another request may be drawn, in seconds."""


class BatchRun:
    """One batch: builds its requests, and runs them lazily.

    Attributes:
        batch: The live handles.
        runner: Runs them.
        progress: Shows the progress of so many generations (None if unknown) while a block runs,
            and yields the function that updates it; by default it shows nothing.

    Args:
        session: The session of this process.
        settings: The Hub and the key.
        options: How the requests are built and run.

    Example:
        >>> run = BatchRun(session, settings, BatchOptions())  # doctest: +SKIP
        >>> run.add_all(["a dog", "a cat"])  # doctest: +SKIP
    """

    def __init__(self, session: Session, settings: Settings, options: BatchOptions) -> None:
        self._session, self._settings, self._options = session, settings, options
        settings.refuse_key_in(options.name or "")  # it is journaled
        self.progress: ShowProgress = lambda total: nullcontext()
        self.runner = self._new_runner()
        self._numbers: Counter[str] = Counter()
        # not those of single items, which may be millions, or change in place
        self._images = InputImages(keep=options.parameters.values())
        self.batch = Batch(rerun=self._rerun)

    def read(self, requests: Any) -> Iterator[Item | InvalidRequest]:
        """Read the argument of `generate_many` as items, one at a time.

        Raises:
            InvalidRequest: If it is neither a table nor an iterable of requests.
        """
        if isinstance(requests, Grid):
            self.batch.axes = requests.axes
        if isinstance(requests, AsyncIterable):
            return self._read_async(aiter(requests))
        return read_requests(requests, model=self._options.model, find_model=self._find_model)

    def read_drawn(self, request: Any, number: int) -> list[Item | InvalidRequest]:
        """Read what was drawn from an async iterator: see `request.many.read_drawn`."""
        return read_drawn(request, number, model=self._options.model, find_model=self._find_model)

    def _read_async(self, requests: AsyncIterator[Any]) -> Iterator[Item | InvalidRequest]:
        """Draw from an async iterator for blocking code, on the loop thread."""
        end, number = object(), 1

        async def draw() -> Any:
            return await anext(requests, end)

        while (request := self._session.worker.run(draw())) is not end:
            items = self.read_drawn(request, number)
            number += len(items)
            yield from items

    def _find_model(self, model: str) -> Model:
        return self._session.catalog_for(self._settings, model, {}).model(model)

    def generation(self, item: Item | InvalidRequest) -> Generation:
        """Return the handle of an item; a wrong one has failed already.

        Args:
            item: The item, or why it is wrong.
        """
        try:
            if isinstance(item, InvalidRequest):
                raise item
            request = self.build(item)
        except MountseaError as error:
            variables = {} if isinstance(item, InvalidRequest) else item.variables
            generation = Generation(None, is_demo=self._settings.is_demo, variables=variables)
            generation.fail(error, resumed=False)
            return generation
        return self._handle(item, request)

    def build(self, item: Item) -> ImageRequest:
        """Validate an item, and build its request.

        Raises:
            InvalidRequest: If it is not valid; nothing was sent.
        """
        options = self._options
        return self._session.build(
            self._settings,
            item,
            model=options.model,
            parameters=options.parameters,
            images=self._images,
        )

    def add_all(self, items: Iterable[Item | InvalidRequest]) -> None:
        """Validate all items, and add their handles to the batch.

        Raises:
            InvalidRequest: With all problems; nothing is added.
        """
        for item, request in self.build_all(items):
            self.batch.add(self._handle(item, request))

    def build_all(self, items: Iterable[Item | InvalidRequest]) -> list[tuple[Item, ImageRequest]]:
        """Build the requests of all items; raises all their problems as one error."""
        built, wrong, number = (
            list[tuple[Item, ImageRequest]](),
            list[tuple[str, InvalidRequest]](),
            0,
        )
        for number, item in enumerate(items, start=1):
            try:
                if isinstance(item, InvalidRequest):
                    raise item
                built.append((item, self.build(item)))
            except InvalidRequest as error:
                wrong.append((f"Request {number}", error))
        if wrong:
            raise merge_problems(wrong, number)
        return built

    def watch(self, watcher: Watcher) -> Callable[[], float]:
        """Tell a watcher what the generations do, from now on.

        Args:
            watcher: The watcher.

        Returns:
            A function that returns for how many seconds nothing may be submitted.
        """
        runner = self.runner
        runner.watcher = watcher
        return lambda: runner.pause_s

    def check_budget(self, generations: Sequence[Generation]) -> None:
        """Refuse requests that would exceed the budget.

        Raises:
            BudgetExceeded: If their images are too many.
        """
        options = self._options
        self._session.budget.check_all(
            self._settings, generations, fresh=options.fresh, cache=options.cache
        )

    def check_all(self, requests: Any) -> None:
        """Validate a sequence whole, and refuse it if it would exceed the budget.

        Raises:
            InvalidRequest: With all problems.
            BudgetExceeded: If its images are too many.
        """
        built = self.build_all(self.read(requests))
        self.check_budget([self._handle(item, request) for item, request in built])
        self._numbers.clear()  # the handles that run are made one after the other

    def start(self, generation: Generation) -> None:
        """Start a generation on the loop thread, unless it has failed already."""
        if generation.error is None:
            self.runner.prepare(generation).launch()

    def run(self, tick: Callable[[], None] | None = None) -> None:
        """Run all generations of the batch, and wait until they have ended.

        Args:
            tick: Called on the calling thread about every `TICK_S` seconds.

        Raises:
            Interrupted: If the wait was interrupted; nothing more is submitted.
        """
        try:
            self.start_all(self.batch)
        except KeyboardInterrupt:
            raise self.stop() from None
        self.wait(tick)

    def start_all(self, generations: Iterable[Generation]) -> None:
        """Start generations; they wait for their turns."""
        jobs = [self.runner.prepare(each) for each in generations if each.error is None]
        for job in jobs:
            job.launch()

    def feed(
        self, items: Iterable[Item | InvalidRequest], tick: Callable[[], None] | None = None
    ) -> None:
        """Draw items while there is room, run each, and wait until all have ended.

        Args:
            items: The items; at most twice the concurrency are drawn ahead.
            tick: Called on the calling thread now and then.

        Raises:
            Interrupted: If the wait was interrupted; nothing more is drawn or submitted.
            Exception: What the iterator raises, after what was submitted has ended.
        """
        self.batch.feeding = True
        under_way = list[Generation]()
        try:
            for item in items:
                generation = self.generation(item)
                self.batch.add(generation)
                if self.batch.cancelled:  # while the iterator made the item
                    break
                self.start(generation)
                if self.batch.cancelled:  # maybe before it had a job to cancel
                    generation.cancel()
                under_way.append(generation)
                while len(under_way) >= self.runner.ahead:
                    under_way = [each for each in under_way if not each.done()]
                    self._pause(tick)
                if self.batch.cancelled or self.runner.stopped_by is not None:
                    break
        except KeyboardInterrupt:
            raise self.stop() from None
        finally:
            self.batch.feeding = False
            self.wait(tick)

    def wait(self, tick: Callable[[], None] | None = None) -> None:
        """Wait until all generations have ended.

        Raises:
            Interrupted: If the wait was interrupted; nothing more is submitted.
        """
        try:
            for generation in self.batch:
                while not generation.wait_until_ended(TICK_S):
                    if tick is not None:
                        tick()
        except KeyboardInterrupt:
            raise self.stop() from None
        finally:
            if not self._options.stop_at_failure:
                self.batch.stopped_by = self.runner.stopped_by

    def start_in_background(self, items: Iterable[Item | InvalidRequest]) -> None:
        """Start the batch, and draw further items on a thread; `Batch.cancel` ends it.

        Args:
            items: The items that are not in the batch yet.
        """
        self._session.wait_for_submissions_at_exit()
        self.batch.feeding = True

        def feed() -> None:
            with suppress(Interrupted):
                self.feed(items)

        try:
            self.start_all(self.batch)
            threading.Thread(target=feed, name="mountsea-feed", daemon=True).start()
        except KeyboardInterrupt:
            self.batch.feeding = False
            raise self.stop() from None

    def _pause(self, tick: Callable[[], None] | None) -> None:
        """Sleep a moment: an interrupt could break a lock or condition (python/cpython#74174)."""
        if tick is not None:
            tick()
        time.sleep(_ROOM_S)

    def stop(self) -> Interrupted:
        """Stop all generations, and return the error that says what goes on."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for _ in range(2):  # once more if a second interrupt has left some running
            with suppress(KeyboardInterrupt):
                self.batch.cancel()
                for generation in self.batch:
                    generation.wait_until_ended(max(0.0, deadline - time.monotonic()))
                break
        for generation in self.batch:
            if generation.error is None and generation.status != Status.COMPLETED:
                generation.interrupted()
        return interrupted(self.batch)

    def _handle(self, item: Item, request: ImageRequest) -> Generation:
        """Return the handle of a valid request, with its idempotency key in a durable batch."""
        key = None
        if self._options.name is not None:
            fingerprint = request.fingerprint()
            self._numbers[fingerprint] += 1
            # equal requests differ in their number only, so that rows may be reordered
            key = f"{self._options.name}/{fingerprint[:32]}/{self._numbers[fingerprint]}"
        return Generation(
            request,
            is_demo=self._settings.is_demo,
            variables=item.variables,
            idempotency_key=key,
        )

    def _new_runner(self) -> BatchRunner:
        options = self._options
        # new ones for each run: once an executor has broken, they do not use it any more
        workers = ImageWorkers(options.executor, options.postprocess, options.transfer)
        generate = partial(
            self._session.generate,
            settings=self._settings,
            timeout_s=options.timeout_s,
            fresh=options.fresh,
            cache=options.cache,
            workers=workers,
        )
        return BatchRunner(
            self._session.worker,
            generate,
            concurrency=options.concurrency,
            polls_per_s=options.polls_per_s,
            stop_at_failure=options.stop_at_failure,
        )

    def _rerun(self, retry: Retry) -> MountseaError | None:
        """Run handles again with a new runner; return the error that stopped it, if any."""
        try:
            # first know what became of submissions whose wait was interrupted: they may be paid
            self._session.worker.run(self._session.drain())
            self.check_budget(retry.submissions())
            self.runner = self._new_runner()
            jobs = self._session.worker.run(self._take(retry))
            with self.progress(len(jobs)) as tick:
                for job in jobs:
                    job.launch()
                self.wait(tick)
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise self.stop() from None
        return self.runner.stopped_by

    async def _take(self, retry: Retry) -> list[Job[None]]:
        """Prepare handles to run again, on the loop thread: of two callers only one gets each."""
        return [self.runner.prepare(each) for each in retry.take()]
