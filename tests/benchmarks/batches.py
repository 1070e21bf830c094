"""Measure batches against a local Hub: ``python tests/benchmarks/batches.py [NAME...]``.

Without a name it prints the table of `measure`: batches of several sizes beside a plain loop. A
name prints one line for what has no peer, with the goal beside it.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from batch_clients import HTTPX_LOOP, IN_FLIGHT
from report import OURS, Figure, markdown_table

HERE = Path(__file__).parent

SECTION = "Batches"

TASK_S = 1.5
"""How long each task takes, in seconds; a loop that polls every second finds it after 2."""

SIZES = {10: (7, 1), 100: (7, 1), 1000: (2, 2), 5000: (1, 2)}
"""For each size how many rounds there are, and how many batches of ours run at once in each.

A round takes as long as its batches, which wait most of the time, and so run side by side.
"""

BARE = "The plain loop keeps no journal, and saves images unchecked."


class BatchCost(NamedTuple):
    """What one batch has cost.

    Attributes:
        wall: Its seconds, divided by the ideal.
        cpu_ms: Milliseconds of processor time for each task.
        added_mb: Megabytes of memory that it has added at most.
        requests: Requests for each task.
    """

    wall: float
    cpu_ms: float
    added_mb: float
    requests: float


def measure(runs: int = 7) -> list[Figure]:
    """Measure batches of ours and of a plain loop side by side, each in a process of its own.

    Args:
        runs: How many rounds of the small sizes there are; large ones have fewer, see `SIZES`.
    """
    costs = defaultdict[tuple[int, str], list[BatchCost]](list)
    for size, (rounds, at_once) in SIZES.items():
        for _ in range(min(rounds, runs)):
            clients = [OURS] * at_once + [HTTPX_LOOP]
            for client, cost in zip(clients, _side_by_side(size, clients), strict=True):
                costs[size, client].append(cost)
    figures = [
        figure
        for (size, client), of_runs in costs.items()
        for figure in _figures_of_size(size, client, of_runs)
    ]
    return figures + [figure for client in (OURS, HTTPX_LOOP) for figure in _slope(costs, client)]


def _side_by_side(size: int, clients: Sequence[str]) -> list[BatchCost]:
    """Run a batch of each client at the same time, each against a Hub of its own."""
    with ExitStack() as stack:
        hubs = [stack.enter_context(hub_process(task_s=TASK_S)) for _ in clients]
        folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in clients]
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, HERE / "batch_clients.py", client, str(size), folder, hub],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for client, folder, hub in zip(clients, folders, hubs, strict=True)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for hub in hubs:
            urllib.request.urlopen(f"{hub}/reset").close()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        ideal_s, costs = math.ceil(size / IN_FLIGHT) * TASK_S, list[BatchCost]()
        for process, hub in zip(processes, hubs, strict=True):
            wall_s, cpu_s, added_mb = json.loads(process.communicate()[0])
            requests = sum(stats(hub).values()) / size
            costs.append(BatchCost(wall_s / ideal_s, 1000 * cpu_s / size, added_mb, requests))
        return costs


def _figures_of_size(size: int, client: str, of_runs: Sequence[BatchCost]) -> list[Figure]:
    case = f"{size:,} tasks of {TASK_S:g} s, {IN_FLIGHT} in flight"
    wall, cpu_ms, added_mb, requests = zip(*of_runs, strict=True)
    goals = (1.15, 8.0, 100.0) if client == OURS and size == 1000 else (None, None, None)
    few = f"Only {len(of_runs)} batches of ours." if client == OURS and len(of_runs) < 7 else ""
    bare = BARE if client == HTTPX_LOOP else ""
    return [
        Figure(SECTION, case, "wall ÷ ideal", client, wall, goals[0], note=few),
        Figure(SECTION, case, "processor, ms a task", client, cpu_ms, goals[1], note=bare),
        Figure(SECTION, case, "memory added, MB", client, added_mb, goals[2], note=bare),
        Figure(SECTION, case, "requests a task", client, requests),
    ]


def _slope(costs: dict[tuple[int, str], list[BatchCost]], client: str) -> list[Figure]:
    """How the cost of a task grows with the size of its batch: not at all, if it is flat."""
    figures = list[Figure]()
    largest, smaller = max(SIZES), [size for size in SIZES if 10 < size < max(SIZES)]
    for size in smaller:
        base_ms = statistics.median(cost.cpu_ms for cost in costs[size, client])
        figures.append(
            Figure(
                *(SECTION, f"a task of {largest:,} ÷ of {size:,}", "processor, ratio", client),
                tuple(cost.cpu_ms / base_ms for cost in costs[largest, client]),
                1.1 if client == OURS else None,
            )
        )
    base_mb = statistics.median(cost.added_mb for cost in costs[smaller[-1], client])
    added = [
        1000 * (cost.added_mb - base_mb) / (largest - smaller[-1])
        for cost in costs[largest, client]
    ]
    case = f"from {smaller[-1]:,} to {largest:,} tasks"
    figures.append(Figure(SECTION, case, "memory, kB a task", client, tuple(added)))
    return figures


@contextmanager
def hub_process(script: str = "bench_hub.py", /, **options: float) -> Iterator[str]:
    """Start a Hub in a process of its own; yields its URL."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    hub = subprocess.Popen(
        [sys.executable, str(HERE / script), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert hub.stdin is not None and hub.stdout is not None
    try:
        yield hub.stdout.readline().strip()
    finally:
        hub.stdin.close()
        hub.stdout.close()
        hub.wait()


@contextmanager
def bench_hub(**options: float) -> Iterator[str]:
    """Start the Hub, and use it in this process with an empty data folder; yields its URL."""
    with hub_process(**options) as url, tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "MOUNTSEA_HOME": home,
            "MOUNTSEA_BASE_URL": url,
            "MOUNTSEA_API_KEY": "sk-benchmark-0123456789",
        }
        yield url


def stats(url: str) -> dict[str, int]:
    """Return what the Hub has counted."""
    with urllib.request.urlopen(f"{url}/stats") as response:
        counted: dict[str, int] = json.load(response)
    return counted


def memory_mb() -> float:
    """Return the resident memory of this process, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def report(name: str, measured: str, goal: str) -> None:
    """Print one line."""
    print(f"{name:<34} {measured:<64} goal: {goal}", flush=True)


def thousand() -> None:
    """1,000 tasks of 2 s at 64 in flight, and the same completed batch again."""
    import mountsea_magic as mm

    prompts = [f"a dog, number {number}" for number in range(1000)]
    with bench_hub(task_s=2.0) as url:
        mm.generate_many(prompts[:2])  # what is imported and opened once
        before_mb, cpu_s, started = memory_mb(), time.process_time(), time.perf_counter()
        batch = mm.generate_many(prompts, concurrency=64, batch="bench", progress=False)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
        assert len(batch.completed) == 1000, batch
        ideal_s = 1000 * 2.0 / 64
        counted = stats(url)
        report(
            "1,000 tasks of 2 s, 64 in flight",
            f"{wall_s:.1f} s = {wall_s / ideal_s:.2f} x ideal, {cpu_s:.2f} ms of processor a task, "
            f"+{memory_mb() - before_mb:.0f} MB, {counted['polls'] / 1000:.2f} polls a task",
            "<= 1.15 x ideal, <= 8 ms, <= 100 MB",
        )
        started, requests = time.perf_counter(), sum(stats(url).values())
        again = mm.generate_many(prompts, concurrency=64, batch="bench", progress=False)
        wall_s = time.perf_counter() - started
        report(
            "the same batch again",
            f"{wall_s:.2f} s, {sum(stats(url).values()) - requests} requests, "
            f"{sum(each.from_journal for each in again)} from the journal",
            "<= 5 s, 0 requests",
        )


def endless() -> None:
    """20,000 prompts from a generator at 256 in flight."""
    import mountsea_magic as mm

    memory: dict[int, float] = {}

    async def run() -> None:
        prompts = (f"a cat, number {number}" for number in range(20_000))
        done = 0
        async for generation in mm.agenerate_many(prompts, concurrency=256):
            assert generation.images, generation.error
            done += 1
            if done in (2_000, 20_000):
                memory[done] = memory_mb()

    with bench_hub(task_s=0.5):
        started = time.perf_counter()
        asyncio.run(run())
        report(
            "20,000 from a generator, 256 in flight",
            f"+{memory[20_000] - memory[2_000]:.1f} MB from the 2,000th to the 20,000th, "
            f"{time.perf_counter() - started:.0f} s",
            "<= 30 MB",
        )


def limited() -> None:
    """A Hub that takes 8 at a time, and answers 429 to the rest."""
    import mountsea_magic as mm

    with bench_hub(task_s=2.0, capacity=8, retry_after_s=1.0) as url:
        started = time.perf_counter()
        batch = mm.generate_many(
            [f"a hat, number {number}" for number in range(40)], concurrency=32, progress=False
        )
        wall_s, counted = time.perf_counter() - started, stats(url)
        assert len(batch.completed) == 40, batch.error()
        report(
            "40 tasks, a Hub that takes 8",
            f"{wall_s:.1f} s = {wall_s / 10:.2f} x ideal, {counted.get('refused', 0)} refused",
            "<= 1.4 x ideal, <= 13 refused",
        )


def interrupted() -> None:
    """Interrupt to idle with 64 in flight."""
    import _thread
    import threading

    import mountsea_magic as mm

    with bench_hub(task_s=30.0) as url:
        started: list[float] = []

        def interrupt() -> None:
            while stats(url).get("accepted", 0) < 64:
                time.sleep(0.05)
            started.append(time.perf_counter())
            _thread.interrupt_main()

        threading.Thread(target=interrupt).start()
        try:
            mm.generate_many([f"a cup {number}" for number in range(200)], concurrency=64)
        except mm.Interrupted:
            took_s = time.perf_counter() - started[0]
        report("interrupt to idle, 64 in flight", f"{took_s:.2f} s", "<= 0.5 s")


MEASUREMENTS: dict[str, Callable[[], Any]] = {
    "thousand": thousand,
    "limited": limited,
    "interrupted": interrupted,
    "endless": endless,
}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        MEASUREMENTS[name]()
    if not sys.argv[1:]:
        print(markdown_table(measure()))
