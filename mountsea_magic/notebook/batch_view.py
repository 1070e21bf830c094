"""A batch: the generations of one cell, their turns, and what is shown of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    in_words,
    merge_errors,
    sanitize,
)
from ..generation.events import Event, Notice
from ..generation.handle import Generation
from ..runtime.loop_thread import TICK_S, Job
from ..runtime.printing import echo
from ..session import current_session
from ..settings import Settings
from .frontend import FrontEnd
from .outputs import FinalLine, ImageOutputs, ending_line, final_line, line_with
from .progress import ProgressLine, ProgressView

if TYPE_CHECKING:
    from IPython.core.events import EventManager

AT_ONCE = 4
"""How many generations of one cell run at the same time."""

_HOPELESS = (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    RateLimited,
    SubmissionUncertain,
)
"""After such an error the others of a cell are not ordered: they would end in the same way."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How generations are run and shown.

    Attributes:
        timeout_s: How long to wait for each, in seconds.
        runner: ``thread``, or ``nested`` for the kernel's own loop.
        quiet: Show nothing on success.
        fresh: Never answer from the journal.
        cache: Answer from the journal also without a seed.
        copies: The folder to put copies of the originals in, or None.
        background: Return at once.
    """

    timeout_s: float
    runner: str = "thread"
    quiet: bool = False
    fresh: bool = False
    cache: bool = False
    copies: Path | None = None
    background: bool = False


@dataclass(slots=True)
class _Gate:
    """What the generations of one cell share."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    closed_by: MountseaError | None = None


class Batch:
    """One cell's generations, and what is shown of them.

    Example:
        >>> Batch([], settings, RunOptions(600.0), block, front_end(None))  # doctest: +SKIP
    """

    def __init__(
        self,
        generations: Sequence[Generation],
        settings: Settings,
        options: RunOptions,
        block: ProgressView,
        front: FrontEnd,
    ) -> None:
        """Take the places of the images, before anything is ordered.

        Args:
            generations: The handles.
            settings: Which Hub.
            options: How they are run and shown.
            block: The live lines, one for each generation.
            front: Where it is shown.
        """
        self._generations, self._settings = generations, settings
        self._options, self._block = options, block
        self._gate = _Gate()
        self._notices: list[str] = []
        self._shown = 0
        self._updates = front.notebook and front.updates
        self._output = front.output if options.background else None
        self._holds = self._updates and options.background and not front.late
        shows = (front.notebook or front.draws_png) and not options.quiet
        captioned = front.notebook and len(generations) > 1
        self._frames = [
            ImageOutputs(generation, hold=self._holds, captioned=captioned, png=front.draws_png)
            for generation in (generations if shows else ())
        ]

    async def one(self, number: int) -> None:
        """Run one generation in its turn, on the loop thread.

        Args:
            number: Which one, from 0.

        Raises:
            MountseaError: What went wrong with it; the handle has it, too.
        """
        generation, line = self._generations[number], self._block.lines[number]
        ending = ending_line(generation, "stopped by an unexpected error")
        try:
            async with self._gate.turns:
                await self._generate(generation, line)
            ending = final_line(generation)
        except MountseaError as error:
            generation.error = error
            if isinstance(error, _HOPELESS):
                self._gate.closed_by = self._gate.closed_by or error
            ending = ending_line(generation, in_words(error))
            said = f"{type(error).__name__}: {error}"
            if self._options.background and self._options.quiet:
                self._notices.append(said)  # quiet is for success
            elif self._options.background:
                ending = line_with(ending, said)
            raise
        except asyncio.CancelledError:
            ending = _interrupted(generation)
            raise
        except Exception as error:
            generation.error = error  # whatever it is, the cell must fail with it
            raise
        finally:
            line.finish(ending.html, ending.text)

    async def watch_over(self, jobs: Sequence[Job[None]], events: EventManager) -> None:
        """Keep the cell of a background run up to date, with no cell that runs.

        Args:
            jobs: The generations' jobs.
            events: Where the shell says that a cell has run.
        """

        def again(_: object) -> None:
            events.unregister("post_run_cell", again)
            self._block.republish()
            for frames in self._frames:
                frames.republish()

        outcomes = [asyncio.wrap_future(job.outcome) for job in jobs]
        waiting = True
        try:
            while waiting:
                waiting = bool((await asyncio.wait(outcomes, timeout=TICK_S))[1])
                await asyncio.to_thread(self.tick)
        finally:
            await asyncio.to_thread(self.end)
        if self._holds:
            events.register("post_run_cell", again)
        for outcome in outcomes:
            if not outcome.cancelled():
                outcome.exception()

    def tick(self) -> None:
        """Show what is known by now."""
        self._show_ended()
        self._display(self._block.tick)

    def end(self) -> BaseException | None:
        """Leave the final lines and the images; return what went wrong."""
        for generation, line in zip(self._generations, self._block.lines, strict=True):
            if line.final is None:
                ending = _interrupted(generation)
                line.finish(ending.html, ending.text)
        try:
            self._show_ended()
            self._tell_notices()
        finally:
            self._display(self._block.close)
        return merge_errors([generation.error for generation in self._generations])

    def _tell_notices(self) -> None:
        """Printed from a thread, they would be in whichever cell runs by then (ipykernel 6.17)."""
        if not self._notices:
            return
        said = f"mountsea: {'; '.join(dict.fromkeys(self._notices))}"
        if self._options.background and self._updates and not self._options.quiet:
            last = self._block.lines[-1]
            ending = line_with(FinalLine(*(last.final or ("", ""))), said)
            last.finish(ending.html, ending.text)
        else:
            with self._place():
                echo(said, stream=sys.stderr)

    async def _generate(self, generation: Generation, line: ProgressLine) -> None:
        """The rest of a cell is not ordered where the first was refused for good."""
        cause = self._gate.closed_by
        if cause is not None:
            generation.status = "not submitted"
            raise MountseaError(f"Not ordered, since an order before it failed: {cause}")
        options = self._options

        def on_event(event: Event) -> None:
            line.take(event)
            if isinstance(event, Notice):
                self._notices.append(event.text)

        await current_session().generate(
            generation,
            self._settings,
            timeout_s=options.timeout_s,
            on_event=on_event,
            fresh=options.fresh,
            cache=options.cache,
        )
        if options.copies is not None:
            await asyncio.to_thread(_copy, generation, options.copies)

    def _show_ended(self) -> None:
        """In the prompts' order, whichever was ready first."""
        lines = self._block.lines
        while self._shown < len(lines) and lines[self._shown].final is not None:
            number, self._shown = self._shown, self._shown + 1
            with self._place():
                self._display(partial(self._block.finish, number))
                if self._frames:
                    self._display(self._frames[number].fill)

    def _display(self, show: Callable[[], None]) -> None:
        """Displaying ends no job: front ends, terminals and decoders are the code of others."""
        try:
            show()
        except Exception as error:
            self._notices.append(f"It can't be shown ({type(error).__name__}): {sanitize(error)}")

    def _place(self) -> AbstractContextManager[Any]:
        """What comes when the cell is over still belongs into the `Output` widget it ran in."""
        return nullcontext() if self._output is None else self._output


def _interrupted(generation: Generation) -> FinalLine:
    """A Stop after the last image takes nothing away."""
    if generation.error is None:
        generation.interrupted()
    if generation.status == "completed":
        return final_line(generation)
    return ending_line(generation, "interrupted")


def _copy(generation: Generation, folder: Path) -> None:
    """The originals are safe by now, and a copy that fails must say so."""
    try:
        generation.save(folder)
    except OSError as error:
        raise MountseaError(
            f"The images are in {generation[0].path.parent}, but could not be copied to "
            f"{folder}: {sanitize(error.strerror or error)}.",
            task_id=generation.task_id,
        ) from error
