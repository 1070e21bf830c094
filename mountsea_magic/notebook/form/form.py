"""The form: a request for images filled in with widgets, made from the model's live schema."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError, MountseaError
from ...generation.budget import image_count
from ...generation.handle import Generation
from ...hub.status import Status
from ...images.files import GeneratedImage
from ...request.catalog import Model
from ...request.prepare import InputImages, is_image_parameter
from ...runtime.text import counted, sanitize
from ...session import current_session
from ...settings import Settings
from ..cell import LAST_RESULT
from ..frontend import FrontEnd
from ..options import CellOptions
from ..widget_tree import answer_while_busy
from .check import (
    PROMPT,
    FormValues,
    Problems,
    edit_model,
    fits,
    image_problems,
    problems_of,
    summary_of,
    typed_values,
)
from .fields import MAX_FIELDS, UNSET, Field, make_field
from .images import InputImagesField
from .layout import (
    CLOSED,
    IMAGE_AS_TEXT,
    NO_WIDGETS,
    ONLY_A_URL,
    model_note,
    note_of,
    widgets_bundle,
)
from .models import ModelChoice
from .open_forms import OPEN_FORMS
from .recent_images import RecentImages, recent_images
from .results import Results
from .run import FormRun
from .submission import checked_generation
from .widgets import FormWidgets

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

REFRESH_S = 1.5
"""How long the form waits for the Hub's list of models before it is shown, in seconds."""

DOUBLE_CLICK_S = 0.4
"""How long after a submission another click on Generate is ignored, in seconds: a result from the
journal is there at once, before the second click of a double click."""


class Form:
    """A form in a notebook; its callbacks may run on any thread, one at a time.

    Attributes:
        widgets: Its widgets.
        fields: The field of each parameter, by name.
        images: The field of the input images.
        results: Its results.
        run: The generation that runs, or None.
        closed: Whether it was closed.

    Args:
        shell: The user's shell: uploads and results become variables.
        model: The model to begin with.
        options: The values of ``%config``.
        front: The front end.
    """

    def __init__(
        self, shell: InteractiveShell, model: Model, options: CellOptions, front: FrontEnd
    ) -> None:
        self._shell, self._options, self._front = shell, options, front
        self._lock = threading.RLock()
        self._remembered: dict[str, Any] = {}
        self._touched: set[str] = set()
        self._started_at = float("-inf")
        self._confirmed = ""
        self._shows_summary = False
        self._handles: list[Any] = []
        self.run: FormRun | None = None
        self.closed = False
        self.fields: dict[str, Field] = {}
        self.images = InputImagesField(
            shell.user_ns,
            variables=not front.app,
            guard=self._guard,
            on_change=self._images_changed,
        )
        self.results = Results(self._edit_safely, paths=not front.app)
        self._recent = RecentImages(self._edit_safely)
        self.widgets = FormWidgets(
            self.images.box, self._recent.box, self.results.box, closable=not front.app
        )
        self._choice = ModelChoice(self.widgets, model, options.model, self._show_model)
        self._choice.follow(self._choice.settings)
        self._show_model(self._choice.model)
        self._connect()
        answer_while_busy(self.widgets.root)

    def show(self, cell_id: str = "") -> None:
        """Show the form, and below it reserve the output for its images.

        Args:
            cell_id: The id of its cell; another form of the same cell is closed.
        """
        from IPython.display import display

        self._refresh_models()
        bundle = widgets_bundle(self.widgets.root, note_of(self.cell, title=NO_WIDGETS))
        # in an app no output can be updated later
        display_id = None if self._front.app else True
        self._handles = [display(bundle, raw=True, display_id=display_id)]  # type: ignore[no-untyped-call]  # IPython's display is untyped
        if self._front.app:
            return
        self._handles.append(display({"text/plain": ""}, raw=True, display_id=True))  # type: ignore[no-untyped-call]  # as above
        OPEN_FORMS.add(self, cell_id)
        self._shell.events.register("post_run_cell", self._after_cell)
        current_session().worker.start(self._show_recent())

    def close(self) -> None:
        """Replace the form by its last cell and one output with all its images.

        It stops waiting for a generation that runs; the note says how to resume it.
        """
        with self._lock:
            if self.closed:
                return
            self.closed, run = True, self.run
        self.widgets.announce("Closing …")  # many images take a moment
        message = ""
        if run is not None:
            run.stop()
            if run.generation.status == Status.COMPLETED:
                self.results.generations.append(run.generation)
            else:
                message = str(run.generation.interrupted())
        OPEN_FORMS.remove(self)
        try:
            if self._handles:
                with suppress(ValueError):  # an interrupt came before it was registered
                    self._shell.events.unregister("post_run_cell", self._after_cell)
                self._replace_outputs(message)
        finally:
            self.widgets.dispose()
            if run is not None:
                run.dispose()

    @property
    def model(self) -> Model:
        """The chosen model."""
        return self._choice.model

    @property
    def cell(self) -> str:
        """The text of the cell that submits what is filled in."""
        return self._filled_in().cell(self._choice.settings)

    def _replace_outputs(self, message: str) -> None:
        """Replace the outputs by what stays in the notebook."""
        shown, *reserved = self._handles
        try:
            output = self.results.output()
            if output is not None and reserved:
                bundle, metadata = output
                reserved[0].update(bundle, metadata=metadata, raw=True)
        finally:
            shown.update(note_of(self.cell, message, title=CLOSED), raw=True)

    def _guard(self, work: Callable[[], None]) -> None:
        """Run a callback under the lock, and show its error, which would vanish into a log."""
        try:
            with self._lock:
                if not self.closed:
                    work()
        except MountseaError as error:
            self._choice.settings.redact_key_in(error)
            self.widgets.show_message(f"{type(error).__name__}: {error}")
        except Exception as error:
            self.widgets.show_message(
                f"Unexpected error ({type(error).__name__}): {sanitize(error)}"
            )

    def _connect(self) -> None:
        """Connect the widgets that don't depend on the model."""
        widgets = self.widgets
        widgets.models.observe(lambda _: self._guard(self._choice.take), "value")
        widgets.prompt.observe(lambda _: self._guard(partial(self._changed, PROMPT)), "value")
        widgets.generate.on_click(lambda _: self._guard(self._generate))
        widgets.cancel.on_click(lambda _: self._guard(self._cancel))
        # not under the lock: it waits for a generation that runs to stop
        widgets.close.on_click(lambda _: self.close())

    def _show_model(self, model: Model) -> None:
        """Show the fields of a model; values stay where they are valid for it."""
        for name, field in self.fields.items():
            self._remembered[name] = field.changed()
        names = [name for name in model.parameters if name != model.image_parameter]
        required = model.input_schema.get("required", ())
        names.sort(key=lambda name: name not in required)
        self.fields = {
            name: make_field(name, model.parameters[name], required=name in required)
            for name in names[:MAX_FIELDS]
        }
        for name, field in self.fields.items():
            typed = self._remembered.get(name, UNSET)
            if typed is not UNSET and fits(typed, field.schema):
                field.fill(typed)
            field.on_change(partial(self._field_changed, name))
            if is_image_parameter(model, name):
                field.add_help(ONLY_A_URL if self._front.app else IMAGE_AS_TEXT)
        self.widgets.model_note.value = model_note(model, names[MAX_FIELDS:])
        self.widgets.show_fields(list(self.fields.values()))
        self.images.fit(model)
        self._changed()

    def _field_changed(self, name: str, _: Any) -> None:
        self._guard(partial(self._changed, name))

    def _images_changed(self) -> None:
        self._changed(self.model.image_parameter or "")

    def _changed(self, name: str = "") -> None:
        """Check what is filled in, and update the cell.

        Args:
            name: The field that the user has changed; it is checked visibly from now on.
        """
        self._touched.add(name)
        problems = self._problems()
        self._show_problems(problems)
        if self._shows_summary:
            self._shows_summary = bool(problems)
            self.widgets.show_message(summary_of(problems) if problems else "")
        self.widgets.show_cell(self.cell)

    def _filled_in(self) -> FormValues:
        """Return what is filled in now."""
        has_images = self.model.image_parameter is not None
        return FormValues(
            self.model,
            self.widgets.prompt.value,
            typed_values(self.fields),
            tuple(self.images.words) if has_images else (),
            self.images.count if has_images else 0,
        )

    def _problems(self) -> Problems:
        return problems_of(self._filled_in(), self.fields, urls_only=self._front.app)

    def _show_problems(self, problems: Problems) -> None:
        """Show each problem beside its field, unless the user has not changed it yet."""
        shown = {name: found for name, found in problems.items() if name in self._touched}
        self.widgets.show_prompt_problems(shown.get(PROMPT, ()))
        self.images.show_problems(shown.get(self.model.image_parameter or "", ()))
        for name, field in self.fields.items():
            field.show_problems(shown.get(name, ()))

    def _generate(self) -> None:
        """Submit what is filled in, unless something is wrong or a generation runs."""
        if self.run is not None or time.monotonic() - self._started_at < DOUBLE_CLICK_S:
            return
        self.widgets.show_message()
        self.widgets.set_running(True)
        try:
            self._start()
        finally:
            if self.run is None:
                self.widgets.show_progress()
            self.widgets.set_running(self.run is not None)

    def _start(self) -> None:
        """Check everything, and start the generation."""
        settings = current_session().settings()
        self._choice.follow(settings)
        images = InputImages(self._shell.user_ns)
        filled = self._filled_in()
        problems = self._problems()
        if not problems:
            problems = image_problems(filled, images)
        self._touched = {PROMPT, self.model.image_parameter or "", *self.fields, *problems}
        self._show_problems(problems)
        self._shows_summary = bool(problems)
        if problems:
            self.widgets.show_message(summary_of(problems))
            return
        generation = checked_generation(filled, images, settings)
        generation.preview_px = self._options.preview
        if not self._is_confirmed(generation, settings):
            return
        self._shell.user_ns[LAST_RESULT] = generation
        run = FormRun(generation, settings, timeout_s=self._options.timeout, on_end=self._run_ended)
        self.widgets.show_progress(run.row.box)
        run.start()
        self.run = run  # not too late: `_run_ended` waits for the lock
        self._touched.clear()
        self._started_at = time.monotonic()

    def _is_confirmed(self, generation: Generation, settings: Settings) -> bool:
        """Return whether a large order was confirmed by a second click."""
        images = image_count(current_session().budget.charged(settings, [generation]))
        request = generation.request
        if images <= self._options.confirm_above or request is None:
            return True
        if self._confirmed == request.fingerprint():
            self._confirmed = ""
            return True
        self._confirmed = request.fingerprint()
        self.widgets.show_message(
            f"This orders {counted(images, 'image')}. Click Generate again to order them."
        )
        return False

    def _cancel(self) -> None:
        if self.run is not None:
            self.widgets.cancel.disabled = True
            self.run.generation.cancel()

    def _run_ended(self, run: FormRun) -> None:
        """Show the result of a run; on a thread of its own."""

        def show() -> None:
            self.run = None
            self.widgets.show_progress()
            self.widgets.set_running(False)
            self.images.offer_variables()
            if run.generation.status != Status.COMPLETED:
                self.widgets.show_message_html(run.ending().html)
                return
            self.results.add(run.generation)
            self.widgets.announce(f"Done: {counted(len(run.generation), 'image')}, shown below.")
            if run.notices:
                self.widgets.show_message("; ".join(dict.fromkeys(run.notices)))

        self._guard(show)

    def _edit_safely(self, image: GeneratedImage) -> None:
        self._guard(partial(self._edit, image))

    def _edit(self, image: GeneratedImage) -> None:
        """Use an image as an input image; a model that takes none is replaced by one that does."""
        self._choice.set(edit_model(self.model, self._choice.models))
        # an app does not show the server's paths to its visitors
        word = self.images.bind("image", image) if self._front.app else str(image.path)
        self.images.add(word, replace=self.images.takes_one)

    def _after_cell(self, _: object = None) -> None:
        """Follow what a cell may have changed: the variables, the Hub and its models."""

        def follow() -> None:
            self.images.offer_variables()
            with suppress(ConfigurationError):  # reported by the next cell or click
                self._choice.follow(current_session().settings())

        self._guard(follow)

    def _refresh_models(self) -> None:
        """Ask the Hub for its models; if that takes long, they follow when the form is shown."""
        settings = self._choice.settings
        if settings.is_demo or settings.key is not None:
            current_session().worker.start(self._follow_hub(settings)).wait(REFRESH_S)

    async def _follow_hub(self, settings: Settings) -> None:
        await self._choice.refresh(settings)
        await asyncio.to_thread(self._guard, partial(self._choice.follow, settings))

    async def _show_recent(self) -> None:
        """Show the recent images of the journal; their thumbnails take a moment."""

        def show() -> None:
            found = recent_images(self._choice.settings)
            self._guard(partial(self._recent.show, found))

        await asyncio.to_thread(show)
