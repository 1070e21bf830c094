"""The run of one cell: its generations, their progress, and their images."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted, InvalidRequest, MountseaError, describe_kind
from ..generation.admission import Admission
from ..generation.batch import Batch
from ..generation.batch_report import interrupted
from ..generation.events import Event, Notice, Submitting
from ..generation.handle import Generation
from ..generation.many import BatchRunner
from ..hub.status import Status
from ..runtime.interrupts import deferred_interrupt
from ..runtime.loop_thread import TICK_S, Job
from ..runtime.printing import echo
from ..runtime.text import os_error_reason, sanitize
from ..session import current_session
from ..settings import Settings
from .batch_line import MAX_LINES, BatchLine
from .batch_outputs import batch_final_line, batch_label
from .frontend import FrontEnd
from .options import CellOptions
from .outputs import ImageOutputs, ending_line, final_line, with_message
from .progress import (
    NO_FINAL_LINE,
    FinalLine,
    Line,
    ProgressLine,
    ProgressView,
    SilentView,
    progress_line,
)
from .views import choose_view

if TYPE_CHECKING:
    from IPython.core.events import EventManager

    from .sheet_output import SheetOutput

SILENT_START_S = 1.0
"""How long a cell shows nothing while it submits, in seconds; most have then submitted."""


class CellRun:
    """The generations of one cell, and their display.

    Up to six have a line each, and show their images one below the other; more have one line for
    all and a contact sheet, which a grid always has. In the background, outputs are reserved before
    anything is submitted.

    Attributes:
        batch: The handles.
        options: How they are run and shown.

    Args:
        batch: The handles.
        settings_of: Returns the settings of a handle, which select its Hub.
        options: How they are run and shown.
        front: The front end that shows them.
        kind: What the batch consists of, for the message of those that are skipped.
        shows_images: Whether the images are shown, too.

    Example:
        >>> CellRun(batch, settings_of, options, front_end(None))  # doctest: +SKIP
    """

    def __init__(
        self,
        batch: Batch,
        settings_of: Callable[[Generation], Settings],
        options: CellOptions,
        front: FrontEnd,
        *,
        kind: str = "prompt in this cell",
        shows_images: bool = True,
    ) -> None:
        self.batch, self.options = batch, options
        self._settings_of, self._front = settings_of, front
        self._started = time.monotonic()
        self._runner = BatchRunner(
            current_session().worker,
            self._generate,
            concurrency=options.concurrency,
            polls_per_s=options.polls_per_second,
            kind=kind,
        )
        self._runner.watcher = self
        self._index = {id(each): index for index, each in enumerate(batch)}
        self._notices: list[str] = []
        self._shown_count = 0
        self._updates = front.notebook and front.updates
        self._output = front.output if options.background else None
        self._reserves = self._updates and options.background and not front.late_outputs
        self._one_line: BatchLine | None = None
        self._lines: list[ProgressLine] = []
        if len(batch) > MAX_LINES:
            self._one_line = BatchLine(
                batch_label(batch), total=len(batch), pause_s=lambda: self._runner.pause_s
            )
        else:
            self._lines = [progress_line(each) for each in batch]
        self._view: ProgressView | None = None
        self._has_begun = False
        if options.background:
            self._make_view()  # after the cell it would appear elsewhere
        self._sheet: SheetOutput | None = None
        self._image_outputs: list[ImageOutputs] = []
        if shows_images and not options.quiet and (front.notebook or front.draws_png):
            self._make_outputs()

    def prepare(self) -> list[Job[None]]:
        """Return the jobs of all generations, which are attached to their handles."""
        return [self._runner.prepare(each) for each in self.batch]

    @property
    def view(self) -> ProgressView:
        """Shows the lines; made on first use, since progress widgets take longer than a submission.

        What has ended by then, such as a result from the journal, needs no widgets at all.
        """
        if self._view is None:
            with deferred_interrupt():  # a half-made view would leave widgets in the notebook
                self._display(self._make_view)
        if self._view is None:
            self._view = SilentView(self._all_lines)
        return self._view

    def take(self, generation: Generation, event: Event) -> None:
        """Take an event of a generation, on the loop thread."""
        self._has_begun = self._has_begun or not isinstance(event, Submitting)
        if isinstance(event, Notice):
            self._notices.append(event.text)
        if self._one_line is not None:
            self._one_line.take(generation, event)
        else:
            self._lines[self._index[id(generation)]].take(event)

    def end(self, generation: Generation) -> None:
        """Take the end of a generation, on the loop thread."""
        self._has_begun = True
        index = self._index[id(generation)]
        if self._one_line is not None:
            self._one_line.end(generation)
        else:
            self._lines[index].final = self._ending(generation)
        if self._sheet is not None:
            self._sheet.ended(index)

    async def watch_background(self, jobs: Sequence[Job[None]], events: EventManager) -> None:
        """Update the outputs of a background run until all jobs have ended.

        Args:
            jobs: The generations' jobs.
            events: The shell's events: outputs are sent again after the next cell.
        """
        closing = threading.Lock()

        def republish(_: object) -> None:
            events.unregister("post_run_cell", republish)
            with closing:  # what is still being sent may reach no cell
                self.view.republish()
                if self._sheet is not None:
                    self._sheet.republish()
                for outputs in self._image_outputs:
                    outputs.republish()

        outcomes = [asyncio.wrap_future(job.outcome) for job in jobs]
        all_ended = asyncio.ensure_future(asyncio.wait(outcomes))
        try:
            while not all_ended.done():
                await asyncio.wait([all_ended], timeout=TICK_S)
                await asyncio.to_thread(self.tick)
        finally:
            with closing:
                if self._reserves:
                    # before anything is sent: the next cell may end at any moment
                    events.register("post_run_cell", republish)
                await asyncio.to_thread(self.close)
        for outcome in outcomes:
            if not outcome.cancelled():
                outcome.exception()  # consume it, or asyncio logs "never retrieved"

    def tick(self) -> None:
        """Show the results that are new, and update the progress lines.

        Nothing is shown before the Hub has responded to a submission, unless that takes long.
        """
        if not self._has_begun and time.monotonic() - self._started < SILENT_START_S:
            return
        self._show_ended()
        self._display(self.view.tick)
        if self._sheet is not None:
            with self._output_context():
                self._display(self._sheet.tick)

    def close(self, *, was_interrupted: bool = False) -> BaseException | None:
        """Show the final lines and all images; return the error, if any.

        Args:
            was_interrupted: Whether there is no time to draw all images of a contact sheet.
        """
        for each in self.batch:
            if each.error is None and each.status != Status.COMPLETED:
                each.interrupted()
        self.batch.stopped_by = self._runner.stopped_by
        error = self._error()
        for generation, line in zip(self.batch, self._lines, strict=False):
            if line.final is None:
                line.final = self._ending(generation)
        if self._one_line is not None:
            self._one_line.final = self._batch_ending(error)
        try:
            self._show_ended()
            if self._sheet is not None:
                with self._output_context():
                    self._display(partial(self._sheet.close, interrupted=was_interrupted))
            self._show_notices()
        finally:
            self._display(self.view.close)
        return error

    def abandon(self) -> None:
        """Leave no widget behind after an unexpected error."""
        if self._view is not None:
            self._view.close()

    @property
    def _all_lines(self) -> Sequence[Line]:
        return self._lines if self._one_line is None else [self._one_line]

    def _make_view(self) -> None:
        """Make the view, with a Cancel button where the front end can deliver its click."""
        front, background = self._front, self.options.background
        if self.options.quiet:
            self._view = SilentView(self._all_lines)
            return
        self._view = choose_view(front, self._all_lines, background=background)
        if front.notebook and front.updates and (background or front.clicks):
            self._view.offer_cancel(self.batch.cancel)

    def _make_outputs(self) -> None:
        """Make the outputs for the images: a contact sheet, or each image."""
        batch, front = self.batch, self._front
        if batch.axes or self._one_line is not None:
            from .sheet_output import SheetOutput  # drawing takes long to import

            try:
                self._sheet = SheetOutput(
                    batch, updates=self._updates, reserve=self._reserves, png=front.draws_png
                )
            except InvalidRequest as error:  # such as 2,000 columns
                self._notices.append(f"No contact sheet: {error}")
            return
        captioned = front.notebook and len(batch) > 1
        self._image_outputs = [
            ImageOutputs(each, reserve=self._reserves, captioned=captioned, png=front.draws_png)
            for each in batch
        ]

    def _ending(self, generation: Generation) -> FinalLine:
        """Return the line of a generation that has ended, in whatever way."""
        error = generation.error
        if error is None and generation.status == Status.COMPLETED:
            return final_line(generation)
        if error is None or isinstance(error, Interrupted):
            return ending_line(generation, "interrupted")
        if not isinstance(error, MountseaError):
            return ending_line(generation, "stopped by an unexpected error")
        ending = ending_line(generation, describe_kind(error))
        message = f"{type(error).__name__}: {error}"
        if self.options.background and self.options.quiet:
            self._notices.append(message)  # --quiet hides only success
        elif self.options.background:
            ending = with_message(ending, message)
        return ending

    def _batch_ending(self, error: BaseException | None) -> FinalLine:
        """Return the line of a batch that has ended; in the background it has the error, too."""
        ending = batch_final_line(self.batch, time.monotonic() - self._started)
        if not isinstance(error, Exception) or not self.options.background:
            return ending
        message = f"{type(error).__name__}: {error}"
        if self.options.quiet:
            self._notices.append(message)  # --quiet hides only success
        return with_message(ending, message)

    def _error(self) -> BaseException | None:
        """Return the one error of the cell."""
        stopped = [each.error for each in self.batch if isinstance(each.error, Interrupted)]
        if stopped:
            return stopped[0] if len(self.batch) == 1 else interrupted(self.batch)
        return self.batch.error()

    def _show_notices(self) -> None:
        """Show notices in the cell's own outputs: printing from a thread can reach another cell."""
        if not self._notices:
            return
        message = f"mountsea: {'; '.join(dict.fromkeys(self._notices))}"
        if self.options.background and self._updates and not self.options.quiet:
            last = self.view.lines[-1]
            last.final = with_message(last.final or NO_FINAL_LINE, message)
        else:
            with self._output_context():
                echo(message, stream=sys.stderr)

    async def _generate(
        self,
        generation: Generation,
        *,
        admission: Admission,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        """Generate one result, and copy its images to the folder of ``--save``."""
        options = self.options
        await current_session().generate(
            generation,
            self._settings_of(generation),
            timeout_s=options.timeout,
            on_event=on_event,
            fresh=options.fresh,
            cache=options.cache,
            admission=admission,
        )
        if options.save is not None:
            await asyncio.to_thread(_copy, generation, options.save)

    def _show_ended(self) -> None:
        """Show what has ended: the lines in their order, each above its images."""
        lines = self.view.lines
        while self._shown_count < len(lines) and lines[self._shown_count].final is not None:
            index, self._shown_count = self._shown_count, self._shown_count + 1
            with self._output_context():
                self._display(partial(self.view.finish, index))
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
