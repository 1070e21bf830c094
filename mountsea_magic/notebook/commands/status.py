"""``%mountsea`` without a command, which shows the status, and the command ``credits``."""

from __future__ import annotations

from ... import __version__
from ...session import current_session
from ..options import CellOptions
from .budget import budget_line
from .login import key_line
from .tasks import open_lines


def status_text(defaults: CellOptions) -> str:
    """Return version, Hub, source of the key, default model, folder, budget and open tasks."""
    settings = current_session().settings()
    hub = "demo: (the embedded demo Hub)" if settings.is_demo else settings.base_url
    lines = [
        f"mountsea-magic {__version__}",
        f"Hub: {hub}",
        key_line(),
        f"model: {defaults.model}",
        f"files: {settings.originals}",
        budget_line(),
        *open_lines(),
    ]
    notes = [*current_session().keys().notes(), *current_session().journal(settings).trouble()]
    return "\n".join([*lines, *(f"Note: {text.rstrip('.')}." for text in notes)])


def credits_line() -> str:
    """Return how many credits are left, marked at the demo Hub, where they are not real."""
    count = current_session().worker.run(_credits())
    at = " at the demo Hub" if current_session().settings().is_demo else ""
    return f"{count:,.10g} credits left{at}."


async def _credits() -> float:
    """Get the credits on the worker's event loop, to which the client belongs."""
    return await current_session().clients.client(current_session().settings()).credits()
