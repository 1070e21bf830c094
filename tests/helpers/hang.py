"""How long a test waits for an event before it calls it a hang; no busy machine takes that long."""

from __future__ import annotations

HANG_S = 300.0
"""In seconds. It is no measure of speed: every wait ends with its event."""
