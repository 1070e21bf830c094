"""Many generations at once, where a process may open few files: what is open at once is bounded."""

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
from hub_server import Reply, Seen, StandInHub, image, json_reply

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


@pytest.mark.parametrize("busy", ["submissions", "polls", "downloads"])
def test_what_is_open_at_once_is_bounded(hub: StandInHub, here: Session, busy: str) -> None:
    """However many wait: submissions, polls and downloads each have slots of their own."""
    gate = threading.Event()
    count, content = 60, Reply(200, image(), {"Content-Type": "image/png"}, hold=gate)
    if busy == "submissions":
        hub.submits.extend([json_reply({"message": "no"}, 422, hold=gate)] * count)
    elif busy == "polls":
        hub.polls.extend([json_reply({"status": "processing"}, hold=gate)] * count)
    else:
        hub.downloads.extend([content] * count)

    async def main() -> list[Any]:
        work = [agenerate(f"dog {number}", num_images=1) for number in range(count)]
        return await asyncio.gather(*work, return_exceptions=True)

    waiting: dict[str, tuple[Callable[[], list[Seen]], int]] = {
        "submissions": (lambda: hub.posts, MAX_SUBMISSIONS),
        "polls": (lambda: hub.polls_seen, MAX_REQUESTS),
        "downloads": (lambda: hub.downloads_seen, MAX_DOWNLOADS),
    }
    seen, slots = waiting[busy]
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(asyncio.run, main())
        hub.wait_until(lambda: len(seen()) >= slots)
        gate.set()
        results = ended.result()
    api, images = hub.most_open
    assert api <= MAX_SUBMISSIONS + MAX_REQUESTS + MAX_IDLE
    assert images <= MAX_DOWNLOADS + MAX_IDLE
    assert busy != "submissions" or api == MAX_SUBMISSIONS
    kind = InvalidRequest if busy == "submissions" else Generation
    assert [type(result) for result in results] == [kind] * count
    assert len(hub.posts) == count


def run_many(limit: int, count: int) -> subprocess.CompletedProcess[str]:
    """Submit in a process that may open so many files."""
    command = [sys.executable, "-c", MANY, str(limit), str(count)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_hundreds_at_once_fit_into_few_open_files(hub: StandInHub, home: Path) -> None:
    """All complete, each is paid once, and each is in the journal."""
    done = run_many(160, 120)
    assert sorted(set(done.stdout.split("\n"))) == ["", "completed"], done.stdout[-2000:]
    assert done.stdout.count("completed") == 120 and done.stderr == ""
    assert len(hub.posts) == 120
    written = Journal(home / "journal.sqlite").search(limit=1000)
    assert [entry.state for entry in written] == ["completed"] * 120


def test_the_demo_hub_fits_into_them_too(demo: None) -> None:
    """Thirty students on one small machine."""
    done = run_many(128, 30)
    assert done.stdout.count("completed") == 30 and done.stderr == ""
