"""Replace the process's session in a test, as if the kernel had just started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hub_server import KEY, StandInHub

from mountsea_magic import session
from mountsea_magic.session import Session

SMALL: dict[str, Any] = {"model": "gpt-image-2", "image_size": {"width": 96, "height": 64}}
"""Parameters for a small image, which the demo Hub draws quickly."""

SESSIONS: list[Session] = []
"""The sessions of the current test."""


def begin_session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """Start with a new session, but the same files and loop thread."""
    fresh = Session()
    fresh.worker = session.current_session().worker
    fresh.clients.demo_seconds = 0.05
    monkeypatch.setattr(session, "_current", fresh)
    SESSIONS.append(fresh)
    return fresh


def end_sessions() -> None:
    """Close the clients of all sessions of a test, since no kernel shuts down here."""
    while SESSIONS:
        session = SESSIONS.pop()
        session.worker.run(session.clients.aclose())


def reach(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the environment variables at a stand-in Hub."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)


def demo_tasks(home: Path) -> list[Any]:
    """Return the tasks of the demo Hub."""
    return [json.loads(path.read_text()) for path in (home / "demo").glob("hub-*.json")]
