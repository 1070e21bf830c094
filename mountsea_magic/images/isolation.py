"""Decode cheap images in this process, expensive ones in a subprocess with limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..runtime.daemon_threads import Slots
from ..runtime.limited_process import NoProcess, Result, run_limited
from .decoding_cost import IN_PROCESS_WORK, Work

_IN_PROCESS = Slots(1)
_PROCESSES = Slots(2)
_HUGE = Slots(1)
"""How many images are decoded at once: 64 tasks can have 256 images, too many for memory."""


def run_bounded(
    function: Callable[..., Result],
    *arguments: Any,
    work: Work,
    abandoned: threading.Event,
) -> Result:
    """Run a function that decodes an untrusted image.

    Args:
        function: A module-level function of this package.
        arguments: JSON values.
        work: The image's work, from its headers.
        abandoned: Set by the caller when it no longer waits for the result.

    Returns:
        The function's result.

    Raises:
        Abandoned: If `abandoned` was set before there was a result.
        ProcessFailed: If the function failed in a subprocess.
        Exception: Whatever the function raises in this process.
    """
    if work.amount > IN_PROCESS_WORK:
        turns = _HUGE if work.pixels > IN_PROCESS_WORK else _PROCESSES
        module = function.__module__
        with turns.acquire(abandoned):
            try:
                return run_limited(module, function.__name__, arguments, abandoned)
            except NoProcess:
                pass  # decode in this process: bounded too, but it can't be killed
    with _IN_PROCESS.acquire(abandoned):
        return function(*arguments)
