"""Running: generations of one cell at once, under live lines, with their pictures below."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .display import FinalLine, Frames, ending_line, final_line, line_with
from .errors import (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    Interrupted,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    in_words,
    plain,
    together,
)
from .events import Event, Notice
from .handle import Generation
from .progress import Block, Line, NoBlock, TextBlock
from .session import CURRENT
from .settings import Settings
from .widgets import WidgetBlock, clicks_arrive, in_kernel
from .worker import TICK_S, Job, run_nested

if TYPE_CHECKING:
    from IPython.core.events import EventManager
    from IPython.core.interactiveshell import InteractiveShell

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


def run(
    shell: InteractiveShell,
    generations: Sequence[Generation],
    settings: Settings,
    options: RunOptions,
) -> None:
    """Run the generations of a cell at once, and show their pictures in their order.

    Args:
        shell: The user's shell; the last generation is bound to ``_mountsea`` at once.
        generations: The handles.
        settings: Which Hub.
        options: How.

    Raises:
        MountseaError: What went wrong first; the pictures of the others are shown.
        Interrupted: If the cell was interrupted, or its Cancel button clicked.
    """
    shell.user_ns["_mountsea"] = generations[-1]
    block = _block(shell, generations, options)
    work = _Work(generations, settings, options, block, shows=in_kernel(shell))
    for line, generation in zip(block.lines, generations, strict=True):
        line.task_id = generation.task_id or ""
    jobs = [CURRENT.worker.prepare(work.one(number)) for number in range(len(generations))]
    for generation, job in zip(generations, jobs, strict=True):
        generation.attach(job)
    if in_kernel(shell) and (options.background or clicks_arrive(shell)):
        block.offer_cancel(lambda: _cancel_all(jobs))
    if options.background:
        for job in jobs:
            job.launch()
        watcher = CURRENT.worker.start(work.watch_over(jobs, shell.events))
        for generation, job in zip(generations, jobs, strict=True):
            generation.attach(job, watcher)
        return
    try:
        if options.runner == "nested" and _loop_runs():
            run_nested(CURRENT.worker.follow(jobs), tick=work.tick)
        else:
            CURRENT.worker.join(jobs, tick=work.tick)
    except KeyboardInterrupt:
        work.end()
        told = [task.error for task in generations if isinstance(task.error, Interrupted)]
        raise (told[0] if told else generations[-1].interrupted()) from None
    except BaseException:
        block.close()  # whatever it is, it leaves no widget behind
        raise
    error = work.end()
    if error is not None:
        raise error


class _Work:
    """One cell's generations, and what is shown of them."""

    def __init__(
        self,
        generations: Sequence[Generation],
        settings: Settings,
        options: RunOptions,
        block: Block,
        *,
        shows: bool,
    ) -> None:
        self._generations, self._settings = generations, settings
        self._options, self._block = options, block
        self._gate = _Gate()
        self._notices: list[str] = []
        self._shown = 0
        # what is shown from a thread, later, must have its place in the cell from the start
        hold = options.background
        self._frames = [
            Frames(generation, hold=hold, captioned=len(generations) > 1)
            for generation in (generations if shows and not options.quiet else ())
        ]

    async def one(self, number: int) -> None:
        """Run one generation in its turn, on the loop thread."""
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
            if self._options.background:
                ending = line_with(ending, f"{type(error).__name__}: {error}")
            raise
        except asyncio.CancelledError:
            generation.interrupted()
            ending = ending_line(generation, "interrupted")
            raise
        except Exception as error:
            generation.error = error  # whatever it is, the cell must fail with it
            raise
        finally:
            line.finish(ending.html, ending.text)

    async def watch_over(self, jobs: Sequence[Job[None]], events: EventManager) -> None:
        """Keep the cell of a background run up to date, with no cell that runs."""

        def again(_: object) -> None:
            events.unregister("post_run_cell", again)
            self._block.again()
            for frames in self._frames:
                frames.again()

        outcomes = [asyncio.wrap_future(job.outcome) for job in jobs]
        waiting = True
        while waiting:
            waiting = bool((await asyncio.wait(outcomes, timeout=TICK_S))[1])
            await asyncio.to_thread(self.tick)
        await asyncio.to_thread(self.end)
        events.register("post_run_cell", again)
        for outcome in outcomes:
            if not outcome.cancelled():
                outcome.exception()

    def tick(self) -> None:
        """Show what is known by now."""
        self._block.tick()
        self._show_ended()

    def end(self) -> BaseException | None:
        """Leave the final lines and the pictures; return what went wrong."""
        for generation, line in zip(self._generations, self._block.lines, strict=True):
            if line.final is None:
                if generation.error is None:
                    generation.interrupted()
                ending = ending_line(generation, "interrupted")
                line.finish(ending.html, ending.text)
        said = f"mountsea: {'; '.join(dict.fromkeys(self._notices))}" if self._notices else ""
        in_line = self._options.background and bool(self._frames)
        if said and in_line:
            # printed from a thread, it would be in whichever cell runs by then (ipykernel 6.17)
            last = self._block.lines[-1]
            ending = line_with(FinalLine(*(last.final or ("", ""))), said)
            last.finish(ending.html, ending.text)
        self._block.close()
        self._show_ended()
        if said and not in_line:
            print(said, file=sys.stderr)
        return together([generation.error for generation in self._generations])

    async def _generate(self, generation: Generation, line: Line) -> None:
        """The rest of a cell is not ordered where the first was refused for good."""
        cause = self._gate.closed_by
        if cause is not None:
            generation.status = "not ordered"
            raise MountseaError(f"Not ordered, since an order before it failed: {cause}")
        options = self._options

        def watch(event: Event) -> None:
            line.take(event)
            if isinstance(event, Notice):
                self._notices.append(event.text)

        await CURRENT.generate(
            generation,
            self._settings,
            timeout_s=options.timeout_s,
            watch=watch,
            fresh=options.fresh,
            cache=options.cache,
        )
        if options.copies is not None:
            await asyncio.to_thread(_copy, generation, options.copies)

    def _show_ended(self) -> None:
        """In the prompts' order, whichever was ready first."""
        while self._shown < len(self._frames) and self._block.lines[self._shown].final is not None:
            frames, self._shown = self._frames[self._shown], self._shown + 1
            try:
                frames.fill()
            except OSError as error:
                self._notices.append(f"A picture can't be shown: {plain(error)}")


def _cancel_all(jobs: Sequence[Job[None]]) -> None:
    """What they wait for goes on at the Hub."""
    for job in jobs:
        job.cancel()


def _block(
    shell: InteractiveShell, generations: Sequence[Generation], options: RunOptions
) -> Block:
    """A terminal prints a widget's repr, so it gets text."""
    labels = [
        (generation.request.model if generation.request is not None else "resumed")
        + (" (demo Hub)" if generation.is_demo else "")
        for generation in generations
    ]
    if options.quiet:
        return NoBlock(labels)
    return WidgetBlock(labels) if in_kernel(shell) else TextBlock(labels)


def _loop_runs() -> bool:
    """Nesting needs a loop that runs, which a terminal has none of."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _copy(generation: Generation, folder: Path) -> None:
    """The originals are safe by now, and a copy that fails must say so."""
    try:
        generation.save(folder)
    except OSError as error:
        raise MountseaError(
            f"The pictures are in {generation[0].path.parent}, but could not be copied to "
            f"{folder}: {plain(error.strerror or error)}.",
            task_id=generation.task_id,
        ) from error
