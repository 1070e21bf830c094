"""What a generation needs, and what it reports to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MountseaError
from ..hub.client import HubClient
from ..journal.journal import Journal
from .admission import SINGLE, Admission
from .events import Event
from .submit import PendingSubmissions

if TYPE_CHECKING:
    from .executors import ImageWorkers


@dataclass(frozen=True, slots=True)
class GenerationContext:
    """What a generation needs, and what it reports to.

    Attributes:
        hub: The Hub's base URL, or ``demo:``.
        client: Returns the Hub's client; called only if a request has to be sent.
        journal: The journal.
        pending: Keeps submissions alive after an interrupt.
        folder: Where the originals go.
        on_event: Called with each event.
        on_task_id: Called with the task id as soon as it is journaled, also after an interrupt.
        on_failure: Called if a submission has failed, also after an interrupt.
        admission: Decides when to submit and to poll; shared by the generations of a batch.
        image_limit: How many images may be ordered at the Hub in a day, or None.
        workers: Where images are downloaded and post-processed, shared by those of a batch; None
            for this process.
    """

    hub: str
    client: Callable[[], HubClient]
    journal: Journal
    pending: PendingSubmissions
    folder: Path
    on_event: Callable[[Event], None]
    on_task_id: Callable[[str], None]
    on_failure: Callable[[MountseaError], None] = lambda error: None
    admission: Admission = SINGLE
    image_limit: int | None = None
    workers: ImageWorkers | None = None

    @property
    def image_workers(self) -> ImageWorkers:
        """Where images are downloaded and post-processed; not imported before a submission."""
        from .executors import HERE

        return self.workers or HERE
