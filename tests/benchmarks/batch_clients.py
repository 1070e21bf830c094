"""One batch in a process of its own: ``python batch_clients.py CLIENT COUNT FOLDER URL``.

Prints a line when it is ready, waits for a line, runs the batch, and prints JSON: seconds,
processor seconds and megabytes that the batch has added.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from report import OURS

HTTPX_LOOP = "httpx 1 s"

IN_FLIGHT = 64

_PATH = "/v1/images/generations"


def run_package(count: int, folder: Path, url: str) -> None:
    """Run a batch by `generate_many`."""
    import mountsea_magic as mm

    batch = mm.generate_many(_prompts(count), concurrency=IN_FLIGHT, progress=False)
    assert len(batch.completed) == count, batch.error()


def run_httpx_loop(count: int, folder: Path, url: str) -> None:
    """Run a batch as vendors' samples do: each task is polled every second."""
    import httpx

    async def one(client: httpx.AsyncClient, slots: asyncio.Semaphore, prompt: str) -> None:
        async with slots:
            body = {"model": "nano-banana", "input": {"prompt": prompt}}
            response = await client.post(_PATH, json=body)
            task = response.raise_for_status().json()
            while task["status"] not in ("completed", "failed"):
                await asyncio.sleep(1.0)
                response = await client.get(f"/v1/tasks/{task['task_id']}")
                task = response.raise_for_status().json()
        for number, image in enumerate(task["output"]["images"]):
            content = (await client.get(image["url"])).raise_for_status().content
            (folder / f"{task['task_id']}-{number}.png").write_bytes(content)

    async def run() -> None:
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await asyncio.gather(*(one(client, slots, prompt) for prompt in _prompts(count)))

    asyncio.run(run())


RUN: dict[str, Callable[[int, Path, str], None]] = {
    OURS: run_package,
    HTTPX_LOOP: run_httpx_loop,
}


def _prompts(count: int) -> list[str]:
    return [f"a dog, number {number}" for number in range(count)]


def peak_mb() -> float:
    """The most memory that this process has had so far, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main(client: str, count: int, folder: Path, url: str) -> None:
    """Run a batch after one of two tasks, which imports, opens and learns what is needed once.

    Args:
        client: One of `RUN`.
        count: How many tasks the batch has.
        folder: An empty folder for its files.
        url: The Hub's.
    """
    os.environ |= {
        "MOUNTSEA_HOME": str(folder),
        "MOUNTSEA_BASE_URL": url,
        "MOUNTSEA_API_KEY": "sk-benchmark-0123456789",
    }
    run = RUN[client]
    run(2, folder, url)
    print("ready", flush=True)
    sys.stdin.readline()
    before_mb, cpu_s, started = peak_mb(), time.process_time(), time.perf_counter()
    run(count, folder, url)
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    print(json.dumps([wall_s, cpu_s, peak_mb() - before_mb]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
