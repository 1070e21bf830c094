"""Run inside a kernel: resets it for the next test, without a new process."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from typing import Any

from IPython.core.getipython import get_ipython


async def _cancel_jobs(session: Any) -> None:
    """Cancel background tasks, and close the connections."""
    jobs = asyncio.all_tasks() - {asyncio.current_task()}
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    await session.clients.aclose()


def _forget_package(shell: Any) -> None:
    """Unload the extension and all modules of the package."""
    module = sys.modules.get("mountsea_magic.session")
    if module is not None and module.current_session().worker.is_running:
        module.current_session().worker.run(_cancel_jobs(module.current_session()))
    shell.extension_manager.unload_extension("mountsea_magic")
    shell.config.pop("MountseaMagics", None)  # set by `%config`
    for name in [name for name in sys.modules if name.partition(".")[0] == "mountsea_magic"]:
        del sys.modules[name]
    if widgets := sys.modules.get("ipywidgets"):
        widgets.Widget.close_all()


def _reset(shell: Any) -> None:
    """Restore what a test may have changed: variables, callbacks, the traceback mode."""
    if not hasattr(shell, "callbacks_at_start"):
        shell.callbacks_at_start = {name: [*all_] for name, all_ in shell.events.callbacks.items()}
    for name, callbacks in shell.callbacks_at_start.items():
        shell.events.callbacks[name][:] = callbacks
    shell.InteractiveTB.set_mode(mode="Context")
    shell.reset(new_session=False)


def _poll_often() -> None:
    """Shorten the pauses between polls, as the `here` fixture does without a kernel."""
    from mountsea_magic.generation import admission
    from mountsea_magic.generation.schedule import LearnedSchedule

    often = partial(LearnedSchedule, min_interval_s=0.02, max_interval_s=0.05)
    vars(admission)["LearnedSchedule"] = often


def renew(environ: dict[str, str], folder: str) -> None:
    """Reset the kernel.

    Args:
        environ: The new environment.
        folder: The new working folder.
    """
    shell = get_ipython()
    _forget_package(shell)
    _reset(shell)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    _poll_often()
