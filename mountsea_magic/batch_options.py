"""The options of a batch: how its requests are built and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .generation.admission import DEFAULT_CONCURRENCY
from .generation.poll_limit import DEFAULT_POLLS_PER_S
from .images.files import GeneratedImage
from .request.request import DEFAULT_MODEL, ImageRequest
from .settings import DEFAULT_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How the requests of a batch are built and run.

    Attributes:
        model: The model of requests that name none.
        parameters: Parameters of all requests; those of a request take precedence.
        concurrency: How many tasks run at the Hub at once.
        polls_per_s: How many polls a second all tasks may make together.
        timeout_s: How long to wait for each task, in seconds.
        fresh: Never answer from the journal.
        cache: Answer from the journal also without a seed.
        name: The name that makes the batch durable, or None.
        stop_at_failure: Whether any failure stops further submissions.
        executor: Downloads, checks and post-processes the images; this process by default.
        postprocess: Called with each image and its request.
        transfer: ``path`` if the executor's workers share the folder of originals, or ``bytes``.
    """

    model: str = DEFAULT_MODEL
    parameters: dict[str, Any] = field(default_factory=dict)
    concurrency: int = DEFAULT_CONCURRENCY
    polls_per_s: float = DEFAULT_POLLS_PER_S
    timeout_s: float = DEFAULT_TIMEOUT_S
    fresh: bool = False
    cache: bool = False
    name: str | None = None
    stop_at_failure: bool = False
    executor: Any = None
    postprocess: Callable[[GeneratedImage, ImageRequest], Any] | None = None
    transfer: str = "path"
