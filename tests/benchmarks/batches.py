"""Measure batches against a local Hub: ``python tests/benchmarks/batches.py [NAME...]``.

Prints one line for each measurement, with the goal beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@contextmanager
def bench_hub(**options: float) -> Iterator[str]:
    """Start the Hub in a process of its own, with empty data folder and a key; yields its URL."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    hub = subprocess.Popen(
        [sys.executable, str(HERE / "bench_hub.py"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert hub.stdin is not None and hub.stdout is not None
    url = hub.stdout.readline().strip()
    try:
        with tempfile.TemporaryDirectory() as home:
            os.environ |= {
                "MOUNTSEA_HOME": home,
                "MOUNTSEA_BASE_URL": url,
                "MOUNTSEA_API_KEY": "sk-benchmark-0123456789",
            }
            yield url
    finally:
        hub.stdin.close()
        hub.wait()


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
    for name in sys.argv[1:] or MEASUREMENTS:
        MEASUREMENTS[name]()
