"""The live catalogue on disk: what each Hub said last of its models, with the date."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .catalog import Catalog, Model, bundled_catalog
from .private_files import check_way, private_folder, read_plain, write_private

_MAX_BYTES = 16 * 1024 * 1024
"""The largest file that is read, in bytes; hundreds of models take about 1 MB."""


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
        return LiveModels(self.hub, time.time(), self.models | models, listed or self.listed)


def load(folder: Path, hub: str) -> LiveModels:
    """Read what a Hub said last; a file that is missing or damaged says nothing.

    Args:
        folder: Where the catalogues are kept.
        hub: The Hub's base URL.
    """
    path = _path(folder, hub)
    try:
        check_way(path)
        kept: dict[str, Any] = json.loads(read_plain(path, _MAX_BYTES))
        models = {str(entry["id"]): Model(**entry) for entry in kept["models"]}
        if not all(_is_whole(model) for model in models.values()):
            raise ValueError("a model is damaged")
        return LiveModels(hub, float(kept["date"]), models, tuple(kept["listed"]))
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return LiveModels(hub, 0.0, {})


def save(folder: Path, live: LiveModels) -> None:
    """Keep what a Hub said; a folder that can't be written to is no reason to stop.

    Args:
        folder: Where the catalogues are kept.
        live: What it said.
    """
    with suppress(OSError, RecursionError):  # a schema may be nested very deeply
        kept = {
            "hub": live.hub,
            "date": live.date,
            "listed": live.listed,
            "models": [asdict(model) for model in live.models.values()],
        }
        private_folder(folder, ours=True)
        write_private(_path(folder, live.hub), json.dumps(kept).encode())


def _is_whole(model: Model) -> bool:
    """Whoever edits the file by hand may break it."""
    schema = model.input_schema
    texts = (model.id, model.name, model.vendor, model.mode, model.summary, model.mark)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return (
        isinstance(properties, dict)
        and all(isinstance(parameter, dict) for parameter in properties.values())
        and isinstance(schema.get("required", []), list)
        and isinstance(model.example, dict)
        and all(isinstance(text, str) for text in texts)
    )


def _path(folder: Path, hub: str) -> Path:
    """A Hub's address is no file name."""
    return folder / f"models-{hashlib.sha256(hub.encode()).hexdigest()[:12]}.json"
