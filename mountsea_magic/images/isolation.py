"""Where an image is decoded: here if that is surely cheap, else in a process with limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..runtime.daemon_threads import Slots
from ..runtime.limited_process import NoProcess, Result, run_limited
from .decoding_cost import IN_PROCESS_WORK, Work

_HERE = Slots(1)
_PROCESSES = Slots(2)
_HUGE = Slots(1)
"""How many are decoded at once: 64 tasks have 256 images, and memory for a few of them."""


def run_bounded(
    function: Callable[..., Result],
    *arguments: Any,
    work: Work,
    abandoned: threading.Event,
) -> Result:
    """Run a function that decodes an image of a stranger's.

    Args:
        function: A function of one of this package's modules.
        arguments: What JSON can tell.
        work: What the headers of the image say.
        abandoned: Set once nobody waits for the result any more.

    Raises:
        Abandoned: If it was set before there was a result.
        ProcessFailed: If the function failed in a process.
        Exception: What the function raises here.
    """
    if work.amount > IN_PROCESS_WORK:
        turns = _HUGE if work.pixels > IN_PROCESS_WORK else _PROCESSES
        module = function.__module__
        with turns.acquire(abandoned):
            try:
                return run_limited(module, function.__name__, arguments, abandoned)
            except NoProcess:
                pass  # what is decoded here is bounded, too, but can't be killed
    with _HERE.acquire(abandoned):
        return function(*arguments)
