"""Cache each Hub's live model catalog on disk, with its date."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..request.catalog import Catalog, Model, bundled_catalog
from ..request.live_schema import UnusableSchema, rebuild_schema
from ..request.schema import takes_prompt
from ..request.schema_values import UnfitValue, read_schema_value
from ..runtime.json_numbers import finite_number
from ..runtime.private_files import check_path, private_folder, read_regular, write_private

MAX_FILE_BYTES = 4_000_000
"""Larger files are ignored: hundreds of models take less."""

MAX_MODELS = 1000
"""The most cached models per Hub; the newest ones are kept."""

_MAX_TEXT = 4000
_MAX_DATE_S = 1e11
"""The latest date that is accepted, in seconds since 1970: `datetime` can represent it."""


@dataclass(frozen=True, slots=True)
class LiveModels:
    """The live models of a Hub.

    Attributes:
        hub: The Hub's base URL.
        date: When they were fetched, in seconds since 1970; 0 if never.
        models: The models, by id.
        listed: The ids in the Hub's list, in its order.
    """

    hub: str
    date: float
    models: dict[str, Model]
    listed: tuple[str, ...] = ()

    def catalog(self) -> Catalog:
        """Return the bundled catalog, with live models replacing those with the same id."""
        return Catalog(dict(bundled_catalog().models) | self.models)

    def updated(self, models: dict[str, Model], listed: tuple[str, ...] = ()) -> LiveModels:
        """Return a copy with newly fetched models and, if given, a new list."""
        # new ones go to the end, where they survive the limit
        known = {name: model for name, model in self.models.items() if name not in models} | models
        newest = dict(list(known.items())[-MAX_MODELS:])
        return LiveModels(self.hub, time.time(), newest, listed or self.listed)


def load(folder: Path, hub: str) -> LiveModels:
    """Read a Hub's cached models; a missing or damaged file counts as empty.

    The content is validated again: an older version may have saved a schema that hangs a cell. A
    file that this version would write differently is replaced by its valid part.

    Args:
        folder: The cache folder.
        hub: The Hub's base URL.
    """
    path, empty = _path(folder, hub), LiveModels(hub, 0.0, {})
    try:
        check_path(path)
        content = read_regular(path, MAX_FILE_BYTES)
    except OSError:
        return empty
    live = empty
    try:
        saved = json.loads(content)
        live = _read(saved, hub)
        if list(live.models.values()) == [Model(**entry) for entry in saved["models"]]:
            return live
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        live = empty
    save(folder, live)
    return live


def _read(saved: dict[str, Any], hub: str) -> LiveModels:
    """Read the valid part of a file's content; raises if there is none."""
    read = [_read_model(entry) for entry in saved["models"][:MAX_MODELS]]
    date, listed = finite_number(saved["date"]), saved["listed"]
    if date is None or not 0 <= date < _MAX_DATE_S:
        raise ValueError("no date")
    if not isinstance(listed, list) or not all(_is_text(name) for name in listed):
        raise ValueError("no list of models")
    models = {model.id: model for model in read if model is not None}
    return LiveModels(hub, float(date), models, tuple(listed))


def _read_model(entry: dict[str, Any]) -> Model | None:
    """Read a model, or None if this version would not have saved its schema."""
    model = Model(**entry)
    texts = (model.id, model.name, model.vendor, model.mode, model.summary, model.mark)
    if not all(map(_is_text, texts)):
        return None
    try:
        schema = rebuild_schema(model.input_schema)
        example = read_schema_value(model.example, max_text=_MAX_TEXT)
    except (UnusableSchema, UnfitValue):
        return None
    properties = schema.get("properties")
    table = isinstance(properties, dict) and all(
        isinstance(parameter, dict) for parameter in properties.values()
    )
    if not table or not isinstance(example, dict) or not takes_prompt(schema):
        return None
    return replace(model, input_schema=schema, example=example)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT


def save(folder: Path, live: LiveModels) -> None:
    """Save a Hub's models; errors are ignored, since this is only a cache.

    Args:
        folder: The cache folder.
        live: The models.
    """
    saved = {
        "hub": live.hub,
        "date": live.date,
        "listed": live.listed,
        "models": [asdict(model) for model in live.models.values()],
    }
    content = json.dumps(saved).encode()
    if len(content) > MAX_FILE_BYTES:
        return  # `load` would ignore it
    with suppress(OSError):
        private_folder(folder, ours=True)
        write_private(_path(folder, live.hub), content)


def _path(folder: Path, hub: str) -> Path:
    return folder / f"models-{hashlib.sha256(hub.encode()).hexdigest()[:12]}.json"
