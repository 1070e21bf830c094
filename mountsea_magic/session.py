"""The session: the state of one process between cells (login, demo, open tasks, journal)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clients import ClientPool
from .credentials.key_store import KeyStore
from .errors import ConfigurationError, MountseaError
from .generation.admission import SINGLE, Admission
from .generation.budget import Budget
from .generation.events import Event, Notice, PostprocessFailed
from .generation.handle import Generation
from .generation.notices import notify
from .hub.model_registry import ModelRegistry
from .hub.status import Status
from .runtime.child_processes import ChildProcesses, inherited_demo
from .runtime.environment import variable
from .runtime.exit_hook import call_at_exit, wait_for_submissions
from .runtime.loop_thread import LoopThread
from .runtime.text import sanitize
from .settings import DEFAULT_TIMEOUT_S, DEMO_URL, Secret, Settings, read_settings
from .settings.hub_urls import is_same_hub

if TYPE_CHECKING:
    from .generation.context import GenerationContext
    from .generation.executors import ImageWorkers
    from .generation.submit import PendingSubmissions
    from .journal.entry import Entry
    from .journal.journal import Journal
    from .request.catalog import Catalog
    from .request.prepare import InputImages
    from .request.request import ImageRequest
    from .request.sweep import Item


class Session:
    """The state of one process.

    Attributes:
        login: The key of ``%mountsea login``, in memory only.
        demo: The choice of ``%mountsea demo``: ``on``, ``off``, ``if-no-key`` or None.
        base_url: The Hub's base URL, which takes precedence over the environment's, or None.
        clients: The Hub clients, and the demo network.
        budget: The limits of images that are set in this process.
        registry: The models of each Hub.
        worker: The thread that runs the event loop.
        open: The generations whose task may still be running at the Hub.

    Example:
        >>> Session().open
        []
    """

    def __init__(self) -> None:
        self.login: Secret | None = None
        self.demo: str | None = None
        self.base_url: str | None = None
        self._children = ChildProcesses()
        self.clients = ClientPool()
        self.registry = ModelRegistry()
        self.worker = LoopThread()
        self.budget = Budget(self.journal, lambda work: self.worker.run(work))
        self.open: list[Generation] = []
        self._journals: dict[Path, Journal] = {}
        self._stores: dict[Path, KeyStore] = {}
        self._pending: PendingSubmissions | None = None

    def use_demo(self, choice: str) -> None:
        """Set the demo mode (``on``, ``off`` or ``if-no-key``), for worker processes, too."""
        self.demo = None if choice == "off" else choice
        # set "off" only to override a `demo:` in the environment: one that is set later counts
        if self._publish() and choice == "off":
            self.demo = "off"
            self._publish()

    def use_base_url(self, base_url: str | None) -> None:
        """Set the base URL, or None for the environment's; for worker processes, too."""
        self.base_url = base_url
        if base_url == DEMO_URL and self.demo == "off":
            self.demo = None
        self._publish()

    def _publish(self) -> bool:
        """Publish the choice to worker processes; return whether the demo Hub is selected.

        An invalid setting is ignored here: it is reported where it is used.
        """
        with suppress(ConfigurationError):
            self._children.publish(self._read("on").home, demo=self.demo, base_url=self.base_url)
            return bool(variable("MOUNTSEA_DEMO")) or self.settings().is_demo
        return False

    def settings(self) -> Settings:
        """Return the current settings.

        Raises:
            ConfigurationError: If one of them is invalid.
        """
        return self._read(self.demo)

    def settings_for(self, hub: str) -> Settings:
        """Return the settings for the Hub of a task; a key is only used for its own Hub.

        Args:
            hub: The base URL in the journal, or ``demo:``.

        Raises:
            ConfigurationError: If the settings are for another Hub; names the setting to change.
        """
        current = self.settings()
        if hub == DEMO_URL or is_same_hub(current.base_url, hub):
            return replace(current, base_url=hub)
        if is_same_hub(self.real_hub(), hub):
            return replace(self._read("off"), base_url=hub)
        raise ConfigurationError(
            f"The task belongs to another Hub: set MOUNTSEA_BASE_URL to {sanitize(hub)}, or "
            "`%config MountseaMagics.base_url`, to fetch it."
        )

    def journal(self, settings: Settings) -> Journal:
        """Return the journal in the data folder of the settings."""
        from .journal.journal import Journal

        return self._journals.setdefault(settings.journal, Journal(settings.journal))

    def catalog_for(self, settings: Settings, model: str, parameters: Mapping[str, Any]) -> Catalog:
        """Return the catalog that validates a request.

        The Hub's models are requested only if a name is not in the bundled catalog.

        Args:
            settings: The Hub and the key.
            model: The model's id.
            parameters: The model's parameters.
        """
        settings.refuse_key_in(model)  # an unknown model's name becomes part of a URL
        if self.registry.should_fetch(settings, model, parameters):

            async def learn() -> None:
                await self.registry.fetch_model(settings, self.clients.client(settings), model)

            self.worker.run(learn())
            notify(self.registry.notices(), None)
        return self.registry.current(settings)

    def build(
        self,
        settings: Settings,
        item: Item,
        *,
        model: str,
        parameters: Mapping[str, Any] | None = None,
        images: InputImages | None = None,
        spell: Callable[[str], str] = str,
    ) -> ImageRequest:
        """Validate an item, and build its request.

        Args:
            settings: The Hub and the key.
            item: What the user asked for.
            model: The model of an item that names none.
            parameters: Parameters that the item does not set itself.
            images: Converts the input images, which items may have in common.
            spell: Returns a parameter's name as the user writes it.

        Raises:
            InvalidRequest: If it is not valid; nothing was sent.
        """
        from .request.prepare import build_item

        find = partial(self.catalog_for, settings)
        return build_item(settings, item, model, parameters or {}, find, images, spell)

    def keys(self) -> KeyStore:
        """Return the store of ``%mountsea login --save``."""
        return self._store(self.settings().home)

    def real_hub(self) -> str:
        """Return the base URL that a key belongs to, even while the demo Hub is on."""
        return read_settings(base_url=self.base_url, login=self.login, demo="off").base_url

    def recall(self, task_id: str) -> tuple[Generation, Settings]:
        """Return the handle of a task that was submitted, and the settings of its Hub.

        Args:
            task_id: A task of this kernel, of the journal, or from elsewhere.

        Raises:
            ConfigurationError: If the task belongs to another Hub than that of the settings.
        """
        settings = self.settings()
        entry = self.journal(settings).find(task_id, hub=settings.base_url)
        known = next((task for task in self.open if task.task_id == task_id), None)
        if entry is not None:
            try:
                settings = self.settings_for(entry.hub)
            except ConfigurationError:
                if not entry.files or not all(image.is_intact() for image in entry.files):
                    raise
                # its images are on disk, so that Hub is not contacted and gets no key
                settings = replace(settings, base_url=entry.hub, key=None, key_source="none")
        elif known is not None and known.is_demo:
            settings = self.settings_for(DEMO_URL)
        if known is not None:
            return known, settings
        request = entry.request if entry is not None else None
        return Generation(request, task_id=task_id, is_demo=settings.is_demo), settings

    def open_tasks(self) -> list[Entry]:
        """Return the tasks that may still produce images: of the journal and of this process."""
        from .journal.entry import Entry

        settings = self.settings()
        entries = self.journal(settings).open_entries()
        journaled = {entry.task_id for entry in entries}
        for generation in self.open:
            if generation.task_id is not None and generation.task_id not in journaled:
                hub = DEMO_URL if generation.is_demo else settings.base_url
                entry = Entry.begin(hub, generation.request, task_id=generation.task_id)
                entries.append(replace(entry, status=generation.status))
        return entries

    async def generate(
        self,
        generation: Generation,
        settings: Settings,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        on_event: Callable[[Event], None] | None = None,
        fresh: bool = False,
        cache: bool = False,
        admission: Admission = SINGLE,
        workers: ImageWorkers | None = None,
    ) -> Generation:
        """Run a generation to its images: resume its task if it has one, else submit its request.

        Args:
            generation: The handle, which is updated with every event.
            settings: The Hub and the key.
            timeout_s: How long to wait for the task, in seconds.
            on_event: Called with every event, too.
            fresh: Never answer from the journal.
            cache: Answer from the journal also without a seed.
            admission: Decides when to submit and to poll; shared by the generations of a batch.
            workers: Where images are downloaded and post-processed; this process by default.

        Returns:
            The handle.

        Raises:
            MountseaError: If the generation failed; also stored in the handle's ``error``.
            Stopped: If the admission admits nothing any more; nothing was submitted.
        """
        if generation not in self.open:
            self.open.append(generation)
        generation.error = None
        resumed = generation.task_id is not None
        journal, notices = self.journal(settings), list[str]()

        def report(event: Event) -> None:
            generation.take(event)
            if isinstance(event, Notice):
                notices.append(event.text)
            elif on_event is not None:
                on_event(event)

        try:
            from .generation.run import run_or_resume

            completed = await run_or_resume(
                self._context(generation, settings, report, admission, workers),
                generation.request,
                generation.task_id,
                idempotency_key=generation.idempotency_key,
                timeout_s=timeout_s,
                fresh=fresh or generation.submits_anew,
                cache=cache,
            )
            report(completed)
        except MountseaError as error:
            if isinstance(error, PostprocessFailed):
                generation.take(error.completed)  # its images are kept
            generation.fail(error, resumed=resumed)
            raise
        finally:
            # keep a pending submission open: its task id arrives after the cell was stopped
            status = generation.status
            unsubmitted = generation.task_id is None and status != Status.SUBMITTING
            ended = unsubmitted or status in (Status.COMPLETED, Status.FAILED, Status.UNCERTAIN)
            if ended and generation in self.open:
                self.open.remove(generation)
            notify([*self._store(settings.home).notes(), *journal.trouble(), *notices], on_event)
        return generation

    def forget_parent(self) -> None:
        """In a forked process, forget the parent's submissions and tasks: it continues them."""
        self._pending, self.open = None, []

    @property
    def pending_submissions(self) -> int:
        """How many submissions of this process have no response yet."""
        return self._pending.count if self._pending is not None else 0

    async def drain(self) -> None:
        """Wait for the responses to all pending submissions."""
        if self._pending is not None:
            await self._pending.drain()

    def _context(
        self,
        generation: Generation,
        settings: Settings,
        on_event: Callable[[Event], None],
        admission: Admission,
        workers: ImageWorkers | None,
    ) -> GenerationContext:
        """What a generation needs, with the callbacks of its handle."""
        from .generation.context import GenerationContext

        return GenerationContext(
            settings.base_url,
            lambda: self.clients.client(settings),
            self.journal(settings),
            self._ensure_pending(),
            settings.originals,
            on_event,
            generation.set_task_id,
            generation.submission_failed,
            admission,
            self.budget.limit(settings),
            workers=workers,
        )

    def wait_for_submissions_at_exit(self) -> None:
        """Register the exit hook that waits a moment for pending submissions."""
        call_at_exit(self._wait_at_exit)

    def _ensure_pending(self) -> PendingSubmissions:
        if self._pending is None:
            from .generation.submit import PendingSubmissions

            self._pending = PendingSubmissions()
            self.wait_for_submissions_at_exit()
        return self._pending

    def _wait_at_exit(self) -> None:
        """Wait at exit while a task id may still arrive."""
        wait_for_submissions(
            self.worker,
            lambda: (
                self.pending_submissions > 0
                or any(task.task_id is None and not task.done() for task in self.open)
            ),
        )

    def _read(self, demo: str | None) -> Settings:
        """Read each time, since the environment may change between cells."""
        return read_settings(
            base_url=self.base_url,
            login=self.login,
            demo=demo,
            inherited=inherited_demo,
            stored=lambda home, hub: self._store(home).find(hub),
        )

    def _store(self, home: Path) -> KeyStore:
        """One store per folder, since it caches failures of the system keyring."""
        return self._stores.setdefault(home, KeyStore(home / "keys.json"))


_current = Session()


def current_session() -> Session:
    """Return the session of this process."""
    return _current


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=lambda: current_session().forget_parent())
