"""A session of a test's own in place of the process's, as if the kernel had just started."""

from __future__ import annotations

import pytest

from mountsea_magic import api, batch, cell, commands, composing, history, models, running, session
from mountsea_magic.session import Session

ROOMS = (api, batch, cell, commands, composing, history, models, running, session)
"""Every room that holds the process's session by its name."""


def begin_session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """Forget all that a process knows, but not what is on disk; the loop thread stays."""
    fresh = Session()
    fresh.worker = session.CURRENT.worker
    for room in ROOMS:
        monkeypatch.setattr(room, "CURRENT", fresh)
    return fresh
