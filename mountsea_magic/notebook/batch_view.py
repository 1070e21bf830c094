"""The batch of one cell: runs its generations concurrently and shows their results."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    describe_kind,
    merge_errors,
)
from ..generation.events import Event, Notice
from ..generation.handle import Generation
from ..hub.status import Status
from ..runtime.loop_thread import TICK_S, Job
from ..runtime.printing import echo
from ..runtime.text import os_error_reason, sanitize
from ..session import current_session
from ..settings import Settings
from .frontend import FrontEnd
from .options import CellOptions
from .outputs import ImageOutputs, ending_line, final_line, with_message
from .progress import NO_FINAL_LINE, FinalLine, ProgressLine, ProgressView

if TYPE_CHECKING:
    from IPython.core.events import EventManager

CONCURRENCY = 4
"""How many generations of one cell run at the same time."""

_STOPS_SUBMISSIONS = (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    RateLimited,
    SubmissionUncertain,
)
"""After such an error the cell submits nothing more: the other prompts would fail as well."""


@dataclass(slots=True)
class _Gate:
    """The concurrency limit that the generations of one cell share."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENCY))
    stopped_by: MountseaError | None = None


class Batch:
    """The generations of one cell, and their display.

    Outputs for the images are reserved at once, before anything is submitted.

    Args:
        generations: The handles.
        settings: The settings, which select the Hub.
        options: How they are run and shown.
        view: The progress lines, one for each generation.
        front: The front end that shows them.

    Example:
        >>> Batch([], settings, options, view, front_end(None))  # doctest: +SKIP
    """

    def __init__(
        self,
        generations: Sequence[Generation],
        settings: Settings,
        options: CellOptions,
        view: ProgressView,
        front: FrontEnd,
    ) -> None:
        self._generations, self._settings = generations, settings
        self._options, self._view = options, view
        self._gate = _Gate()
        self._notices: list[str] = []
        self._shown_count = 0
        self._updates = front.notebook and front.updates
        self._output = front.output if options.background else None
        self._reserves = self._updates and options.background and not front.late_outputs
        shows = (front.notebook or front.draws_png) and not options.quiet
        captioned = front.notebook and len(generations) > 1
        self._image_outputs = [
            ImageOutputs(
                generation, reserve=self._reserves, captioned=captioned, png=front.draws_png
            )
            for generation in (generations if shows else ())
        ]

    async def run_one(self, index: int) -> None:
        """Run one generation on the loop thread, when a slot is free.

        Args:
            index: The generation's index, from 0.

        Raises:
            MountseaError: If it fails; also set as the handle's `error`.
        """
        generation, line = self._generations[index], self._view.lines[index]
        ending = ending_line(generation, "stopped by an unexpected error")
        try:
            async with self._gate.slots:
                await self._generate(generation, line)
            ending = final_line(generation)
        except MountseaError as error:
            generation.error = error
            if isinstance(error, _STOPS_SUBMISSIONS):
                self._gate.stopped_by = self._gate.stopped_by or error
            ending = ending_line(generation, describe_kind(error))
            message = f"{type(error).__name__}: {error}"
            if self._options.background and self._options.quiet:
                self._notices.append(message)  # --quiet hides only success
            elif self._options.background:
                ending = with_message(ending, message)
            raise
        except asyncio.CancelledError:
            ending = _interrupted(generation)
            raise
        except Exception as error:
            generation.error = error  # the cell must fail with any error
            raise
        finally:
            line.final = ending

    async def watch_background(self, jobs: Sequence[Job[None]], events: EventManager) -> None:
        """Update the outputs of a background run until all jobs have ended.

        Args:
            jobs: The generations' jobs.
            events: The shell's events: outputs are sent again after the next cell.
        """

        def republish(_: object) -> None:
            events.unregister("post_run_cell", republish)
            self._view.republish()
            for outputs in self._image_outputs:
                outputs.republish()

        outcomes = [asyncio.wrap_future(job.outcome) for job in jobs]
        waiting = True
        try:
            while waiting:
                waiting = bool((await asyncio.wait(outcomes, timeout=TICK_S))[1])
                await asyncio.to_thread(self.tick)
        finally:
            await asyncio.to_thread(self.end)
        if self._reserves:
            events.register("post_run_cell", republish)
        for outcome in outcomes:
            if not outcome.cancelled():
                outcome.exception()  # consume it, or asyncio logs "never retrieved"

    def tick(self) -> None:
        """Show the results that are new, and update the progress lines."""
        self._show_ended()
        self._display(self._view.tick)

    def end(self) -> BaseException | None:
        """Show the final lines and all images; return the error, if any."""
        for generation, line in zip(self._generations, self._view.lines, strict=True):
            if line.final is None:
                line.final = _interrupted(generation)
        try:
            self._show_ended()
            self._show_notices()
        finally:
            self._display(self._view.close)
        return merge_errors([generation.error for generation in self._generations])

    def _show_notices(self) -> None:
        """Show notices in the cell's own outputs: printing from a thread can reach another cell."""
        if not self._notices:
            return
        message = f"mountsea: {'; '.join(dict.fromkeys(self._notices))}"
        if self._options.background and self._updates and not self._options.quiet:
            last = self._view.lines[-1]
            last.final = with_message(last.final or NO_FINAL_LINE, message)
        else:
            with self._output_context():
                echo(message, stream=sys.stderr)

    async def _generate(self, generation: Generation, line: ProgressLine) -> None:
        """Generate one result, unless an earlier error stops all submissions of the cell."""
        cause = self._gate.stopped_by
        if cause is not None:
            generation.status = Status.SKIPPED
            raise MountseaError(f"Skipped, because an earlier prompt in this cell failed: {cause}")
        options = self._options

        def on_event(event: Event) -> None:
            line.take(event)
            if isinstance(event, Notice):
                self._notices.append(event.text)

        await current_session().generate(
            generation,
            self._settings,
            timeout_s=options.timeout,
            on_event=on_event,
            fresh=options.fresh,
            cache=options.cache,
        )
        if options.save is not None:
            await asyncio.to_thread(_copy, generation, options.save)

    def _show_ended(self) -> None:
        """Show the generations that have ended, in the order of the prompts."""
        lines = self._view.lines
        while self._shown_count < len(lines) and lines[self._shown_count].final is not None:
            index, self._shown_count = self._shown_count, self._shown_count + 1
            with self._output_context():
                self._display(partial(self._view.finish, index))
                if self._image_outputs:
                    self._display(self._image_outputs[index].fill)

    def _display(self, show: Callable[[], None]) -> None:
        """Display something; an error of the front end or decoder must not end the job."""
        try:
            show()
        except Exception as error:
            self._notices.append(
                f"Could not display the output ({type(error).__name__}): {sanitize(error)}"
            )

    def _output_context(self) -> AbstractContextManager[Any]:
        """Return the `Output` widget that the cell ran in, also after the cell has ended."""
        return nullcontext() if self._output is None else self._output


def _interrupted(generation: Generation) -> FinalLine:
    """Return the line of an interrupted generation, which may have completed before."""
    if generation.error is None:
        generation.interrupted()
    if generation.status == Status.COMPLETED:
        return final_line(generation)
    return ending_line(generation, "interrupted")


def _copy(generation: Generation, folder: str) -> None:
    """Copy the originals to the folder of ``--save``."""
    try:
        generation.save(folder)
    except OSError as error:
        raise MountseaError(
            f"The images are in {generation[0].path.parent}, but could not be copied to "
            f"{folder}: {os_error_reason(error)}.",
            task_id=generation.task_id,
        ) from error
