"""The journal's entries: what is known of an order, and how it is written as a row."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..hub.responses import UNCHARGED
from ..images.files import FORMATS, GeneratedImage
from ..request.request import ImageRequest
from ..runtime.key_redaction import redact_key
from ..runtime.redaction import without_queries

FORGOTTEN_S = 160.0
"""After so many seconds an order without an answer will not get one: no client waits so long."""

CLOSED = (*sorted(UNCHARGED), "forgotten")
"""The states after which a task brings no images any more."""

LAST_S = 1e11
"""No time of ours lies so far ahead, in seconds since 1970."""

MAX_FILES = 100
"""How many images of one task are read from a row; no model makes more than a few."""

MAX_SIDE_PX = 2**31 - 1
"""The largest side of an image that a row may tell, in pixels."""

MAX_TEXT = 4000
"""How much of a text from outside is kept, in characters."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal.

    Attributes:
        id: Our own name of the order.
        hub: The base URL of the Hub that has it, or ``demo:``.
        task_id: The task, once the Hub has taken the order.
        state: ``submitting``, ``uncertain``, ``refused``, ``unsent``, ``submitted``, then the
            Hub's own word; ``forgotten`` if the Hub knows the task no more.
        model: The model's id, or an empty text for a task that was resumed by its id alone.
        input: The input without images and signed addresses.
        fingerprint: What it shares with equal requests.
        created: When it was made, in seconds since 1970.
        updated: When it last changed, in seconds since 1970.
        elapsed_s: How long the task took, in seconds, once its images are here.
        error: What went wrong last.
        description: What the model said beside the images.
        files: The images, once all are on disk.
    """

    id: str
    hub: str
    task_id: str | None = None
    state: str = "submitting"
    model: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    created: float = 0.0
    updated: float = 0.0
    elapsed_s: float | None = None
    error: str = ""
    description: str = ""
    files: tuple[GeneratedImage, ...] = ()

    @classmethod
    def begin(
        cls, hub: str, request: ImageRequest | None = None, *, task_id: str | None = None
    ) -> Entry:
        """Make the entry of an order that is about to be sent, or of a task that someone sent."""
        now = time.time()
        state = "submitting" if task_id is None else "resumed"
        entry = cls(uuid.uuid4().hex, hub, task_id, state, created=now, updated=now)
        if request is None:
            return entry
        return replace(
            entry,
            model=request.model,
            input=request.for_the_record(),
            fingerprint=request.fingerprint(),
        )

    @property
    def prompt(self) -> str:
        """The prompt, or an empty text."""
        return str(self.input.get("prompt", ""))

    @property
    def is_open(self) -> bool:
        """Whether the Hub has a task that may still bring images."""
        return self.task_id is not None and not self.files and self.state not in CLOSED

    @property
    def request(self) -> ImageRequest | None:
        """The request to show, not to send: input images are but named in it."""
        return ImageRequest(self.model, dict(self.input)) if self.model else None

    def state_at(self, now: float) -> str:
        """Return the state; an order that nobody can wait for any more is uncertain."""
        lost = self.state == "submitting" and now - self.updated > FORGOTTEN_S
        return "uncertain" if lost else self.state

    def row(self) -> dict[str, Any]:
        """Return what is written down, by column; images by path and hash, not by address."""
        files = [
            {
                "path": str(image.path),
                "format": image.format,
                "width": image.width,
                "height": image.height,
                "sha256": image.sha256,
            }
            for image in self.files
        ]
        row = {name: getattr(self, name) for name in self.__slots__}
        row |= {"input": json.dumps(dict(self.input)), "files": json.dumps(files)}
        for name in ("task_id", "state", "error", "description"):
            if row[name] is not None:
                # JSON from outside may hold half a character, which no UTF-8 file can
                text = row[name].encode("utf-8", "replace").decode("utf-8")
                if name != "task_id":  # which the Hub must know again
                    text = without_queries(redact_key(text))[:MAX_TEXT]
                row[name] = text
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Entry | None:
        """Read a row; one that makes no sense, since something else wrote to the file, is None."""
        try:
            values = {name: row[name] for name in cls.__slots__}
            values["input"] = dict(json.loads(values["input"]))
            values |= {name: float(values[name]) for name in ("created", "updated")}
            if not all(0 <= values[name] < LAST_S for name in ("created", "updated")):
                return None
            texts = [values[name] for name in _TEXTS]
            if not all(isinstance(text, str) for text in (*texts, values["task_id"] or "")):
                return None
            values["elapsed_s"] = _seconds(values["elapsed_s"])
            values["files"] = _images(json.loads(values["files"])[:MAX_FILES])
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
            return None
        return cls(**values)


_TEXTS = ("id", "hub", "state", "model", "fingerprint", "error", "description")


def _seconds(value: Any) -> float | None:
    """What is no time that a task can take says nothing."""
    return float(value) if isinstance(value, int | float) and 0 <= value < LAST_S else None


def _images(files: Iterable[dict[str, Any]]) -> tuple[GeneratedImage, ...]:
    """All of a row's images; none if one of them can't be ours, for then the task is asked again.

    Raises:
        TypeError: If they are not described as we do.
    """
    images = [GeneratedImage(**kept | {"path": Path(kept["path"]), "url": None}) for kept in files]
    return tuple(images) if all(map(_may_be_ours, images)) else ()


def _may_be_ours(image: GeneratedImage) -> bool:
    """The format becomes a media type and a part of file names, the path is opened."""
    sides = (image.width, image.height)
    return (
        image.format in FORMATS
        and image.path.is_absolute()
        and "\0" not in str(image.path)
        and all(type(side) is int and 0 < side <= MAX_SIDE_PX for side in sides)
        and isinstance(image.sha256, str)
        and re.fullmatch("[0-9a-f]{64}", image.sha256) is not None
    )
