"""Many concurrent generations with a low limit on open files: connections are limited."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import ReceivedRequest, Reply, StandInHub, image, json_reply

from mountsea_magic import agenerate
from mountsea_magic.errors import InvalidRequest
from mountsea_magic.generation.handle import Generation
from mountsea_magic.generation.submit import MAX_SUBMISSIONS
from mountsea_magic.hub.client import MAX_DOWNLOADS
from mountsea_magic.hub.exchange import MAX_IDLE, MAX_REQUESTS
from mountsea_magic.journal.journal import Journal
from mountsea_magic.session import Session

MANY = """
import asyncio, resource, sys
import mountsea_magic as mm
from mountsea_magic.session import current_session

limit, count = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
current_session().clients.demo_seconds = 0.5

async def main():
    size = {"width": 16, "height": 16}
    work = [
        mm.agenerate(f"dog {n}", model="gpt-image-2", image_size=size, num_images=2)
        for n in range(count)
    ]
    return await asyncio.gather(*work, return_exceptions=True)

for result in asyncio.run(main()):
    print(result.status if isinstance(result, mm.Generation) else repr(result))
"""


@pytest.mark.parametrize("operation", ["submissions", "polls", "downloads"])
def test_concurrent_connections_are_limited(hub: StandInHub, here: Session, operation: str) -> None:
    """Submissions, polls and downloads each have their own limit of connections."""
    gate = threading.Event()
    count, content = 60, Reply(200, image(), {"Content-Type": "image/png"}, hold=gate)
    if operation == "submissions":
        hub.submits.extend([json_reply({"message": "no"}, 422, hold=gate)] * count)
    elif operation == "polls":
        hub.polls.extend([json_reply({"status": "processing"}, hold=gate)] * count)
    else:
        hub.downloads.extend([content] * count)

    async def main() -> list[Any]:
        work = [agenerate(f"dog {number}", num_images=1) for number in range(count)]
        return await asyncio.gather(*work, return_exceptions=True)

    waiting: dict[str, tuple[Callable[[], list[ReceivedRequest]], int]] = {
        "submissions": (lambda: hub.posts, MAX_SUBMISSIONS),
        "polls": (lambda: hub.polls_seen, MAX_REQUESTS),
        "downloads": (lambda: hub.downloads_seen, MAX_DOWNLOADS),
    }
    seen, slots = waiting[operation]
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(asyncio.run, main())
        hub.wait_until(lambda: len(seen()) >= slots)
        gate.set()
        results = ended.result()
    api, images = hub.peak_connections
    assert api <= MAX_SUBMISSIONS + MAX_REQUESTS + MAX_IDLE
    assert images <= MAX_DOWNLOADS + MAX_IDLE
    assert operation != "submissions" or api == MAX_SUBMISSIONS
    result_type = InvalidRequest if operation == "submissions" else Generation
    assert [type(result) for result in results] == [result_type] * count
    assert len(hub.posts) == count


def run_many(limit: int, count: int) -> subprocess.CompletedProcess[str]:
    """Run generations in a process with a limit on open files."""
    command = [sys.executable, "-c", MANY, str(limit), str(count)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)


def test_many_generations_with_few_open_files(hub: StandInHub, home: Path) -> None:
    """All complete, each is submitted once, and each is in the journal."""
    done = run_many(160, 120)
    assert sorted(set(done.stdout.split("\n"))) == ["", "completed"], done.stdout[-2000:]
    assert done.stdout.count("completed") == 120 and done.stderr == ""
    assert len(hub.posts) == 120
    entries = Journal(home / "journal.sqlite").search(limit=1000)
    assert [entry.status for entry in entries] == ["completed"] * 120


def test_demo_hub_with_few_open_files(demo: None) -> None:
    """Thirty concurrent demo generations complete with 128 open files."""
    done = run_many(128, 30)
    assert done.stdout.count("completed") == 30 and done.stderr == ""
