"""The progress of a batch that no cell magic runs: one line, wherever Python runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..generation.batch import Batch
from ..generation.events import Event, Notice
from ..generation.handle import Generation
from ..generation.many import Watcher
from ..generation.notices import notify
from .batch_line import BatchLine
from .batch_outputs import batch_final_line, batch_label
from .frontend import FrontEnd, front_end
from .views import choose_view


class BatchProgress:
    """One line for all generations of a batch, which tells what came of them when it is closed.

    In a notebook it is a widget with a Cancel button, or text where outputs can't be updated; in a
    terminal a line that is rewritten, on standard error; elsewhere only the last line is written,
    to standard error.

    Args:
        batch: The batch.
        watch: Makes this object a watcher of the batch, and returns a function for how many
            seconds nothing may be submitted.
        total: How many generations there are, or None while they are drawn from an iterator.

    Example:
        >>> BatchProgress(batch, run.watch, 24).tick()  # doctest: +SKIP
    """

    def __init__(
        self,
        batch: Batch,
        watch: Callable[[Watcher], Callable[[], float]],
        total: int | None,
    ) -> None:
        self._batch = batch
        self._started = time.monotonic()
        front = _front_end()
        self._line = BatchLine(batch_label(batch), total=total, pause_s=watch(self))
        self._view = choose_view(front, [self._line], stream=sys.stderr)
        if front.notebook and front.updates and front.clicks:
            self._view.offer_cancel(batch.cancel)

    def take(self, generation: Generation, event: Event) -> None:
        """Take an event of a generation, on the loop thread."""
        if isinstance(event, Notice):
            notify([event.text], None)
        self._line.take(generation, event)

    def end(self, generation: Generation) -> None:
        """Take the end of a generation, on the loop thread."""
        self._line.end(generation)

    def tick(self) -> None:
        """Update the line."""
        self._view.tick()

    def close(self) -> None:
        """Leave the final line, and nothing else."""
        self._line.final = batch_final_line(self._batch, time.monotonic() - self._started)
        self._view.finish(0)
        self._view.close()


@contextmanager
def shown_progress(
    batch: Batch, watch: Callable[[Watcher], Callable[[], float]], total: int | None
) -> Iterator[Callable[[], None]]:
    """Show the progress of a batch while the block runs.

    Args:
        batch: The batch.
        watch: As for `BatchProgress`.
        total: As for `BatchProgress`.

    Yields:
        The function that updates the line.
    """
    progress = BatchProgress(batch, watch, total)
    try:
        yield progress.tick
    finally:
        progress.close()


def _front_end() -> FrontEnd:
    """Return the front end; a plain script must not import IPython."""
    ipython: Any = sys.modules.get("IPython.core.getipython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        return front_end(shell)
    return FrontEnd(
        notebook=False, attended=False, clicks=False, late_outputs=False, draws_png=False
    )
