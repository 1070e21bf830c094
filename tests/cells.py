"""Cells in a shell without a kernel: run them, and see what came of them."""

from __future__ import annotations

from typing import Any

from hub_server import StandInHub
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.handle import Generation

FAILED = {"status": "failed", "ready": True, "error_message": "no dogs"}
"""What the Hub says of a task that failed."""


def run_cell(shell: InteractiveShell, body: str = "a dog", line: str = "") -> list[Generation]:
    """Run a cell that binds ``dogs``, and return its handles."""
    shell.run_cell_magic("mountsea", f"-o dogs {line}", body)  # type: ignore[no-untyped-call]  # IPython's is so
    return handles(shell)


def handles(shell: InteractiveShell) -> list[Generation]:
    """Return what the cell bound, be it one or a list."""
    bound: Any = shell.user_ns["dogs"]
    return bound if isinstance(bound, list) else [bound]


def prompts(hub: StandInHub) -> list[str]:
    """Return the prompts that were ordered, in the order in which they came."""
    return [seen.json["input"]["prompt"] for seen in hub.posts]
