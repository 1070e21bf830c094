"""The table of earlier submissions as HTML: thumbnails, prompt, model, time, status and task id.

Styles are inline, since GitHub shows a style element in Markdown as text. Colors are those of the
front end, except for the status: white on a color with a contrast of at least 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..errors import resume_hint
from ..generation.handle import Generation
from ..generation.history import PastGeneration
from ..hub.status import CLOSED, SUCCEEDED, Status
from ..images.files import GeneratedImage
from ..images.previews import Preview
from ..images.thumbnail_cache import THUMBNAIL_PX
from ..images.thumbnails import fitting_size
from ..runtime.text import counted, escape_html, quoted, sanitize
from .outputs import alt_text, image_element
from .progress import TEXT_ONLY

IMAGES_PER_ROW = 4
"""How many images of a submission are shown; the others are counted."""

GONE = "file is gone"
"""Shown in place of an image whose file was deleted."""

_SEVERAL_PX = 64
"""The longest side of the images of a row that has several, in pixels."""

_MAX_PROMPT, _MAX_ERROR, _MAX_ALT = 200, 160, 80
"""The longest texts of a row, in characters: `%mountsea show` has them in full."""

_GREEN, _RED, _AMBER, _GREY, _BLUE = "#1b5e20", "#b71c1c", "#7a4100", "#424242", "#0d47a1"
"""Behind white text, in light and dark themes alike."""

_COLORS: dict[str, str] = {
    **dict.fromkeys(SUCCEEDED, _GREEN),
    **dict.fromkeys((*CLOSED, Status.REFUSED, Status.NOT_DOWNLOADED), _RED),
    Status.UNCERTAIN: _AMBER,
    **dict.fromkeys((Status.UNSENT, Status.SKIPPED, Status.NEW), _GREY),
}
"""The color of each status; others are of tasks that are open."""

_CELL = "text-align:left;vertical-align:top"
_COLUMNS = {
    "Images": _CELL,
    "Prompt": f"{_CELL};min-width:9em",
    "Model": f"{_CELL};min-width:6em",
    "Submitted": f"{_CELL};min-width:6em",
    "Seconds": _CELL,
    "Status": f"{_CELL};white-space:nowrap",
    "Task id": f"{_CELL};min-width:10em;overflow-wrap:anywhere",
}
"""The columns and their styles; all of them fit beside JupyterLab's file browser."""

_CHIP = "color:#fff;padding:1px 6px;border-radius:8px"
_COPIED_WHOLE = "user-select:all;-webkit-user-select:all"


def table(
    items: Sequence[PastGeneration],
    thumbnails: Mapping[GeneratedImage, Preview | str],
    *,
    now: float,
    per_row: int = IMAGES_PER_ROW,
    notes: Sequence[str] = (),
) -> str:
    """Return the table; text from outside is escaped.

    Args:
        items: The submissions, one row each.
        thumbnails: The thumbnail of each image, or words in its place.
        now: The present time, in seconds since 1970.
        per_row: How many images of a submission are shown.
        notes: Sentences below the table.
    """
    head = "".join(
        f'<th scope="col" style="{style}">{name}</th>' for name, style in _COLUMNS.items()
    )
    rows = [_row(item, thumbnails, now, per_row) for item in items]
    as_of = f"{counted(len(items), 'submission')}, newest first, as of {_minute(now)}."
    below = " ".join(escape_html(note) for note in (as_of, *notes))
    return "\n".join(
        [
            f'<div class="{TEXT_ONLY}" style="overflow-x:auto">',
            '<table style="border-collapse:collapse;color:var(--jp-content-font-color1,inherit)">',
            f"<thead><tr>{head}</tr></thead><tbody>",
            *rows,
            f"</tbody></table><small>{below}</small></div>",
        ]
    )


def ago(seconds: float) -> str:
    """Return how long ago something was, in one unit.

    Args:
        seconds: The seconds since then.

    Example:
        >>> ago(200), ago(7200), ago(-5)
        ('3 min ago', '2 h ago', 'just now')
    """
    for unit_s, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= unit_s:
            count = int(seconds / unit_s)
            plural = "s" if unit == "day" and count != 1 else ""
            return f"{count:,} {unit}{plural} ago"
    return "just now"


def _row(
    item: PastGeneration,
    thumbnails: Mapping[GeneratedImage, Preview | str],
    now: float,
    per_row: int,
) -> str:
    generation = item.generation
    model = quoted(generation.request.model) if generation.request is not None else "resumed"
    task_id = quoted(generation.task_id) if generation.task_id else ""
    elapsed_s = generation.elapsed_s
    cells = [
        _images(generation, thumbnails, per_row),
        _prompt(generation),
        escape_html(model) + (f" {_chip('demo', _GREY)}" if generation.is_demo else ""),
        f"{_minute(item.submitted)}<br>{ago(now - item.submitted)}",
        f"{elapsed_s:.1f}" if elapsed_s is not None else "",
        _chip(sanitize(generation.status), _COLORS.get(generation.status, _BLUE)),
        _code(task_id) if task_id else "no task",
    ]
    styled = zip(_COLUMNS.values(), cells, strict=True)
    return "<tr>" + "".join(f'<td style="{style}">{cell}</td>' for style, cell in styled) + "</tr>"


def _images(
    generation: Generation, thumbnails: Mapping[GeneratedImage, Preview | str], per_row: int
) -> str:
    """Return the thumbnails of a row, side by side, two in a line."""
    images = generation.images
    side_px = THUMBNAIL_PX if len(images) == 1 else _SEVERAL_PX
    shown = [
        _image(
            image, thumbnails.get(image, ""), alt_text(generation, number, limit=_MAX_ALT), side_px
        )
        for number, image in enumerate(images[:per_row], start=1)
    ]
    if len(images) > per_row:
        shown.append(f"+{len(images) - per_row:,}")
    if any(thumbnails.get(image) == GONE for image in images[:per_row]):
        hint = resume_hint(generation.task_id or "").strip("`")
        shown.append(f"<br><small>fetch it again: {_code(hint)}</small>")
    return f'<div style="width:{2 * (_SEVERAL_PX + 4)}px">{"".join(shown)}</div>' if shown else ""


def _image(image: GeneratedImage, thumbnail: Preview | str, alt: str, side_px: int) -> str:
    """Return a thumbnail in the same size whatever its number of pixels, or words in its place."""
    width, height = fitting_size((image.width, image.height), (side_px, side_px))
    if isinstance(thumbnail, str):
        style = f"display:inline-block;width:{side_px}px;margin:2px"
        return f'<span style="{style}"><small>{escape_html(thumbnail)}</small></span>'
    size = f'width="{width}" height="{height}"'
    return image_element(thumbnail, alt, f'{size} style="display:inline-block;margin:2px"')


def _prompt(generation: Generation) -> str:
    """Return the prompt, and why it failed."""
    prompt = escape_html(sanitize(generation.prompt, limit=_MAX_PROMPT))
    if generation.error is None:
        return prompt
    reason = escape_html(sanitize(generation.error, limit=_MAX_ERROR))
    return f"{prompt}<br><small>{reason}</small>"


def _code(text: str) -> str:
    """Format a text to be copied: a click selects all of it."""
    return f'<code style="{_COPIED_WHOLE}">{escape_html(text)}</code>'


def _chip(words: str, color: str) -> str:
    return f'<span style="background:{color};{_CHIP}">{escape_html(words)}</span>'


def _minute(when: float) -> str:
    """Format a time, in local time."""
    return f"{datetime.fromtimestamp(when):%Y-%m-%d %H:%M}"
