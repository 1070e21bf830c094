"""Measure what it costs to load the extension, and a kernel's first cell.

Run ``python tests/benchmarks/loading.py``; it prints a table. Linux only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict

from batches import bench_hub
from kernels import OFFLINE, compile_package, kernel, run, value
from report import OURS, Figure, markdown_table

SECTION = "Loading"

EXTENSIONS = {
    OURS: "mountsea_magic",
    "jupysql": "sql",
    "bigquery-magics": "bigquery_magics",
    "jupyter-ai-magic-commands": "jupyter_ai_magic_commands",
}
"""The module of each package, which is also the name of its extension."""

LOAD = """
import resource as _resource, sys as _sys, time as _time
from pathlib import Path as _Path

def _memory_mb():
    pages = int(_Path("/proc/self/statm").read_text().split()[1])
    return pages * _resource.getpagesize() / 1e6

def _load(name):
    before = len(_sys.modules), _memory_mb()
    wall, cpu = _time.perf_counter(), _time.process_time()
    get_ipython().run_line_magic("load_ext", name)
    wall, cpu = _time.perf_counter() - wall, _time.process_time() - cpu
    return [1e3 * wall, 1e3 * cpu, len(_sys.modules) - before[0], _memory_mb() - before[1]]
"""

PLAIN_POST = """
import httpx
httpx.post("URL/hub/v1/image", json={"model": "nano-banana", "input": {"prompt": "a dog"}})
"""
"""A first cell that only sends the request, with the library that we use for it."""

AT_CONNECT = """
import sys as _sys, time as _time
_started, _at_connect = [0.0], []

def _look(event, arguments):
    if event == "socket.connect":
        _at_connect.append(_time.process_time() - _started[0])

_sys.addaudithook(_look)
get_ipython().events.register(
    "pre_run_cell", lambda info: _started.__setitem__(0, _time.process_time())
)
"""
"""Notes how much processor time a cell has used when it connects."""

PAUSES_S = (0.0, 1.0)
"""How long after `%load_ext` the first cell is run, in seconds: by Run All, and by a person."""

Values = dict[tuple[str, str], list[float]]


def measure(runs: int = 7) -> list[Figure]:
    """Return the figures of `%load_ext`, `import`, and the first cell.

    Args:
        runs: How often each is measured, interleaved.

    Raises:
        RuntimeError: If a peer is not installed.
    """
    missing = [name for name, module in EXTENSIONS.items() if not importlib.util.find_spec(module)]
    if missing:
        raise RuntimeError(f"{', '.join(missing)} is missing: run `pip install --group bench`")
    compile_package()
    return [*_load_ext(runs), *_cold_import(runs), *_first_cell(runs), *_next_cell(runs)]


def _load_ext(runs: int) -> list[Figure]:
    """`%load_ext` in a warm kernel, a fresh one for each run."""
    quantities = ("wall, ms", "processor, ms", "modules", "memory, MB")
    found: Values = defaultdict(list)
    for _ in range(runs):
        for client, module in EXTENSIONS.items():
            with kernel() as started:
                run(started, LOAD)
                measured = value(started, f"_load({module!r})")
            for quantity, number in zip(quantities, measured, strict=True):
                found[quantity, client].append(number)
    best_ms = min(
        sorted(values)[len(values) // 2]
        for (quantity, client), values in found.items()
        if quantity == "wall, ms" and client != OURS
    )
    goals = {"wall, ms": min(10.0, best_ms / 10)}
    return _figures("%load_ext in a warm kernel", quantities, found, goals)


def _cold_import(runs: int) -> list[Figure]:
    """`import` in a new interpreter, over one that imports nothing."""
    quantities = ("wall, ms", "processor, ms")
    found: Values = defaultdict(list)
    for _ in range(runs):
        for client, module in EXTENSIONS.items():
            bare, importing = _interpreter("pass"), _interpreter(f"import {module}")
            for quantity, less, more in zip(quantities, bare, importing, strict=True):
                found[quantity, client].append(max(0.0, more - less))
    return _figures("import in a cold interpreter", quantities, found, {})


def _interpreter(code: str) -> tuple[float, float]:
    """Run code in a new interpreter; return its wall and processor time, in milliseconds."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | OFFLINE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{code!r} failed")
    wall_s = time.perf_counter() - started
    return 1e3 * wall_s, 1e3 * (usage.ru_utime + usage.ru_stime)


def _first_cell(runs: int) -> list[Figure]:
    """From the request to execute a kernel's first cell to the POST at a Hub."""
    quantities = ("wall, ms", "processor, ms")
    cases: dict[float, Values] = {pause_s: defaultdict(list) for pause_s in PAUSES_S}
    with bench_hub(task_s=0.3) as url:
        first_cells = {
            OURS: ("%load_ext mountsea_magic", "%%mountsea\na dog"),
            "httpx alone": ("pass", PLAIN_POST.replace("URL", url)),
        }
        for _ in range(runs):
            for pause_s, found in cases.items():
                for client, (load, cell) in first_cells.items():
                    with kernel() as started:
                        run(started, AT_CONNECT)
                        run(started, load)
                        time.sleep(pause_s)
                        sent = time.monotonic()
                        run(started, cell)
                        wall_s = _posted_at(url)[-1] - sent
                        processor_s = value(started, "_at_connect[0]")
                    found["wall, ms", client].append(1e3 * wall_s)
                    found["processor, ms", client].append(1e3 * processor_s)
    return [
        figure
        for pause_s, found in cases.items()
        for figure in _figures(
            f"first cell to its POST, {pause_s:g} s after %load_ext",
            # at once, the libraries are not imported yet: the limit is what httpx alone takes
            *(quantities, found, {"wall, ms": 150.0} if pause_s else {}),
        )
    ]


def _next_cell(runs: int) -> list[Figure]:
    """A trivial cell after `%load_ext`, which imports libraries between two cells."""
    cases: dict[float, Values] = {pause_s: defaultdict(list) for pause_s in (0.0, 0.15)}
    for _ in range(runs):
        for pause_s, found in cases.items():
            for client, load in ((OURS, "%load_ext mountsea_magic"), ("no extension", "pass")):
                with kernel() as started:
                    run(started, load)
                    time.sleep(pause_s)
                    sent = time.monotonic()
                    run(started, "1 + 1")
                    found["wall, ms", client].append(1e3 * (time.monotonic() - sent))
    return [
        figure
        for pause_s, found in cases.items()
        for figure in _figures(
            f"trivial cell, {pause_s:g} s after %load_ext", ("wall, ms",), found, {}
        )
    ]


def _posted_at(url: str) -> list[float]:
    """Return when POSTs arrived at the Hub, by this machine's monotonic clock."""
    with urllib.request.urlopen(f"{url}/posts") as response:
        times: list[float] = json.load(response)
    return times


def _figures(
    case: str, quantities: tuple[str, ...], found: Values, goals: dict[str, float]
) -> list[Figure]:
    return [
        Figure(
            *(SECTION, case, quantity, client, tuple(found[quantity, client])),
            goal=goals.get(quantity) if client == OURS else None,
        )
        for quantity in quantities
        for name, client in found
        if name == quantity
    ]


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(markdown_table(measure(runs)))
