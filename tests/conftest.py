"""What every test stands on: an environment of its own, real Hubs in threads, real kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# without bytecode every kernel of the suite would compile the package anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_LONGEST = ("browser", "kernel")

_NAMES = ("MOUNTSEA_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep each test away from the user's settings, files and proxies."""
    for name in list(os.environ):
        if name.upper().startswith(_NAMES):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("MOUNTSEA_HOME", str(folder))
    yield folder


def pytest_xdist_auto_num_workers() -> int:
    """Two a processor: many a test waits for a kernel, a Hub or a browser."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no worker is left alone with one at the end."""
    long: dict[Path, int] = {}
    for item in items:
        weight = next((n for n, mark in enumerate(_LONGEST) if item.get_closest_marker(mark)), 9)
        long[item.path] = min(weight, long.get(item.path, 9))
    items.sort(key=lambda item: long[item.path])
