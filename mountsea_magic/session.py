"""The session: what one process knows between two cells: login, demo, open tasks, the journal."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clients import ClientPool
from .credentials.key_store import KeyStore
from .errors import ConfigurationError, MountseaError, sanitize
from .generation.events import Event, Notice
from .generation.handle import Generation
from .generation.notices import notify
from .hub.model_registry import ModelRegistry
from .runtime.child_processes import ChildProcesses, inherited_demo
from .runtime.environment import variable
from .runtime.exit_hook import call_at_exit, wait_for_submissions
from .runtime.loop_thread import LoopThread
from .settings import DEFAULT_TIMEOUT_S, DEMO_URL, Secret, Settings, read_settings
from .settings.hub_urls import is_same_hub

if TYPE_CHECKING:
    from .generation.submit import PendingSubmissions
    from .journal.entry import Entry
    from .journal.journal import Journal
    from .request.catalog import Catalog


class Session:
    """The state of one process.

    Attributes:
        login: The key of ``%mountsea login``, in memory only.
        demo: What ``%mountsea demo`` said: ``on``, ``off``, ``if-no-key`` or None.
        base_url: The Hub's address before the environment's, or None.
        clients: The clients, and the demo's network.
        registry: What the Hubs say of their models.
        worker: The loop thread.
        open: The generations whose task may still be going on at the Hub.

    Example:
        >>> Session().open
        []
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self.login: Secret | None = None
        self.demo: str | None = None
        self.base_url: str | None = None
        self._children = ChildProcesses()
        self.clients = ClientPool()
        self.registry = ModelRegistry()
        self.worker = LoopThread()
        self.open: list[Generation] = []
        self._journals: dict[Path, Journal] = {}
        self._stores: dict[Path, KeyStore] = {}
        self._pending: PendingSubmissions | None = None

    def use_demo(self, choice: str) -> None:
        """Choose the demo Hub or not: ``on``, ``off`` or ``if-no-key``; workers do the same."""
        self.demo = None if choice == "off" else choice
        # what must be overruled is; with nothing to overrule, a `demo:` that is set later counts
        if self._publish() and choice == "off":
            self.demo = "off"
            self._publish()

    def use_base_url(self, base_url: str | None) -> None:
        """Choose a Hub before the environment's, or None for that; workers do the same."""
        self.base_url = base_url
        if base_url == DEMO_URL and self.demo == "off":
            self.demo = None
        self._publish()

    def _publish(self) -> bool:
        """Say whether the demo Hub is meant; a wrong setting is an error where it is used."""
        with suppress(ConfigurationError):
            self._children.publish(self._read("on").home, demo=self.demo, base_url=self.base_url)
            return bool(variable("MOUNTSEA_DEMO")) or self.settings().is_demo
        return False

    def settings(self) -> Settings:
        """Read the settings as they are now.

        Raises:
            ConfigurationError: If one of them makes no sense.
        """
        return self._read(self.demo)

    def settings_for(self, hub: str) -> Settings:
        """Return the settings for the Hub that has a task; a key goes to its own Hub only.

        Args:
            hub: The base URL that the journal names, or ``demo:``.

        Raises:
            ConfigurationError: If the settings do not lead there; says how they would.
        """
        now = self.settings()
        if hub == DEMO_URL or is_same_hub(now.base_url, hub):
            return replace(now, base_url=hub)
        if is_same_hub(self.real_hub(), hub):
            return replace(self._read("off"), base_url=hub)
        raise ConfigurationError(
            f"The task is at another Hub: set MOUNTSEA_BASE_URL to {sanitize(hub)}, or "
            "`%config MountseaMagics.base_url`, to get at it."
        )

    def journal(self, settings: Settings) -> Journal:
        """Return the journal of the folder that the settings name."""
        from .journal.journal import Journal

        return self._journals.setdefault(settings.journal, Journal(settings.journal))

    def catalog_for(self, settings: Settings, model: str, parameters: Mapping[str, Any]) -> Catalog:
        """Return the catalog that a request is checked by.

        The Hub is asked about its models only where a name is unknown here.

        Args:
            settings: Which Hub.
            model: The model's id.
            parameters: The model's parameters.
        """
        settings.refuse_key_in(model)  # the URL that asks for an unknown model holds its name
        if self.registry.lacks(settings, model, parameters):

            async def learn() -> None:
                await self.registry.fetch_model(settings, self.clients.client(settings), model)

            self.worker.run(learn())
            notify(self.registry.notices(), None)
        return self.registry.current(settings)

    def keys(self) -> KeyStore:
        """Return what ``%mountsea login --save`` keeps keys in."""
        return self._store(self.settings().home)

    def real_hub(self) -> str:
        """Return the address that a key is for, also while the demo Hub is on."""
        return read_settings(base_url=self.base_url, login=self.login, demo="off").base_url

    def recall(self, task_id: str) -> tuple[Generation, Settings]:
        """Return the handle of a task that was submitted, and the settings of its Hub.

        Args:
            task_id: A task of this kernel, of the journal, or of anybody.

        Raises:
            ConfigurationError: If the task is at a Hub that the settings do not lead to.
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
                # its images are here; that Hub is not asked, and gets no key
                settings = replace(settings, base_url=entry.hub, key=None, key_source="none")
        elif known is not None and known.is_demo:
            settings = self.settings_for(DEMO_URL)
        if known is not None:
            return known, settings
        request = entry.request if entry is not None else None
        return Generation(request, task_id=task_id, is_demo=settings.is_demo), settings

    def open_tasks(self) -> list[Entry]:
        """Return what may still bring images: by the journal, and by this process's memory."""
        from .journal.entry import Entry

        settings = self.settings()
        entries = self.journal(settings).open_entries()
        written = {entry.task_id for entry in entries}
        for generation in self.open:
            if generation.task_id is not None and generation.task_id not in written:
                hub = DEMO_URL if generation.is_demo else settings.base_url
                entry = Entry.begin(hub, generation.request, task_id=generation.task_id)
                entries.append(replace(entry, state=generation.status))
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
    ) -> Generation:
        """Order what a handle asks for, or follow its task if it has one, to the images.

        Args:
            generation: The handle; it learns of everything that happens.
            settings: Which Hub.
            timeout_s: How long to wait for the task, in seconds.
            on_event: Told of every event too.
            fresh: Never answer from the journal.
            cache: Answer from the journal also without a seed.

        Raises:
            MountseaError: What went wrong; also kept as the handle's ``error``.
        """
        if generation not in self.open:
            self.open.append(generation)
        generation.error = None
        resumed = generation.task_id is not None
        journal, notices = self.journal(settings), list[str]()
        try:
            work = self._events(generation, settings, timeout_s, fresh, cache)
            async with aclosing(work) as events:
                async for event in events:
                    generation.take(event)
                    if isinstance(event, Notice):
                        notices.append(event.text)
                    elif on_event is not None:
                        on_event(event)
        except MountseaError as error:
            generation.fail(error, resumed=resumed)
            raise
        finally:
            # an order that is on its way when the cell is stopped tells its task later
            orderless = generation.task_id is None and generation.status != "submitting"
            ended = orderless or generation.status in ("completed", "failed", "uncertain")
            if ended and generation in self.open:
                self.open.remove(generation)
            notify([*self._store(settings.home).notes(), *journal.trouble(), *notices], on_event)
        return generation

    def forget_parent(self) -> None:
        """In a forked process: its parent goes on with what it has submitted."""
        self._pending, self.open = None, []

    @property
    def pending_submissions(self) -> int:
        """How many orders of this process are not answered yet."""
        return self._pending.count if self._pending is not None else 0

    async def drain(self) -> None:
        """Wait for the answers to all orders that are on their way."""
        if self._pending is not None:
            await self._pending.drain()

    def _events(
        self,
        generation: Generation,
        settings: Settings,
        timeout_s: float,
        fresh: bool,
        cache: bool,
    ) -> AsyncGenerator[Event, None]:
        """A handle with a task is resumed: nothing is ordered a second time."""
        from .generation.run import GenerationContext, resume, run

        context = GenerationContext(
            settings.base_url,
            lambda: self.clients.client(settings),
            self.journal(settings),
            self._in_flight(),
            settings.originals,
        )
        request, task_id = generation.request, generation.task_id
        if task_id is not None:
            return resume(context, task_id, request, timeout_s=timeout_s)
        if request is None:
            raise ValueError("a generation needs a request or a task id")
        on_task_id = generation.learn_task
        return run(
            context, request, on_task_id=on_task_id, timeout_s=timeout_s, fresh=fresh, cache=cache
        )

    def wait_for_submissions_at_exit(self) -> None:
        """Let a process that ends wait a moment for the orders that it has begun."""
        call_at_exit(self._wait_at_exit)

    def _in_flight(self) -> PendingSubmissions:
        """A process that ends gives orders on their way a moment to tell their ids."""
        if self._pending is None:
            from .generation.submit import PendingSubmissions

            self._pending = PendingSubmissions()
            self.wait_for_submissions_at_exit()
        return self._pending

    def _wait_at_exit(self) -> None:
        """An order has begun as long as its task's id may come just now."""
        wait_for_submissions(
            self.worker,
            lambda: (
                self.pending_submissions > 0
                or any(task.task_id is None and not task.done() for task in self.open)
            ),
        )

    def _read(self, demo: str | None) -> Settings:
        """The environment may change between two cells, so it is read each time."""
        return read_settings(
            base_url=self.base_url,
            login=self.login,
            demo=demo,
            inherited=inherited_demo,
            stored=lambda home, hub: self._store(home).find(hub),
        )

    def _store(self, home: Path) -> KeyStore:
        """One for each folder, since it remembers what the system's keyring said."""
        return self._stores.setdefault(home, KeyStore(home / "keys.json"))


_current = Session()


def current_session() -> Session:
    """Return the session of this process."""
    return _current


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=lambda: current_session().forget_parent())
