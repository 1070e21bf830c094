"""The contact sheet of a cell: one output that fills as results come."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ..generation.batch import Batch
from ..generation.batch_sheet import note_of, plan_sheet, requests_by_place, tile_of
from .batch_outputs import sheet_bundle
from .outputs import Output

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

MIN_UPDATE_S = 2.0
"""The minimum time between two updates of the sheet, in seconds: each sends the whole image."""

MAX_PIXELS = 3_000_000
"""The largest sheet of a cell, in pixels: more can't be seen in a notebook, and takes longer."""

DRAW_S = 0.5
"""How long the images of one tick may be drawn, in seconds; meanwhile the line stands still."""

INTERRUPTED_DRAW_S = 0.1
"""How long images may be drawn after an interrupt, in seconds."""


class SheetOutput:
    """The contact sheet of a batch that runs; only places that change are drawn.

    Args:
        batch: The batch.
        updates: Whether the output can be updated in place; else it is sent once, at the end.
        reserve: Whether the output must be made now, since one that is made after the end of the
            cell would be lost, or appear elsewhere.
        png: Whether it must be a PNG, for a terminal.

    Example:
        >>> SheetOutput(batch, updates=True, reserve=False).tick()  # doctest: +SKIP
    """

    def __init__(
        self, batch: Batch, *, updates: bool, reserve: bool = False, png: bool = False
    ) -> None:
        self._batch, self._updates, self._png = batch, updates, png
        self._plan = plan_sheet(batch)
        self._sheet = self._plan.sheet(max_pixels=MAX_PIXELS)
        self._requests = requests_by_place(self._plan, batch)
        self._ended: deque[int] = deque()
        self._unended = dict.fromkeys(self._requests)
        self._is_new = False
        self._next_update = 0.0
        self._shown: Output = {"text/plain": ""}, {}
        self._handle: DisplayHandle | None = self._display() if reserve else None

    def ended(self, index: int) -> None:
        """Note that a request has ended; can be called from any thread.

        Args:
            index: Its index in the batch.
        """
        self._ended.append(index)

    def tick(self) -> None:
        """Draw some of the results that are new, and update the output if it is time."""
        self._draw(until=time.monotonic() + DRAW_S)
        if self._updates and self._is_new and time.monotonic() >= self._next_update:
            self._publish()

    def close(self, *, interrupted: bool = False) -> None:
        """Draw what is left, and show the sheet as it stays.

        Args:
            interrupted: Whether there is no time for all images: those left out are in the files.
        """
        self._draw(until=time.monotonic() + INTERRUPTED_DRAW_S if interrupted else None)
        self._publish()

    def republish(self) -> None:
        """Send the output again, while another cell runs; see `ImageOutputs.republish`."""
        if self._handle is not None:
            bundle, metadata = self._shown
            self._handle.update(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # IPython's display is untyped

    def _draw(self, until: float | None) -> None:
        """Draw the results that are new, but for those that would take too long."""
        while self._ended and (until is None or time.monotonic() < until):
            place = self._plan.places[self._ended.popleft()]
            self._sheet.put(*place, tile_of(self._requests[place]))
            self._unended.pop(place, None)
            self._is_new = True

    def _publish(self) -> None:
        """Send the sheet as it is now, with notes in place of results that are not drawn yet."""
        for place in self._unended:
            self._sheet.put(*place, note_of(self._requests[place]))
        self._shown = sheet_bundle(self._sheet, self._batch, png=self._png)
        self._is_new = False
        self._next_update = time.monotonic() + MIN_UPDATE_S
        if self._handle is None:
            self._handle = self._display()
        else:
            self.republish()

    def _display(self) -> Any:
        """Display the output, to be updated later if it can be."""
        from IPython.display import display

        bundle, metadata = self._shown
        return display(bundle, metadata=metadata, raw=True, display_id=self._updates or None)  # type: ignore[no-untyped-call]  # as above
