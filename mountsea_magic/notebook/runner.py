"""Run a batch on the loop thread, or nested in the kernel's event loop, with live progress."""

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
from .batch_view import Batch
from .frontend import FrontEnd, front_end
from .options import CellOptions
from .progress import ProgressView, SilentView, TextView
from .widgets import PlainTextView, StaticView, WidgetView

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def run(
    shell: InteractiveShell,
    generations: Sequence[Generation],
    settings: Settings,
    options: CellOptions,
) -> None:
    """Run the generations of a cell concurrently, and show their images in order.

    Args:
        shell: The user's shell; the last generation is bound to ``_mountsea`` at once.
        generations: The handles.
        settings: The settings, which select the Hub.
        options: How to run and show them.

    Raises:
        MountseaError: If a generation fails; the images of the others are shown.
        Interrupted: If the cell was interrupted, or its Cancel button clicked.
    """
    shell.user_ns["_mountsea"] = generations[-1]
    front = front_end(shell)
    view = _view(front, generations, options)
    try:
        batch = Batch(generations, settings, options, view, front)
        error = _wait(shell, generations, batch, view, front, options)
    except BaseException:
        view.close()  # leave no widget behind, whatever the error
        raise
    if error is not None:
        raise error


def _wait(
    shell: InteractiveShell,
    generations: Sequence[Generation],
    batch: Batch,
    view: ProgressView,
    front: FrontEnd,
    options: CellOptions,
) -> BaseException | None:
    """Start the jobs, wait for them unless they run in the background, and return the error."""
    jobs = [
        current_session().worker.prepare(batch.run_one(index)) for index in range(len(generations))
    ]
    try:
        for line, generation, job in zip(view.lines, generations, jobs, strict=True):
            line.task_id = generation.task_id or ""
            generation.attach(job)
        if front.notebook and front.updates and (options.background or front.clicks):
            view.offer_cancel(lambda: _cancel_all(jobs))
        if options.background:
            current_session().wait_for_submissions_at_exit()
            for job in jobs:
                job.launch()
            watcher = current_session().worker.start(batch.watch_background(jobs, shell.events))
            for generation, job in zip(generations, jobs, strict=True):
                generation.attach(job, watcher)
            return None
        if options.runner == "nested" and _loop_is_running():
            run_nested(current_session().worker.join_async(jobs), tick=batch.tick)
        else:
            current_session().worker.join(jobs, tick=batch.tick)
        return batch.end()
    except KeyboardInterrupt:
        _cancel_all(jobs)  # also jobs that have not started
        batch.end()
        errors = [task.error for task in generations if isinstance(task.error, Interrupted)]
        raise (errors[0] if errors else generations[-1].interrupted()) from None


def _cancel_all(jobs: Sequence[Job[None]]) -> None:
    """Stop the waits; submitted tasks continue at the Hub."""
    for job in jobs:
        job.cancel()


def _view(front: FrontEnd, generations: Sequence[Generation], options: CellOptions) -> ProgressView:
    """Choose the view: widgets only where someone can see them; a terminal prints their reprs."""
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
        # ipywidgets can be broken, or the kernel may have no comms: show static lines instead
        return StaticView(labels)


def _loop_is_running() -> bool:
    """Nesting needs a running loop, which a terminal does not have."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
