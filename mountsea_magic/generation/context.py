"""What a generation needs, and what it reports to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import MountseaError
from ..hub.client import HubClient
from ..journal.journal import Journal
from .admission import SINGLE, Admission
from .events import Event
from .executors import HERE, ImageWorkers
from .submit import PendingSubmissions


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
        workers: Where images are downloaded and post-processed; shared by those of a batch.
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
    workers: ImageWorkers = HERE
