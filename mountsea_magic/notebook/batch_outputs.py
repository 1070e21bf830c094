"""Outputs of a batch: the one line of many generations, and the contact sheet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import Interrupted
from ..hub.image_counts import describe_left_out
from ..hub.status import Status
from ..runtime.printing import echo, encodable
from ..runtime.text import escape_html, quoted
from .frontend import front_end
from .outputs import DEMO_NOTE, Output, ShownGeneration, preview_output
from .progress import TEXT_ONLY, FinalLine

if TYPE_CHECKING:
    from ..generation.batch import Batch
    from ..images.contact_sheet import ContactSheet

MAX_NAMED_MODELS = 3
"""Up to so many models are named in the line of a batch."""


def batch_final_line(batch: Batch, seconds: float) -> FinalLine:
    """Return the line of a batch that has ended, with what came of its requests.

    Args:
        batch: The batch.
        seconds: How long it took.

    Example:
        >>> from mountsea_magic.generation.batch import Batch
        >>> batch_final_line(Batch([]), 0.2).text
        '0 images · 0.2 s'
    """
    images = batch.images
    parents = {encodable(str(image.path.parent), "utf-8") for image in images}
    folder = os.path.commonpath(parents) if parents else ""
    statuses = Counter(each.status for each in batch.failed)
    skipped, uncertain = statuses[Status.SKIPPED], statuses[Status.UNCERTAIN]
    stopped = [each for each in batch if isinstance(each.error, Interrupted)]
    submitted = sum(each.may_be_submitted for each in stopped)
    from_journal = sum(each.from_journal for each in batch.completed)
    parts = [
        f"{len(images):,} image{'s' if len(images) != 1 else ''}",
        models_of(batch),
        f"{seconds:.0f} s" if seconds >= 10 else f"{max(0.1, seconds):.1f} s",
        DEMO_NOTE if any(each.is_demo for each in batch) else "",
        folder,
        f"{from_journal:,} from the journal, nothing charged" if from_journal else "",
        f"{statuses.total() - skipped - uncertain:,} failed",
        f"{uncertain:,} uncertain",
        f"{skipped:,} skipped",
        f"{submitted:,} interrupted: `%mountsea resume` fetches them",
        f"{len(stopped) - submitted:,} not submitted",
        describe_left_out(sum(each.left_out for each in batch)),
    ]
    shown = parts[:1] + [part for part in parts[1:] if part and not part.startswith("0 ")]
    html = " · ".join(
        f"<code>{escape_html(part)}</code>" if part is folder else escape_html(part)
        for part in shown
    )
    return FinalLine(f'<small class="{TEXT_ONLY}">{html}</small>', " · ".join(shown))


def batch_label(batch: Sequence[ShownGeneration]) -> str:
    """Return what runs in a batch, for the line before its first result.

    Args:
        batch: The generations.
    """
    demo = " (demo Hub)" if any(each.is_demo for each in batch) else ""
    models = models_of(batch)
    return f"{len(batch):,} requests" + (f" · {models}" if models else "") + demo


def models_of(batch: Sequence[ShownGeneration]) -> str:
    """Return the names of the models of a batch, or how many there are.

    Args:
        batch: The generations.
    """
    models = {each.request.model for each in batch if each.request is not None}
    if len(models) > MAX_NAMED_MODELS:
        return f"{len(models)} models"
    return ", ".join(quoted(model) for model in sorted(models))


def show_batch(batch: Batch) -> None:
    """Display the contact sheet of a batch; in a terminal that draws no images print its repr.

    Args:
        batch: The batch, which may be running.
    """
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    from ..generation.batch_sheet import fill, plan_sheet

    front = front_end(get_ipython())
    if not (front.notebook or front.draws_png) or not len(batch):
        echo(repr(batch))
        return
    plan = plan_sheet(batch)
    sheet = plan.sheet()
    fill(sheet, plan, batch)
    bundle, metadata = sheet_bundle(sheet, batch, png=front.draws_png)
    display(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # IPython's display is untyped


def sheet_bundle(sheet: ContactSheet, batch: Batch, *, png: bool = False) -> Output:
    """Return the mimebundle of a contact sheet as it is now, with its size and alt text.

    Args:
        sheet: The sheet.
        batch: Its batch.
        png: Whether it must be a PNG, for a terminal.
    """
    from ..images.previews import Preview

    encoded = Preview.png_of(sheet.render()) if png else sheet.encode()
    return preview_output(encoded, repr(batch), sheet.alt_text())
