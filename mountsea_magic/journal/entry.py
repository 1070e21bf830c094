"""The journal's entries: one submission or task, and its conversion to and from a row."""

from __future__ import annotations

import json
import re
import time
import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..hub.status import CLOSED, Status
from ..images.files import FORMATS, GeneratedImage
from ..request.request import ImageRequest
from ..runtime.key_redaction import redact_key
from ..runtime.redaction import without_queries

SUBMISSION_TIMEOUT_S = 160.0
"""A submission without a response after this many seconds is uncertain: no client waits longer."""

MAX_TIMESTAMP_S = 1e11
"""The latest plausible time, in seconds since 1970."""

MAX_FILES = 100
"""How many images of one task are read from a row; models return only a few."""

MAX_SIDE_PX = 2**31 - 1
"""The largest plausible side of an image, in pixels."""

MAX_TEXT = 4000
"""The maximum length of a stored text from the Hub, in characters."""

MAX_SEARCHED = 2000
"""How much of an entry's text a search scans, in characters; of longer ones it reads the row."""

CUT_MARK = "\x1e"
"""Begins a searched text that was cut; it sorts before all others."""

_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal.

    Attributes:
        id: A random id of the submission, unique in the journal.
        hub: The base URL of its Hub, or ``demo:``.
        task_id: The task id, once the Hub has accepted the request.
        status: Of the submission, then as reported by the Hub; ``forgotten`` if the Hub no longer
            has the task.
        model: The model's id, or an empty text for a task that was resumed by its id alone.
        input: The model's input, without images and the queries of signed URLs.
        fingerprint: The same for identical requests.
        created: When the entry was created, in seconds since 1970.
        updated: When it last changed, in seconds since 1970.
        elapsed_s: How long the user waited, in seconds, once the images are downloaded.
        error: The last error message, or an empty text.
        description: The text that the model returned with the images.
        files: The images, once all are on disk.
        idempotency_key: The key under which at most one request is paid at this Hub, or None. Only
            `Journal.claim` gives it to a row.
        owner: Who submits a request with a key, as in `runtime.process_lock`, or None if unknown.
        duration_s: How long the task itself took, in seconds, or None if unknown.
    """

    id: str
    hub: str
    task_id: str | None = None
    status: str = Status.SUBMITTING
    model: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    created: float = 0.0
    updated: float = 0.0
    elapsed_s: float | None = None
    error: str = ""
    description: str = ""
    files: tuple[GeneratedImage, ...] = ()
    idempotency_key: str | None = None
    owner: str | None = None
    duration_s: float | None = None

    @classmethod
    def begin(
        cls,
        hub: str,
        request: ImageRequest | None = None,
        *,
        task_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Entry:
        """Return the entry of a request about to be submitted, or of a task submitted elsewhere."""
        now = time.time()
        status = Status.SUBMITTING if task_id is None else Status.RESUMED
        entry = cls(
            uuid.uuid4().hex,
            hub,
            task_id,
            status,
            created=now,
            updated=now,
            idempotency_key=idempotency_key,
        )
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
    def image_count(self) -> int:
        """How many images the request orders; 0 for a task that was submitted elsewhere."""
        count = self.input.get("num_images")
        ordered = count if isinstance(count, int) and 0 < count < MAX_TIMESTAMP_S else 1
        return ordered if self.model else 0

    @property
    def is_open(self) -> bool:
        """Whether there is a task at the Hub that may still produce images."""
        return self.task_id is not None and not self.files and self.status not in CLOSED

    @property
    def request(self) -> ImageRequest | None:
        """The request for display, not for sending: it has only digests of input images."""
        return ImageRequest(self.model, dict(self.input)) if self.model else None

    def status_at(self, now: float) -> str:
        """Return the status; a submission that nobody can wait for any more is uncertain."""
        lost = self.status == Status.SUBMITTING and now - self.updated > SUBMISSION_TIMEOUT_S
        return Status.UNCERTAIN if lost else self.status

    def row(self) -> dict[str, Any]:
        """Return the database row; images by path and hash, without their URL, and their number."""
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
        row = {column: getattr(self, name) for name, column in _COLUMNS.items()}
        row |= {"input": json.dumps(dict(self.input)), "files": json.dumps(files)}
        row["images"] = self.image_count
        for name in ("task_id", "idempotency_key", "state", "error", "description"):
            if row[name]:
                # JSON from the Hub may contain a lone surrogate, which UTF-8 can't encode
                text = row[name].encode("utf-8", "replace").decode("utf-8")
                if name not in _IDS:
                    text = without_queries(redact_key(text))[:MAX_TEXT]
                row[name] = text
        row["searched"] = searched_text(self.prompt, self.task_id or "", self.model)
        return row

    def contains(self, wanted: str, now: float) -> bool:
        """Return whether its prompt, task id, model, status or Hub contains a text.

        Args:
            wanted: The text, as `folded` returns it.
            now: The present time, in seconds since 1970, which the status depends on.
        """
        texts = (self.prompt, self.task_id or "", self.model, self.status_at(now), self.hub)
        return any(wanted in folded(text) for text in texts)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Entry | None:
        """Return the entry of a row; None for an invalid one, since other programs may write."""
        try:
            values = {name: row[column] for name, column in _COLUMNS.items()}
            values["input"] = dict(json.loads(values["input"]))
            values |= {name: float(values[name]) for name in ("created", "updated")}
            if not all(0 <= values[name] < MAX_TIMESTAMP_S for name in ("created", "updated")):
                return None
            texts = [values[name] for name in _TEXTS]
            texts += [values[name] or "" for name in (*_IDS, "owner")]
            if not all(isinstance(text, str) for text in texts):
                return None
            values |= {
                name: plausible_seconds(values[name]) for name in ("elapsed_s", "duration_s")
            }
            values["files"] = _images(json.loads(values["files"])[:MAX_FILES])
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
            return None
        return cls(**values)


_COLUMNS = {name: name for name in Entry.__slots__} | {"status": "state"}
"""The column of each attribute; one has another name, since columns are never renamed."""

_IDS = ("task_id", "idempotency_key")
"""Texts that must stay unchanged."""

_TEXTS = ("id", "hub", "status", "model", "fingerprint", "error", "description")


def folded(text: str) -> str:
    r"""Return a text so that it equals others that look alike: in any case, composed or not.

    Args:
        text: The text.

    Example:
        >>> folded("Straße"), folded("Cafe\u0301") == folded("CAFÉ"), folded("İstanbul")
        ('strasse', True, 'istanbul')
    """
    if text.isascii():
        return text.lower()
    # before and after: each of the two steps can leave something to the other
    same = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return same.replace("i\u0307", "i")  # a Turkish capital I with a dot


def searched_text(prompt: str, task_id: str, model: str) -> str:
    r"""Return the column of a row that a search scans: `folded`, as UTF-8 can encode it.

    Args:
        prompt: The prompt.
        task_id: The task id, or an empty text.
        model: The model's id.

    Example:
        >>> searched_text("Straße", "Hub-1", "nano-banana")
        'hub-1\x1fnano-banana\x1fstrasse'
    """
    text = folded(_SEPARATOR.join((task_id, model, prompt[:MAX_SEARCHED])))
    if len(prompt) > MAX_SEARCHED or len(text) > MAX_SEARCHED or "\0" in text:
        text = CUT_MARK + text[:MAX_SEARCHED]  # SQLite's GLOB stops at a null character
    return text.encode("utf-8", "replace").decode()


def plausible_seconds(value: Any) -> float | None:
    """Return a duration of a row, in seconds, or None for an implausible one.

    Args:
        value: The value in the database.

    Example:
        >>> plausible_seconds("ages")
    """
    return float(value) if isinstance(value, int | float) and 0 <= value < MAX_TIMESTAMP_S else None


def _images(files: Iterable[dict[str, Any]]) -> tuple[GeneratedImage, ...]:
    """All images of a row; none if one of them is invalid, so that the task is polled again.

    Raises:
        TypeError: If a field is missing or unknown.
    """
    images = [GeneratedImage(**file | {"path": Path(file["path"]), "url": None}) for file in files]
    return tuple(images) if all(map(_is_plausible, images)) else ()


def _is_plausible(image: GeneratedImage) -> bool:
    """Check the values that are used as a media type, in file names or as a path."""
    sides = (image.width, image.height)
    return (
        image.format in FORMATS
        and image.path.is_absolute()
        and "\0" not in str(image.path)
        and all(type(side) is int and 0 < side <= MAX_SIDE_PX for side in sides)
        and isinstance(image.sha256, str)
        and re.fullmatch("[0-9a-f]{64}", image.sha256) is not None
    )
