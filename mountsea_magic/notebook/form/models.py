"""The form's list of models, which follows the Hub: its name, its models, and their schemas."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import MountseaError
from ...request.catalog import Model
from ...session import current_session
from ...settings import Settings
from .layout import heading_html, model_options
from .widgets import FormWidgets


class ModelChoice:
    """The chosen model, of those that the Hub has.

    Attributes:
        model: The chosen model.
        settings: The Hub, as it was last followed.

    Args:
        widgets: The form's widgets.
        model: The model to begin with.
        default: The id of the model that takes the place of one which the Hub does not have.
        on_choose: Called with another model, or with another schema of the same one.
    """

    def __init__(
        self, widgets: FormWidgets, model: Model, default: str, on_choose: Callable[[Model], None]
    ) -> None:
        self._widgets, self._default, self._on_choose = widgets, default, on_choose
        self._entries: list[tuple[str, str]] = []
        self._note = ""
        self._is_updating = False
        self.model = model
        self.settings = current_session().settings()

    @property
    def models(self) -> Mapping[str, Model]:
        """The models of the Hub by id."""
        return current_session().registry.current(self.settings).models

    def follow(self, settings: Settings) -> None:
        """Show a Hub and its models.

        Args:
            settings: The settings, which may be for another Hub than before.
        """
        self.settings = settings
        self._widgets.heading.value = heading_html(settings, self._note)
        catalog = current_session().registry.current(settings)
        fallback = catalog.models.get(self._default) or next(iter(catalog))
        model = catalog.models.get(self.model.id) or fallback
        entries = model_options(catalog)
        self._is_updating = True
        try:
            if entries != self._entries:
                self._entries = entries
                self._widgets.models.options = entries
            self._widgets.models.value = model.id
        finally:
            self._is_updating = False
        self._choose(model)

    def take(self) -> None:
        """Take the model that the user has chosen in the list."""
        if not self._is_updating:
            self._choose(self.models[self._widgets.models.value])

    def set(self, model: Model) -> None:
        """Choose a model for the user.

        Args:
            model: A model of the Hub.
        """
        self._widgets.models.value = model.id

    async def refresh(self, settings: Settings) -> None:
        """Ask the Hub for its models, so that new ones are known; `follow` then shows them.

        Args:
            settings: The Hub and the key.
        """
        session = current_session()
        try:
            await session.registry.refresh(settings, session.clients.client(settings))
        except MountseaError as error:
            settings.redact_key_in(error)
            self._note = f"The list of models could not be updated: {error}"

    def _choose(self, model: Model) -> None:
        former, self.model = self.model, model
        if (model.id, model.input_schema) != (former.id, former.input_schema):
            self._on_choose(model)
