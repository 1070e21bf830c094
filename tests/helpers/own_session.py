"""A session of a test's own in place of the process's, as if the kernel had just started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hub_server import KEY, StandInHub

from mountsea_magic import session
from mountsea_magic.session import Session

SMALL: dict[str, Any] = {"model": "gpt-image-2", "image_size": {"width": 96, "height": 64}}
"""A request that the demo Hub draws in no time."""

BEGUN: list[Session] = []
"""The sessions of the test that runs."""


def begin_session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """Forget all that a process knows, but not what is on disk; the loop thread stays."""
    fresh = Session()
    fresh.worker = session.current_session().worker
    fresh.clients.demo_seconds = 0.05
    monkeypatch.setattr(session, "_current", fresh)
    BEGUN.append(fresh)
    return fresh


def end_sessions() -> None:
    """Close the clients of all sessions that a test has begun: no kernel's end does it here."""
    while BEGUN:
        session = BEGUN.pop()
        session.worker.run(session.clients.aclose())


def reach(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead to a stand-in by the environment, as a user would."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)


def taken(home: Path) -> list[Any]:
    """What the demo Hub was asked for."""
    return [json.loads(path.read_text()) for path in (home / "demo").glob("hub-*.json")]
