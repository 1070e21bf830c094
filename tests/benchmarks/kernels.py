"""Real kernels for benchmarks: each with an empty home folder, and measured from within."""

from __future__ import annotations

import compileall
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from kernel_driver import Kernel as Kernel
from kernel_driver import started_kernel

OFFLINE = {"PLOOMBER_STATS_ENABLED": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""Peers send no statistics and fetch no lists, which would count as their work."""

_MARK = "\n@value "

METER = """
import time as _time
_costs = []

def _start(_):
    _costs.append((_time.perf_counter(), _time.process_time()))

def _stop(_):
    wall, cpu = _costs.pop()
    _costs[:] = [_time.perf_counter() - wall, _time.process_time() - cpu]

_events = get_ipython().events
def _measure_next():
    _costs.clear()
    _events.register("pre_run_cell", _start)
    _events.register("post_run_cell", _stop)

def _measured():
    _events.unregister("pre_run_cell", _start)
    _events.unregister("post_run_cell", _stop)
    return list(_costs)
"""
"""Measures a cell in its kernel, without the messages about it: seconds of wall and of processor.

The cells that start and end the measurement run silently, so that they cause no events.
"""


@contextmanager
def kernel() -> Iterator[Kernel]:
    """Start a kernel that is warm: it has run a cell."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as home:
        os.environ |= OFFLINE | {"HOME": home, "MOUNTSEA_HOME": f"{home}/mountsea"}
        try:
            with started_kernel() as started:
                run(started, "1 + 1")
                yield started
        finally:
            os.environ.clear()
            os.environ.update(before)


def run(started: Kernel, code: str) -> str:
    """Run a cell and return what it printed.

    Raises:
        RuntimeError: If it fails.
    """
    done = started.run(code)
    if done.status != "ok":
        raise RuntimeError(f"{done.error}: {done.error_message}\n{code}")
    return done.text


def value(started: Kernel, expression: str) -> Any:
    """Evaluate an expression whose value JSON can represent."""
    # in a line of its own: packages print and log, too
    text = run(started, f"import json; print({_MARK!r}, json.dumps({expression}), sep='')")
    return json.loads(text.partition(_MARK)[2].partition("\n")[0])


def silently(started: Kernel, code: str) -> None:
    """Run code without events, history and output."""
    message_id = started.client.execute(code, silent=True, store_history=False)
    if started.collect(str(message_id)).status != "ok":
        raise RuntimeError(code)


def cost(started: Kernel, cell: str) -> tuple[float, float]:
    """Run a cell in a kernel that has `METER`; return its wall and processor time, in seconds."""
    silently(started, "_measure_next()")
    run(started, cell)
    silently(started, "_result = _measured()")
    wall_s, processor_s = value(started, "_result")
    return wall_s, processor_s


def compile_package() -> None:
    """Compile this package to bytecode, as pip does with the peers when it installs them."""
    compileall.compile_dir(Path(__file__).parents[2] / "mountsea_magic", quiet=1)
