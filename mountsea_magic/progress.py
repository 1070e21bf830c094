"""The live line: events become a progress bar in a notebook, or one rewriting line of text."""

from __future__ import annotations

import html
import math
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from .errors import plain
from .events import Completed, Downloading, Event, Notice, Submitted, Waiting

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

EXPECTED_S = 12.0
"""How long a task is taken to last as long as nobody knows better, in seconds."""

TEXT_ONLY = "tex2jax_ignore mathjax_ignore"
"""The classes that keep notebooks from typesetting dollar signs in what others say."""


def fraction(elapsed_s: float, expected_s: float) -> float:
    """Return how far the bar is: quick at first, slower past the expected time, never full.

    Args:
        elapsed_s: Seconds since the submission.
        expected_s: Seconds that such a task is expected to take.

    Returns:
        From 0 up to 0.97; the Hub documents no percentage, so only a ready task is 1.

    Example:
        >>> fraction(0, 12), fraction(12, 12) < fraction(24, 12) < 1
        (0.0, True)
    """
    return 0.97 * (1 - math.exp(-1.7 * elapsed_s / expected_s))


class ProgressLine(Protocol):
    """What shows a generation while it runs; called on the cell's own thread, but for `take`."""

    def take(self, event: Event) -> None:
        """Keep an event; from any thread."""

    def tick(self) -> None:
        """Show what is known by now."""

    def finish(self, html_line: str, text_line: str) -> None:
        """Put the one final line in the progress's place, in every way out."""


class _Progress:
    """What both kinds of line share: the last event, and the words for it."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.started = time.monotonic()
        self.task_id = ""
        self.event: Event | None = None

    def take(self, event: Event) -> None:
        """Keep the newest event; a single assignment is safe between threads."""
        if isinstance(event, Submitted):
            self.task_id = event.task_id
        if not isinstance(event, Notice):
            self.event = event

    def fraction(self) -> float:
        """How far the bar is."""
        event = self.event
        if isinstance(event, Completed | Downloading):
            return 1.0
        expected_s = event.expected_s if isinstance(event, Waiting) else None
        return fraction(time.monotonic() - self.started, expected_s or EXPECTED_S)

    def words(self) -> str:
        """Label, status, elapsed seconds, task id; as plain text."""
        event = self.event
        status = "submitting"  # also what no event and `Submitting` mean
        if isinstance(event, Submitted):
            status = "submitted"
        elif isinstance(event, Waiting):
            status = event.status
        elif isinstance(event, Downloading):
            status = f"downloading {event.done}/{event.total}"
        elif isinstance(event, Completed):
            status = "completed"
        elapsed = f"{time.monotonic() - self.started:.0f} s"
        return " · ".join(filter(None, (self.label, plain(status), elapsed, plain(self.task_id))))


class WidgetLine(_Progress):
    """A progress bar in a notebook; afterwards nothing is left of it but the final line."""

    def __init__(self, label: str) -> None:
        """Show the bar in the cell that runs."""
        super().__init__(label)
        import ipywidgets
        from IPython.display import display

        self._bar = ipywidgets.FloatProgress(
            value=0.0, min=0.0, max=1.0, layout=ipywidgets.Layout(width="180px")
        )
        self._words = ipywidgets.HTML(self._html())
        self._box = ipywidgets.HBox([self._bar, self._words])
        self._handle: DisplayHandle = display(self._box, display_id=True)  # type: ignore[no-untyped-call]  # IPython's display bears no types

    def tick(self) -> None:
        """Move the bar."""
        self._bar.value = self.fraction()
        words = self._html()
        if self._words.value != words:
            self._words.value = words

    def finish(self, html_line: str, text_line: str) -> None:
        """Replace the widget, then close all its parts, so that none is saved."""
        bundle = {"text/html": html_line, "text/plain": text_line}
        self._handle.update(bundle, raw=True)  # type: ignore[no-untyped-call]  # as above
        for widget in (self._bar, self._words, self._box):
            parts: list[Any] = [getattr(widget, "style", None), widget.layout, widget]
            for part in parts:
                if part is not None:
                    part.close()

    def _html(self) -> str:
        """The Hub's status and task id are text, whatever they hold."""
        return f'<span class="{TEXT_ONLY}">{html.escape(self.words())}</span>'


class TextLine(_Progress):
    """One line of text: it rewrites itself in a terminal, and is printed once elsewhere."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        """Write to a stream, standard output if left out."""
        super().__init__(label)
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()

    def tick(self) -> None:
        """Rewrite the line, cut to the terminal's width so that it stays one."""
        if not self._live:
            return
        blocks = round(self.fraction() * 20)
        line = f"[{'#' * blocks}{'.' * (20 - blocks)}] {self.words()}"
        self._stream.write("\r\x1b[2K" + line[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def finish(self, html_line: str, text_line: str) -> None:
        """Print the final line in the rewritten one's place."""
        self._stream.write(("\r\x1b[2K" if self._live else "") + text_line + "\n")
        self._stream.flush()


class NoLine(_Progress):
    """Shows nothing: for quiet cells."""

    def tick(self) -> None:
        """Show nothing."""

    def finish(self, html_line: str, text_line: str) -> None:
        """Show nothing."""
