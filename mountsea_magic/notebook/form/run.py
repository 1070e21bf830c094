"""The run of one generation in the form: on the loop thread, with a progress line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ...errors import Interrupted, MountseaError, describe_kind
from ...generation.events import Event, Notice
from ...generation.handle import Generation
from ...hub.status import Status
from ...runtime.loop_thread import DRAIN_TIMEOUT_S, TICK_S, Job
from ...session import current_session
from ...settings import Settings
from ..outputs import ending_line, with_message
from ..progress import FinalLine, progress_line
from ..widget_tree import close_tree
from ..widgets import MAX_UPDATES_PER_S, ProgressRow


class FormRun:
    """One generation, from Generate to its images.

    Attributes:
        generation: The handle.
        row: Its progress bar and line.
        notices: Problems that did not stop it.

    Args:
        generation: The handle of a request that was checked.
        settings: The Hub and the key.
        timeout_s: How long to wait for its task, in seconds.
        on_end: Called when it has ended, on a thread of its own.
    """

    def __init__(
        self,
        generation: Generation,
        settings: Settings,
        *,
        timeout_s: float,
        on_end: Callable[[FormRun], None],
    ) -> None:
        self.generation = generation
        self.notices: list[str] = []
        self._settings, self._timeout_s, self._on_end = settings, timeout_s, on_end
        self._line = progress_line(generation)
        self.row = ProgressRow(self._line)
        self._next_tick = 0.0
        self._job: Job[Any] | None = None

    def start(self) -> None:
        """Submit the request in the background."""
        session = current_session()
        session.wait_for_submissions_at_exit()
        work = session.generate(
            self.generation, self._settings, timeout_s=self._timeout_s, on_event=self._on_event
        )
        self._job = session.worker.prepare(work)
        updater = session.worker.prepare(self._update_line(self._job))
        self.generation.attach(self._job, updater)
        self._job.launch()
        updater.launch()

    def stop(self) -> None:
        """Stop waiting, and return when it has stopped; what was submitted can be resumed."""
        self.generation.cancel()
        if self._job is not None:
            self._job.wait(DRAIN_TIMEOUT_S)

    def dispose(self) -> None:
        """Close its widgets."""
        close_tree(self.row.box)

    def ending(self) -> FinalLine:
        """Return the line of a generation that ended without images, and what can be done."""
        generation = self.generation
        error = generation.error
        if error is None or isinstance(error, Interrupted):
            return with_message(
                ending_line(generation, "interrupted"), str(generation.interrupted())
            )
        if not isinstance(error, MountseaError):
            line = ending_line(generation, "stopped by an unexpected error")
            return with_message(line, f"{type(error).__name__}: {error}")
        self._settings.redact_key_in(error)
        line = ending_line(generation, describe_kind(error))
        return with_message(line, f"{type(error).__name__}: {error}")

    def _on_event(self, event: Event) -> None:
        """Update the progress line's state, on the loop thread."""
        if isinstance(event, Notice):
            self.notices.append(event.text)
        self._line.take(event)

    async def _update_line(self, job: Job[Any]) -> None:
        """Update the progress line until the job has ended."""
        outcome = asyncio.wrap_future(job.outcome)
        try:
            while not outcome.done():
                await asyncio.wait([outcome], timeout=TICK_S)
                await asyncio.to_thread(self._tick)
        finally:
            if outcome.done() and not outcome.cancelled():
                error = outcome.exception()  # consume it, or asyncio logs "never retrieved"
                generation = self.generation
                if generation.error is None and generation.status != Status.COMPLETED:
                    generation.error = error
            await asyncio.to_thread(self._on_end, self)

    def _tick(self) -> None:
        """Update the progress line, as often as that of a cell."""
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + self.row.tick() / MAX_UPDATES_PER_S
