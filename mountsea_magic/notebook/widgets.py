"""Progress views for notebooks: widgets, or HTML lines where widgets can't be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..runtime.text import escape_html
from .progress import NO_FINAL_LINE, TEXT_ONLY, Line, ProgressView
from .widget_tree import answer_while_busy, close_tree

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

MAX_UPDATES_PER_S = 2.0
"""The maximum number of widget changes per second, for all lines: each costs 2 to 3 ms of CPU."""

MIN_HTML_UPDATE_S = 1.0
"""The minimum time between two updates of HTML lines, in seconds: each sends the whole output."""

MIN_STEP = 0.006
"""The smallest change of a progress bar's value that is sent: less is not visible."""

CANCEL_TIP = (
    "Stops waiting. The Hub documents no cancel: the task continues there, is charged if it "
    "completes, and can be resumed with %mountsea resume."
)

BACKGROUND_NOTE = (
    "in the background; results that arrive after the last cell of this run are not saved in the "
    "notebook: get them with `%mountsea resume`"
)
"""Stays below a background cell of nbclient if no result arrives while a cell runs."""


class WidgetView(ProgressView):
    """A progress bar and a text line for each generation, and one Cancel button.

    Args:
        lines: The lines.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        import ipywidgets
        from IPython.display import display

        super().__init__(lines)
        self._rows = [ProgressRow(line) for line in self.lines]
        self._next_tick = 0.0
        self._closed = False
        self._box = ipywidgets.VBox([row.box for row in self._rows])
        # as ipywidgets 8 does it: widgets of ipywidgets 7 can't be displayed with a display id
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        bundle = {
            "application/vnd.jupyter.widget-view+json": view,
            "text/plain": "\n".join(line.text() for line in self.lines),
        }
        self._handle: DisplayHandle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython's display is untyped

    def offer_cancel(self, cancel: Callable[[], None]) -> None:
        """Add the Cancel button.

        Args:
            cancel: Called on a click, on a thread of the kernel.
        """
        import ipywidgets

        button = ipywidgets.Button(
            description="Cancel", tooltip=CANCEL_TIP, layout=ipywidgets.Layout(flex="0 0 80px")
        )
        answer_while_busy(button)

        def clicked(_: Any) -> None:
            button.disabled = True
            cancel()

        button.on_click(clicked)
        last = self._rows[-1].box
        last.children = (*last.children, button)

    def tick(self) -> None:
        """Update the bars and lines, at most `MAX_UPDATES_PER_S` changes per second."""
        now = time.monotonic()
        if now >= self._next_tick:
            sent = sum(row.tick() for row in self._rows)
            self._next_tick = now + sent / MAX_UPDATES_PER_S

    def close(self) -> None:
        """Replace the widgets by the final lines and close them, so that none is saved."""
        if self._closed:
            return
        self._closed = True
        self.republish()
        close_tree(self._box)

    def republish(self) -> None:
        """Send the final lines again, while another cell runs; see `ImageOutputs.republish`."""
        self._handle.update(_finals(self.lines), raw=True)  # type: ignore[no-untyped-call]  # as above


class PlainTextView(ProgressView):
    """HTML lines that are updated in place, for notebooks that run unattended.

    nbclient and papermill save the state of closed widgets, and receive nothing after a cell has
    ended: a widget would stay in the notebook.

    Args:
        lines: The lines.
        background: Whether the cell ends before its generations; a note then says what that means.
    """

    def __init__(self, lines: Sequence[Line], *, background: bool) -> None:
        from IPython.display import display

        super().__init__(lines)
        self._next_tick = 0.0
        note = f" · {BACKGROUND_NOTE}" if background else ""
        texts = [line.label + note for line in lines]
        self._handle: DisplayHandle = display(_html_lines(texts), raw=True, display_id=True)  # type: ignore[no-untyped-call]  # as above

    def tick(self) -> None:
        """Update the lines, in case someone does watch."""
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + MIN_HTML_UPDATE_S
            bundle = _html_lines([line.text() for line in self.lines])
            self._handle.update(bundle, raw=True)  # type: ignore[no-untyped-call]  # as above

    def close(self) -> None:
        """Remove everything but the final lines."""
        self.republish()

    def republish(self) -> None:
        """Send the final lines again, while another cell runs; see `ImageOutputs.republish`."""
        self._handle.update(_finals(self.lines), raw=True)  # type: ignore[no-untyped-call]  # as above


class StaticView(ProgressView):
    """Only the final lines, each a separate output, where outputs can't be updated.

    Args:
        lines: The lines.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__(lines)
        self._next = 0

    def finish(self, index: int) -> None:
        """Show a final line, above its images."""
        from IPython.display import display

        self._next = index + 1
        display(_finals(self.lines[index : index + 1]), raw=True)  # type: ignore[no-untyped-call]  # as above

    def close(self) -> None:
        """Show the final lines that are not shown yet, after an internal error."""
        while self._next < len(self.lines) and self.lines[self._next].final is not None:
            self.finish(self._next)


class EndedView(ProgressView):
    """Only the final lines, in one output: all had ended before there was anything to watch.

    Args:
        lines: The lines.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        from IPython.display import display

        super().__init__(lines)
        display(_finals(lines), raw=True)  # type: ignore[no-untyped-call]  # as above


def _finals(lines: Sequence[Line]) -> dict[str, str]:
    """Return the mimebundle of the final lines."""
    finals = [line.final or NO_FINAL_LINE for line in lines]
    return {
        "text/html": "<br>".join(final.html for final in finals),
        "text/plain": "\n".join(final.text for final in finals),
    }


def _html_lines(texts: Sequence[str]) -> dict[str, str]:
    """Return the mimebundle of progress lines; text from the Hub is escaped."""
    lines = "<br>".join(escape_html(text) for text in texts)
    return {
        "text/html": f'<small class="{TEXT_ONLY}">{lines}</small>',
        "text/plain": "\n".join(texts),
    }


class ProgressRow:
    """The progress bar and the text of one line.

    Attributes:
        box: The widget that shows both.

    Args:
        line: The line.
    """

    def __init__(self, line: Line) -> None:
        import ipywidgets

        self._line = line
        self._bar = ipywidgets.FloatProgress(
            value=0.0, min=0.0, max=1.0, layout=ipywidgets.Layout(flex="0 0 180px")
        )
        self._label = ipywidgets.HTML(self._html())
        self.box = ipywidgets.HBox([self._bar, self._label])

    def tick(self) -> int:
        """Update the widgets; return how many changes were sent."""
        sent, done = 0, self._line.final is not None
        fraction = 1.0 if done else max(self._bar.value, self._line.fraction())
        if fraction != self._bar.value and (
            fraction == 1.0 or abs(fraction - self._bar.value) >= MIN_STEP
        ):
            self._bar.value = fraction
            sent += 1
        html = self._line.final.html if self._line.final is not None else self._html()
        if html != self._label.value:
            self._label.value = html
            sent += 1
        return sent

    def _html(self) -> str:
        return f'<span class="{TEXT_ONLY}">{escape_html(self._line.text())}</span>'
