"""The live catalogue on disk: what each Hub said last of its models, with the date."""

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
"""A larger file is none of ours: some hundred models take less."""

MAX_MODELS = 1000
"""How many models of one Hub are kept, the newest ones."""

_MAX_TEXT = 4000
_LAST_S = 1e11


@dataclass(frozen=True, slots=True)
class LiveModels:
    """What a Hub said of its models.

    Attributes:
        hub: The Hub's base URL.
        date: When it said so, in seconds since 1970; 0 if never.
        models: The models, by id.
        listed: The ids that it listed, in its order.
    """

    hub: str
    date: float
    models: dict[str, Model]
    listed: tuple[str, ...] = ()

    def catalog(self) -> Catalog:
        """Return the bundled catalogue with the live models in place of their namesakes."""
        return Catalog(dict(bundled_catalog().models) | self.models)

    def learned(self, models: dict[str, Model], listed: tuple[str, ...] = ()) -> LiveModels:
        """Return what is known after the Hub was asked once more."""
        # those that are new go to the end, where they are kept
        known = {name: model for name, model in self.models.items() if name not in models} | models
        kept = dict(list(known.items())[-MAX_MODELS:])
        return LiveModels(self.hub, time.time(), kept, listed or self.listed)


def load(folder: Path, hub: str) -> LiveModels:
    """Read what a Hub said last; a file that is missing or damaged says nothing.

    What is in it is checked once more: an older version may have kept a schema that hangs a cell.
    A file that is not as it would be written today is replaced by what is sound in it.

    Args:
        folder: Where the catalogues are kept.
        hub: The Hub's base URL.
    """
    path, nothing = _path(folder, hub), LiveModels(hub, 0.0, {})
    try:
        check_path(path)
        content = read_regular(path, MAX_FILE_BYTES)
    except OSError:
        return nothing
    live = nothing
    try:
        kept = json.loads(content)
        live = _read(kept, hub)
        if list(live.models.values()) == [Model(**entry) for entry in kept["models"]]:
            return live
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        live = nothing
    save(folder, live)
    return live


def _read(kept: dict[str, Any], hub: str) -> LiveModels:
    """What is sound of a file's content; raises where it is none."""
    read = [_read_model(entry) for entry in kept["models"][:MAX_MODELS]]
    date, listed = finite_number(kept["date"]), kept["listed"]
    if date is None or not 0 <= date < _LAST_S:
        raise ValueError("no date")
    if not isinstance(listed, list) or not all(_is_text(name) for name in listed):
        raise ValueError("no list of models")
    models = {model.id: model for model in read if model is not None}
    return LiveModels(hub, float(date), models, tuple(listed))


def _read_model(entry: dict[str, Any]) -> Model | None:
    """Return a model whose schema is one that this version would have kept."""
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
    """Keep what a Hub said; a folder that can't be written to is no reason to stop.

    Args:
        folder: Where the catalogues are kept.
        live: What it said.
    """
    kept = {
        "hub": live.hub,
        "date": live.date,
        "listed": live.listed,
        "models": [asdict(model) for model in live.models.values()],
    }
    content = json.dumps(kept).encode()
    if len(content) > MAX_FILE_BYTES:
        return  # it would not be read again
    with suppress(OSError):
        private_folder(folder, ours=True)
        write_private(_path(folder, live.hub), content)


def _path(folder: Path, hub: str) -> Path:
    """A Hub's address is no file name."""
    return folder / f"models-{hashlib.sha256(hub.encode()).hexdigest()[:12]}.json"
