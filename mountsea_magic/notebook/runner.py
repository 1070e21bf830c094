"""Run a batch on the loop thread, or nested in the kernel's event loop, with live progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import Interrupted, MountseaError
from ..generation.batch import Batch, Retry
from ..generation.batch_report import interrupted
from ..generation.handle import Generation
from ..runtime.loop_thread import run_nested
from ..session import current_session
from ..settings import Settings
from .cell_run import CellRun
from .frontend import front_end
from .options import CellOptions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def run(shell: InteractiveShell, batch: Batch, settings: Settings, options: CellOptions) -> None:
    """Run the generations of a cell concurrently, and show their images in order.

    Args:
        shell: The user's shell; the result is bound to ``_mountsea`` at once: the batch, or its
            only generation.
        batch: The handles; they can be run again with ``retry_failed``.
        settings: The settings, which select the Hub.
        options: How to run and show them.

    Raises:
        MountseaError: If a generation fails; the images of the others are shown.
        Interrupted: If the cell was interrupted, or its Cancel button clicked.
    """
    error = run_all(shell, batch, lambda _: settings, options)
    if error is not None:
        raise error


def run_all(
    shell: InteractiveShell,
    batch: Batch,
    settings_of: Callable[[Generation], Settings],
    options: CellOptions,
    *,
    kind: str = "prompt in this cell",
) -> BaseException | None:
    """Run generations that may be of several Hubs; as `run`, but return the error.

    Args:
        shell: The user's shell.
        batch: The handles.
        settings_of: Returns the settings of a handle, which select its Hub.
        options: How to run and show them.
        kind: What the batch consists of, for the message of those that are skipped.

    Raises:
        Interrupted: If the cell was interrupted.
    """

    def check(generations: Sequence[Generation]) -> None:
        """Refuse them if they would exceed the budget of their Hub."""
        hubs = {settings_of(each).base_url: settings_of(each) for each in generations}
        for base_url, settings in hubs.items():
            current_session().budget.check_all(
                settings,
                [each for each in generations if settings_of(each).base_url == base_url],
                fresh=options.fresh,
                cache=options.cache,
            )

    def rerun(retry: Retry) -> MountseaError | None:
        """Run some of them again; the batch shows the images, and raises the error."""
        # first know what became of submissions whose wait was interrupted: they may be paid
        current_session().worker.run(current_session().drain())
        check(retry.submissions())
        part, blocking = Batch(retry.take()), replace(options, background=False)
        if not len(part):
            return batch.stopped_by
        _run(shell, CellRun(part, settings_of, blocking, front_end(shell), shows_images=False))
        return part.stopped_by

    shell.user_ns["_mountsea"] = batch if len(batch) > 1 else batch[0]
    batch.rerun = batch.rerun or rerun
    return _run(shell, CellRun(batch, settings_of, options, front_end(shell), kind=kind))


def _run(shell: InteractiveShell, cell_run: CellRun) -> BaseException | None:
    """Start the jobs, wait for them unless they run in the background, and return the error."""
    try:
        return _wait(shell, cell_run)
    except BaseException:
        cell_run.abandon()
        raise


def _wait(shell: InteractiveShell, cell_run: CellRun) -> BaseException | None:
    """Wait for the jobs; an interrupt stops them."""
    worker, batch, options = current_session().worker, cell_run.batch, cell_run.options
    jobs = cell_run.prepare()
    try:
        if options.background:
            current_session().wait_for_submissions_at_exit()
            for job in jobs:
                job.launch()
            watcher = worker.start(cell_run.watch_background(jobs, shell.events))
            for generation, job in zip(batch, jobs, strict=True):
                generation.attach(job, watcher)
            return None
        if options.runner == "nested" and _loop_is_running():
            run_nested(worker.join_async(jobs), tick=cell_run.tick)
        else:
            worker.join(jobs, tick=cell_run.tick)
        return cell_run.close()
    except KeyboardInterrupt:
        batch.cancel()  # also jobs that have not started
        error = cell_run.close(was_interrupted=True)
        if not isinstance(error, Interrupted):  # all had ended
            error = batch[-1].interrupted() if error is None else interrupted(batch)
        raise error from None


def _loop_is_running() -> bool:
    """Nesting needs a running loop, which a terminal does not have."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
