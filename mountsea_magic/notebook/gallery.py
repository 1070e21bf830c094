"""Show earlier submissions: a table with thumbnails in a notebook, lines elsewhere."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted
from ..generation.history import History, line_of
from ..images.files import GeneratedImage
from ..images.previews import Preview
from ..images.thumbnail_cache import MAX_THUMBNAIL_BYTES, MIN_THUMBNAIL_BYTES
from ..runtime.printing import echo
from ..session import current_session
from .frontend import FrontEnd, front_end
from .gallery_table import GONE, IMAGES_PER_ROW, table
from .thumbnail_maker import ThumbnailMaker

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

MAX_ROWS = 200
"""How many submissions a table shows, so that a notebook stays small enough to open and to mail."""

MAX_OUTPUT_BYTES = 1_150_000
"""The largest output, in bytes; quotes and line ends take two each in the notebook's file."""

WAIT_S = 0.6
"""How long after the beginning the table waits for thumbnails to be made, in seconds."""

UPDATE_S = 2.0
"""The time until the first update of the table, in seconds; each update sends the whole table."""

UPDATE_FACTOR = 1.5
"""Each update comes later than the one before: many images take a minute."""

UNATTENDED_WAIT_S = 600.0
"""As `WAIT_S`, for an unattended run, in which an output can't be updated after its cell."""

_LIMITS = (MAX_THUMBNAIL_BYTES, 3_000, 1_600, 1_000, 800, MIN_THUMBNAIL_BYTES)
"""The limits of a thumbnail, in bytes: few, since each is cached."""

_LATER, _NOT_YET = "loading …", "not loaded yet: run it again"


def show_history(history: History, notes: Sequence[str] = ()) -> None:
    """Show submissions as a table with thumbnails, or as lines where HTML is not shown.

    Args:
        history: The submissions, newest first.
        notes: Sentences below it.

    Raises:
        Interrupted: If interrupted.
    """
    from IPython.core.getipython import get_ipython

    front = front_end(get_ipython())
    if not front.notebook or not len(history):
        echo("\n".join([str(history), *notes]))
        return
    try:
        _Gallery(history, notes, front).show()
    except KeyboardInterrupt:
        raise Interrupted("Stopped. The history was not shown.") from None


class _Gallery:
    """One output with the table; thumbnails that take too long are filled in."""

    def __init__(self, history: History, notes: Sequence[str], front: FrontEnd) -> None:
        left_out = max(0, len(history) - MAX_ROWS)
        more = (
            f"{left_out:,} more are not shown here: search with a part of the prompt, task id, "
            f"model, status or Hub, or list them: "
            f"`print(mountsea_magic.history(limit={len(history)}))`."
        )
        self._items = history.items[:MAX_ROWS]
        self._notes = [*([more] if left_out else []), *notes]
        self._text = "\n".join([*map(line_of, self._items), *self._notes])
        self._front, self._now, self._began = front, time.time(), time.monotonic()
        self._per_row, max_bytes = self._sizes()
        images = self._images(self._per_row)
        self._gone = {image: GONE for image in images if not _is_file(image)}
        self._maker = ThumbnailMaker(
            [image for image in images if image not in self._gone],
            current_session().settings().thumbnails,
            max_bytes,
        )

    def show(self) -> None:
        """Display the table, and fill it in while the notebook goes on."""
        from IPython.display import display

        later = self._front.updates and self._front.attended
        wait_s = WAIT_S if self._front.attended else UNATTENDED_WAIT_S
        self._maker.start()
        try:
            complete = self._maker.wait(self._began + wait_s - time.monotonic())
            with self._maker.paused():
                bundle = self._bundle(_LATER if later else _NOT_YET)
                handle: Any = display(bundle, raw=True, display_id=later or None)  # type: ignore[no-untyped-call]  # IPython's display is untyped
        except KeyboardInterrupt:
            self._maker.stop()
            raise
        if later and not complete:
            fill = threading.Thread(
                # with the cell's context: ipykernel finds the cell of an output there
                target=copy_context().run,
                args=(self._fill, handle),
                name="mountsea-gallery",
                daemon=True,
            )
            fill.start()

    def _fill(self, handle: DisplayHandle) -> None:
        """Update the table until all thumbnails are made."""
        complete, interval_s = False, UPDATE_S
        while not complete:
            complete, interval_s = self._maker.wait(interval_s), interval_s * UPDATE_FACTOR
            handle.update(self._bundle(_LATER), raw=True)  # type: ignore[no-untyped-call]  # as above

    def _bundle(self, missing: str) -> dict[str, str]:
        """Return the table as it is now, with words in place of thumbnails that are missing."""
        thumbnails: dict[GeneratedImage, Preview | str] = dict(self._gone)
        for image in self._images(self._per_row):
            thumbnails.setdefault(image, self._maker.made.get(image, missing))
        html = table(
            self._items, thumbnails, now=self._now, per_row=self._per_row, notes=self._notes
        )
        return {"text/html": html, "text/plain": self._text}

    def _images(self, per_row: int) -> list[GeneratedImage]:
        """Return the images of the table, of which each row shows only the first."""
        return [image for item in self._items for image in item.generation.images[:per_row]]

    def _sizes(self) -> tuple[int, int]:
        """Return how many images a row shows at most, and the limit of each in bytes."""
        per_row, max_bytes = IMAGES_PER_ROW, 0
        while True:
            images = self._images(per_row)
            empty = dict.fromkeys(images, Preview("image/jpeg", b"", 1, 1))
            html = table(self._items, empty, now=self._now, per_row=per_row, notes=self._notes)
            left = MAX_OUTPUT_BYTES - len(html.encode()) - len(self._text.encode())
            for max_bytes in _LIMITS:
                if len(images) * 4 * math.ceil(max_bytes / 3) <= left:
                    return per_row, max_bytes
            if per_row == 0:
                return per_row, max_bytes
            per_row -= 1


def _is_file(image: GeneratedImage) -> bool:
    """Whether its file is still there; if it was changed, that is noticed when it is read."""
    try:
        return os.path.isfile(image.path)
    except ValueError:
        return False
