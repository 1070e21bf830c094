"""The current model catalog: bundled models, updated with live ones from each Hub."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MountseaError
from ..request.catalog import Catalog, Model, bundled_catalog
from ..runtime.text import sanitize
from ..settings import Settings
from .model_cache import LiveModels, load, save
from .models import MAX_LISTED

if TYPE_CHECKING:
    from .client import HubClient

FETCH_TIMEOUT_S = 8.0
"""How long a cell waits for a model's schema, in seconds, before it continues without."""

MAX_MODELS = 64
"""The most models whose schemas are fetched in a refresh."""

REFETCH_INTERVAL_S = 60.0
"""The shortest time between two automatic requests for the same model, in seconds."""


class ModelRegistry:
    """The model catalogs of all Hubs in this process.

    Example:
        >>> from mountsea_magic.settings import read_settings
        >>> settings = read_settings({"MOUNTSEA_BASE_URL": "demo:", "MOUNTSEA_HOME": "none"})
        >>> ModelRegistry().current(settings).model("nano-banana").name
        'Nano Banana'
    """

    def __init__(self) -> None:
        self._live: dict[tuple[Path, str], LiveModels] = {}
        self._requested_at: dict[tuple[str, str], float] = {}
        self._notices: list[str] = []

    def live(self, settings: Settings) -> LiveModels:
        """Return the live models of the settings' Hub, from this process or the cache."""
        key = (settings.home, settings.base_url)
        if key not in self._live:
            self._live[key] = load(settings.home / "models", settings.base_url)
        return self._live[key]

    def current(self, settings: Settings) -> Catalog:
        """Return the current catalog for the settings' Hub."""
        return self.live(settings).catalog()

    def should_fetch(self, settings: Settings, model_id: str, parameters: Iterable[str]) -> bool:
        """Whether a model or parameter is unknown, and the model was not requested recently."""
        model = self.current(settings).models.get(model_id)
        known = model is not None and all(model.takes(name) for name in parameters)
        requested_at = self._requested_at.get((settings.base_url, model_id), float("-inf"))
        can_request = settings.is_demo or settings.key is not None
        return not known and can_request and time.monotonic() - requested_at > REFETCH_INTERVAL_S

    def notices(self) -> list[str]:
        """Return notices about unusable schemas since the last call."""
        notices, self._notices = self._notices, []
        return notices

    async def fetch_model(self, settings: Settings, client: HubClient, model_id: str) -> None:
        """Fetch one model; errors are ignored, since the known models are enough to go on.

        Args:
            settings: The settings, with the Hub.
            client: The Hub's client.
            model_id: The model.
        """
        self._requested_at[settings.base_url, model_id] = time.monotonic()
        with contextlib.suppress(MountseaError, TimeoutError):
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                listed = self.live(settings).listed
                if model_id not in self.current(settings).models:
                    listed = await client.model_ids()
                    # a truncated list does not prove that a model is missing
                    if model_id not in listed and 0 < len(listed) < MAX_LISTED:
                        self._update(settings, {}, listed)
                        return
                found = await self._fetch(client, model_id)
                is_new = model_id not in self.current(settings).models
                if found is None and model_id in listed and is_new:
                    found = _without_schema(model_id)
                self._update(settings, {model_id: found} if found is not None else {}, listed)

    async def refresh(self, settings: Settings, client: HubClient) -> LiveModels:
        """Fetch all models.

        Args:
            settings: The settings, with the Hub.
            client: The Hub's client.

        Raises:
            MountseaError: If the Hub could not be reached or rejected the request.
        """
        listed = await client.model_ids()
        if len(listed) == MAX_LISTED:
            self._notices.append(f"the Hub lists {MAX_LISTED} models or more; the rest is ignored")
        found = await asyncio.gather(
            *(self._fetch(client, name) for name in listed[:MAX_MODELS]), return_exceptions=True
        )
        for model in found:
            # one model that can't be fetched must not hide the others
            if isinstance(model, BaseException) and not isinstance(model, MountseaError):
                raise model
        models = {
            name: model
            for name, model in zip(listed, found, strict=False)
            if isinstance(model, Model)
        }
        known = self.current(settings).models
        unknown = [name for name in listed if name not in models and name not in known]
        return self._update(
            settings, models | {name: _without_schema(name) for name in unknown}, tuple(listed)
        )

    async def _fetch(self, client: HubClient, model_id: str) -> Model | None:
        """Fetch a model; an unusable schema leaves a notice, and the known model stays."""

        def note(reason: str) -> None:
            self._notices.append(
                f"the Hub's schema of {sanitize(model_id, limit=60)} is not used: {reason}"
            )

        bundled = bundled_catalog().models.get(model_id)
        return await client.model(model_id, bundled, on_unusable=note)

    def _update(
        self, settings: Settings, models: dict[str, Model], listed: tuple[str, ...]
    ) -> LiveModels:
        """Update the live models, here and in the cache for the next kernel."""
        live = self.live(settings).updated(models, listed)
        self._live[settings.home, settings.base_url] = live
        save(settings.home / "models", live)
        return live


def _without_schema(model_id: str) -> Model:
    """Make a model that takes any parameter: its schema is unknown, so the Hub validates."""
    return Model(
        id=model_id,
        name=model_id,
        vendor="",
        mode="",
        summary="The Hub lists it without a schema: parameters are not checked here.",
        mark="live",
        input_schema={
            "type": "object",
            "properties": {"prompt": {"type": "string"}},
            "required": ["prompt"],
        },
        example={"prompt": "An action shot of a black lab swimming in a pool."},
    )
