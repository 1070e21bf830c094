"""Many generations at once, where a process may open few files: what is open at once is bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hub_server import StandInHub

from mountsea_magic.journal import Journal

MANY = """
import asyncio, resource, sys
import mountsea_magic as mm
from mountsea_magic.session import CURRENT

limit, count = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
CURRENT.connections.demo_seconds = 0.5

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
