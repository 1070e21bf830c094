"""Measure what a cell costs apart from the wait, and what the wait itself costs.

Run ``python tests/benchmarks/cell_cost.py``; it prints a table. Linux only.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from contextlib import ExitStack

from batches import bench_hub, stats
from kernels import METER, Kernel, compile_package, cost, kernel, run
from report import OURS, Figure, markdown_table

SECTION = "A cell's own cost"

TASK_S = 1.0
"""How long the tasks of short cells take, in seconds."""

LONG_TASK_S = 20.0
WATCHED_S = (3.0, 18.0)
"""The part of a long wait that is measured, in seconds since the cell was started."""

PLAIN_LOOP = """
import httpx as _httpx, time as _time
from IPython.display import Image as _Image, display as _display

def _generate(prompt):
    with _httpx.Client(base_url="URL") as http:
        body = {"model": "nano-banana", "input": {"prompt": prompt}}
        task = http.post("/hub/v1/image", json=body).json()
        while True:
            _time.sleep(1.0)
            task = http.get(f"/hub/v1/tasks/{task['task_id']}").json()
            if task["status"] == "completed":
                break
        _display(_Image(http.get(task["output"]["images"][0]["url"]).content))
"""
"""What the samples of vendors do: poll every second, and show the original, without progress."""

LOOP = "httpx, every 1 s"

Values = dict[tuple[str, str, str], list[float]]


def measure(runs: int = 7) -> list[Figure]:
    """Return the figures of a cell with a short task, of one from the journal, and of a long wait.

    Args:
        runs: How often each is measured, interleaved.
    """
    compile_package()
    found: Values = defaultdict(list)
    with bench_hub(task_s=TASK_S) as url, ExitStack() as stack:
        _short_cells(url, stack, runs, found)
    with bench_hub(task_s=LONG_TASK_S) as url, ExitStack() as stack:
        _long_waits(url, stack, runs, found)
    goals = {
        ("seeded again, from the journal", "wall, ms"): 20.0,
        ("seeded again, from the journal", "requests"): 0.0,
        ("waiting, with a progress bar", "processor, % of a core"): 0.5,
    }
    return [
        Figure(
            *(SECTION, case, quantity, client, tuple(values)),
            goal=goals.get((case, quantity)) if client == OURS else None,
            note=_NOTES.get((case, client), ""),
        )
        for (case, quantity, client), values in found.items()
    ]


_NOTES = {
    ("a 1 s task, after the first cell", LOOP): "The loop shows no progress and saves no file.",
    ("waiting, with a progress bar", LOOP): "The loop shows no progress.",
}


def _kernels(url: str, stack: ExitStack) -> tuple[Kernel, Kernel]:
    """Start a kernel for each client, which has run a cell of it."""
    ours, plain = stack.enter_context(kernel()), stack.enter_context(kernel())
    run(ours, METER)
    run(ours, "%load_ext mountsea_magic")
    run(plain, METER)
    run(plain, PLAIN_LOOP.replace("URL", url))
    return ours, plain


def _short_cells(url: str, stack: ExitStack, runs: int, found: Values) -> None:
    """Cells with a task of 1 s, and the same cells again."""
    ours, plain = _kernels(url, stack)
    run(ours, "%%mountsea\na dog")
    run(plain, "_generate('a dog')")
    fresh, again = "a 1 s task, after the first cell", "seeded again, from the journal"
    for seed in range(runs):
        cell = f"%%mountsea -s {seed}\na dog"
        _, processor_s = cost(ours, cell)
        found[fresh, "processor, ms", OURS].append(1e3 * processor_s)
        _, processor_s = cost(plain, "_generate('a dog')")
        found[fresh, "processor, ms", LOOP].append(1e3 * processor_s)
        before = sum(stats(url).values())
        wall_s, processor_s = cost(ours, cell)
        found[again, "wall, ms", OURS].append(1e3 * wall_s)
        found[again, "processor, ms", OURS].append(1e3 * processor_s)
        found[again, "requests", OURS].append(sum(stats(url).values()) - before)


def _long_waits(url: str, stack: ExitStack, runs: int, found: Values) -> None:
    """Cells with a task of 20 s, both clients at once; the first and last seconds do not count."""
    ours, plain = _kernels(url, stack)
    cells = {OURS: (ours, "%%mountsea\na dog"), LOOP: (plain, "_generate('a dog')")}
    first, last = WATCHED_S
    for _ in range(runs):
        ids = {client: started.begin(cell) for client, (started, cell) in cells.items()}
        time.sleep(first)
        before = {client: _processor_s(started) for client, (started, _) in cells.items()}
        time.sleep(last - first)
        for client, (started, _) in cells.items():
            share = (_processor_s(started) - before[client]) / (last - first)
            case = "waiting, with a progress bar"
            found[case, "processor, % of a core", client].append(100 * share)
        for client, (started, _) in cells.items():
            assert started.collect(ids[client]).status == "ok"


def _processor_s(started: Kernel) -> float:
    """Return the processor time that a kernel has used, in seconds, without asking it."""
    # Linux has a clock for every process, finer than the ticks in /proc
    process_id: int = getattr(started.manager.provisioner, "pid", 0)
    return time.clock_gettime(~process_id << 3 | 2)


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(markdown_table(measure(runs)))
