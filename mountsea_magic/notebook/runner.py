"""Running: a batch on the worker, or on the kernel's own loop, under live lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import Interrupted
from ..generation.handle import Generation
from ..runtime.loop_thread import Job, run_nested
from ..runtime.text import quoted
from ..session import current_session
from ..settings import Settings
from .batch_view import Batch, RunOptions
from .frontend import FrontEnd, front_end
from .progress import ProgressView, SilentView, TextView
from .widgets import PlainTextView, StaticView, WidgetView

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def run(
    shell: InteractiveShell,
    generations: Sequence[Generation],
    settings: Settings,
    options: RunOptions,
) -> None:
    """Run the generations of a cell at once, and show their images in their order.

    Args:
        shell: The user's shell; the last generation is bound to ``_mountsea`` at once.
        generations: The handles.
        settings: Which Hub.
        options: How.

    Raises:
        MountseaError: What went wrong first; the images of the others are shown.
        Interrupted: If the cell was interrupted, or its Cancel button clicked.
    """
    shell.user_ns["_mountsea"] = generations[-1]
    front = front_end(shell)
    block = _block(front, generations, options)
    try:
        batch = Batch(generations, settings, options, block, front)
        error = _wait(shell, generations, batch, block, front, options)
    except BaseException:
        block.close()  # whatever it is, it leaves no widget behind
        raise
    if error is not None:
        raise error


def _wait(
    shell: InteractiveShell,
    generations: Sequence[Generation],
    batch: Batch,
    block: ProgressView,
    front: FrontEnd,
    options: RunOptions,
) -> BaseException | None:
    """Start the jobs, and unless they run in the background wait for them; return what failed."""
    jobs = [
        current_session().worker.prepare(batch.one(number)) for number in range(len(generations))
    ]
    try:
        for line, generation, job in zip(block.lines, generations, jobs, strict=True):
            line.task_id = generation.task_id or ""
            generation.attach(job)
        if front.notebook and front.updates and (options.background or front.clicks):
            block.offer_cancel(lambda: _cancel_all(jobs))
        if options.background:
            current_session().wait_for_submissions_at_exit()
            for job in jobs:
                job.launch()
            watcher = current_session().worker.start(batch.watch_over(jobs, shell.events))
            for generation, job in zip(generations, jobs, strict=True):
                generation.attach(job, watcher)
            return None
        if options.runner == "nested" and _loop_runs():
            run_nested(current_session().worker.join_async(jobs), tick=batch.tick)
        else:
            current_session().worker.join(jobs, tick=batch.tick)
        return batch.end()
    except KeyboardInterrupt:
        _cancel_all(jobs)  # also those that a Stop came before
        batch.end()
        told = [task.error for task in generations if isinstance(task.error, Interrupted)]
        raise (told[0] if told else generations[-1].interrupted()) from None


def _cancel_all(jobs: Sequence[Job[None]]) -> None:
    """What they wait for goes on at the Hub."""
    for job in jobs:
        job.cancel()


def _block(front: FrontEnd, generations: Sequence[Generation], options: RunOptions) -> ProgressView:
    """Widgets are for those who look on: a terminal would print their reprs."""
    labels = [
        (quoted(generation.request.model) if generation.request is not None else "resumed")
        + (" (demo Hub)" if generation.is_demo else "")
        for generation in generations
    ]
    if options.quiet:
        return SilentView(labels)
    if not front.notebook:
        return TextView(labels, background=options.background)
    if not front.updates:
        return StaticView(labels)
    if not front.watched:
        return PlainTextView(labels, background=options.background)
    try:
        return WidgetView(labels)
    except Exception:
        # ipywidgets may be broken, and comms be none of the kernel's: no reason to submit nothing
        return StaticView(labels)


def _loop_runs() -> bool:
    """Nesting needs a loop that runs, which a terminal has none of."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
