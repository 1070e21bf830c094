"""The question before a large order, and the check of the budget, both before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import Interrupted, InvalidRequest, MountseaError
from ..generation.budget import image_count
from ..generation.handle import Generation
from ..runtime.text import counted
from ..session import current_session
from ..settings import Settings
from .frontend import front_end
from .options import CellOptions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

CREDITS_TIMEOUT_S = 5.0
"""How long the question waits for the credits, in seconds."""


def check_order(
    shell: InteractiveShell,
    generations: Sequence[Generation],
    settings: Settings,
    options: CellOptions,
) -> None:
    """Refuse an order over the budget, and ask before a large one; the demo Hub charges nothing.

    Args:
        shell: The user's shell.
        generations: The handles of all requests of the cell.
        settings: The Hub and the key.
        options: The options of the cell.

    Raises:
        BudgetExceeded: If the order would exceed the budget.
        InvalidRequest: If nobody can answer the question.
        Interrupted: If the answer is not yes.
    """
    session = current_session()
    asks = not options.yes and image_count(generations) > options.confirm_above
    if settings.is_demo or not (asks or session.budget.limit(settings) is not None):
        return
    ordered = session.budget.charged(
        settings, generations, fresh=options.fresh, cache=options.cache
    )
    images = image_count(ordered)
    session.budget.check(settings, images)
    if not options.yes and images > options.confirm_above:
        _ask(shell, f"{counted(len(ordered), 'request')} for {counted(images, 'image')}", settings)


def _ask(shell: InteractiveShell, order: str, settings: Settings) -> None:
    """Ask on the shell's standard input; raises unless the answer is yes."""
    front = front_end(shell)
    unanswerable = (
        f"This cell submits {order}, and this front end can't ask whether to go on. Add --yes to "
        "submit them. Nothing was sent."
    )
    if front.notebook and not front.attended:
        raise InvalidRequest(unanswerable)
    try:
        answer = input(f"Submit {order}{_credits_left(settings)}? [y/N] ")
    except (EOFError, OSError, RuntimeError) as error:  # of IPython's, one is a RuntimeError
        raise InvalidRequest(unanswerable) from error
    if answer.strip().casefold() not in ("y", "yes"):
        raise Interrupted("Cancelled. Nothing was sent.")


def _credits_left(settings: Settings) -> str:
    """Return how many credits are left as a remark; empty where they can't be had."""
    session = current_session()

    async def credits_left() -> float:
        async with asyncio.timeout(CREDITS_TIMEOUT_S):
            return await session.clients.client(settings).credits()

    try:
        return f" ({session.worker.run(credits_left()):,.10g} credits left)"
    except (MountseaError, TimeoutError):
        return ""
