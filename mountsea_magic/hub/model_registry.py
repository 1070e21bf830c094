"""The catalogue as it is now: bundled, then what the Hub said last, asked again where it lacks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MountseaError, sanitize
from ..request.catalog import Catalog, Model, bundled_catalog
from ..settings import Settings
from .model_cache import LiveModels, load, save
from .models import MAX_LISTED

if TYPE_CHECKING:
    from .client import HubClient

QUIET_S = 8.0
"""How long a cell waits for the catalogue at most, in seconds, before it does without."""

MAX_MODELS = 64
"""How many models are asked for one by one at most."""

AGAIN_S = 60.0
"""How long what the Hub did not know is not asked for again, in seconds."""


class ModelRegistry:
    """The catalogues of all Hubs that this process talks to.

    Example:
        >>> from mountsea_magic.settings import read_settings
        >>> settings = read_settings({"MOUNTSEA_BASE_URL": "demo:", "MOUNTSEA_HOME": "none"})
        >>> ModelRegistry().current(settings).model("nano-banana").name
        'Nano Banana'
    """

    def __init__(self) -> None:
        """Read nothing yet."""
        self._live: dict[tuple[Path, str], LiveModels] = {}
        self._asked: dict[tuple[str, str], float] = {}
        self._notices: list[str] = []

    def live(self, settings: Settings) -> LiveModels:
        """Return what the settings' Hub said last of its models, in this process or before."""
        place = (settings.home, settings.base_url)
        if place not in self._live:
            self._live[place] = load(settings.home / "models", settings.base_url)
        return self._live[place]

    def current(self, settings: Settings) -> Catalog:
        """Return the models as they are known for the settings' Hub."""
        return self.live(settings).catalog()

    def lacks(self, settings: Settings, model_id: str, parameters: Iterable[str]) -> bool:
        """Whether a model or parameter is unknown, and the Hub was not asked for it just now."""
        model = self.current(settings).models.get(model_id)
        known = model is not None and all(model.takes(name) for name in parameters)
        asked = self._asked.get((settings.base_url, model_id), float("-inf"))
        can_ask = settings.is_demo or settings.key is not None
        return not known and can_ask and time.monotonic() - asked > AGAIN_S

    def notices(self) -> list[str]:
        """Return what was wrong with the schemas of a Hub since the last call."""
        notices, self._notices = self._notices, []
        return notices

    async def learn(self, settings: Settings, client: HubClient, model_id: str) -> None:
        """Ask for one model, quietly: without an answer, what is known must do.

        Args:
            settings: Which Hub.
            client: Its client.
            model_id: The model.
        """
        self._asked[settings.base_url, model_id] = time.monotonic()
        with contextlib.suppress(MountseaError, TimeoutError):
            async with asyncio.timeout(QUIET_S):
                listed = self.live(settings).listed
                if model_id not in self.current(settings).models:
                    listed = await client.model_ids()
                    # a list that was cut short says nothing of those that it lacks
                    if model_id not in listed and 0 < len(listed) < MAX_LISTED:
                        self._learned(settings, {}, listed)
                        return
                found = await self._ask(client, model_id)
                is_new = model_id not in self.current(settings).models
                if found is None and model_id in listed and is_new:
                    found = _unruled(model_id)
                self._learned(settings, {model_id: found} if found is not None else {}, listed)

    async def refresh(self, settings: Settings, client: HubClient) -> LiveModels:
        """Ask for all models.

        Args:
            settings: Which Hub.
            client: Its client.

        Raises:
            MountseaError: If the Hub could not be reached, or refused.
        """
        listed = await client.model_ids()
        if len(listed) == MAX_LISTED:
            self._notices.append(f"the Hub lists {MAX_LISTED} models or more: the rest is left out")
        found = await asyncio.gather(
            *(self._ask(client, name) for name in listed[:MAX_MODELS]), return_exceptions=True
        )
        for model in found:
            # one model that can't be had just now must not hide the others
            if isinstance(model, BaseException) and not isinstance(model, MountseaError):
                raise model
        models = {
            name: model
            for name, model in zip(listed, found, strict=False)
            if isinstance(model, Model)
        }
        known = self.current(settings).models
        unknown = [name for name in listed if name not in models and name not in known]
        return self._learned(
            settings, models | {name: _unruled(name) for name in unknown}, tuple(listed)
        )

    async def _ask(self, client: HubClient, model_id: str) -> Model | None:
        """A schema that can't be used leaves what is known, with a word."""

        def note(reason: str) -> None:
            self._notices.append(
                f"the Hub's schema of {sanitize(model_id, limit=60)} is not used: {reason}"
            )

        bundled = bundled_catalog().models.get(model_id)
        return await client.model(model_id, bundled, on_unusable=note)

    def _learned(
        self, settings: Settings, models: dict[str, Model], listed: tuple[str, ...]
    ) -> LiveModels:
        """On disk too, so that the next kernel need not ask."""
        live = self.live(settings).learned(models, listed)
        self._live[settings.home, settings.base_url] = live
        save(settings.home / "models", live)
        return live


def _unruled(model_id: str) -> Model:
    """A model whose schema can't be read takes any parameter: the Hub then judges."""
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
