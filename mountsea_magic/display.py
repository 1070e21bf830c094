"""The notebook's output: the one final line, and each picture as an ``image/*`` output."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import plain
from .pictures import Picture
from .previews import preview
from .progress import TEXT_ONLY
from .request import ImageRequest


@dataclass(frozen=True, slots=True)
class FinalLine:
    """What stays of a generation's progress.

    Attributes:
        html: For notebooks; everything from outside is escaped in it.
        text: For terminals, and for front ends that show no HTML.
    """

    html: str
    text: str


class Shown(Protocol):
    """What is shown of a generation."""

    request: ImageRequest | None
    task_id: str | None
    status: str
    images: tuple[Picture, ...]
    elapsed_s: float | None
    is_demo: bool
    from_journal: bool
    preview_px: int

    @property
    def prompt(self) -> str:
        """The prompt."""


def final_line(shown: Shown) -> FinalLine:
    """Say in one line what came of a generation.

    Args:
        shown: A completed generation.
    """
    sizes = {f"{picture.width}×{picture.height}" for picture in shown.images}
    size = " ".join(sorted(sizes))
    facts = [
        f"“{_excerpt(shown.prompt)}”" if shown.prompt else "",
        shown.request.model if shown.request is not None else f"task {plain(shown.task_id)}",
        size if len(shown.images) == 1 else f"{len(shown.images)} × {size}",
        f"{shown.elapsed_s:.1f} s" if shown.elapsed_s is not None else "",
        "demo Hub: drawn here, not by the model, nothing charged" if shown.is_demo else "",
        "from the journal, nothing charged" if shown.from_journal else "",
    ]
    words = " · ".join(filter(None, facts))
    first, *others = (picture.path for picture in shown.images)
    where = html.escape(", ".join([str(first), *(path.name for path in others)]))
    return FinalLine(
        html=f'<small class="{TEXT_ONLY}">{html.escape(words)} · <code>{where}</code></small>',
        text="\n".join([words, *(f"  {picture.path}" for picture in shown.images)]),
    )


def ending_line(shown: Shown, what: str) -> FinalLine:
    """Say in one line that a generation ended without pictures; the error below says why.

    Args:
        shown: The generation.
        what: How it ended, such as ``interrupted``.
    """
    model = shown.request.model if shown.request is not None else "resumed"
    task = f"task {plain(shown.task_id)}" if shown.task_id else "no task"
    words = f"{model} · {what} · {task}"
    return FinalLine(
        html=f'<small class="{TEXT_ONLY}">{html.escape(words)}</small>',
        text=words,
    )


def show(shown: Shown) -> None:
    """Display each picture as an output of its own, or say that there is none.

    Args:
        shown: The generation; its `preview_px` bounds the previews.
    """
    from IPython.display import display

    if not shown.images:
        print(repr(shown))
    for number, picture in enumerate(shown.images, start=1):
        bundle, metadata = image_bundle(shown, picture, number)
        display(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # IPython's display bears no types


def image_bundle(
    shown: Shown, picture: Picture, number: int
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Make the mimebundle of one picture, with its size and alt text as metadata.

    Args:
        shown: The generation.
        picture: One of its pictures.
        number: Which one, from 1.

    Returns:
        The bundle and its metadata, as `IPython.display.display` takes them.
    """
    seen = preview(picture, shown.preview_px)
    bundle = {
        seen.mimetype: base64.b64encode(seen.data).decode("ascii"),
        "text/plain": str(picture.path),
    }
    described = {"width": seen.width, "height": seen.height, "alt": alt_text(shown, number)}
    return bundle, {seen.mimetype: described}


def alt_text(shown: Shown, number: int) -> str:
    """Describe a picture to those who do not see it: the prompt is the best that is known.

    Args:
        shown: The generation.
        number: Which of its pictures, from 1.
    """
    words = plain(shown.prompt, limit=300) or f"picture of task {plain(shown.task_id)}"
    kind = "Demo drawing" if shown.is_demo else "Generated picture"
    many = f" {number} of {len(shown.images)}" if len(shown.images) > 1 else ""
    return f"{kind}{many}: {words}"


def _excerpt(prompt: str) -> str:
    """The line is there to be glanced at."""
    return plain(prompt, limit=60)
