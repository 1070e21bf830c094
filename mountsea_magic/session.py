"""The session: what one process knows between two cells: login, demo, clients, open tasks."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .catalog import nearest
from .errors import Interrupted, InvalidRequest, MountseaError, TaskFailed, plain, resume_hint
from .events import Event, Notice
from .generation import DEFAULT_TIMEOUT_S, follow, order
from .handle import Generation
from .request import DEFAULT_MODEL, ImageRequest, build_request
from .settings import Secret, Settings, read_settings
from .worker import Worker

if TYPE_CHECKING:
    from .client import HubClient
    from .demo.network import DemoNetwork

Loop = asyncio.AbstractEventLoop


class Session:
    """The state of one process.

    Attributes:
        login: The key of ``%mountsea login``, in memory only.
        demo: What ``%mountsea demo`` said: ``on``, ``off``, ``if-no-key`` or None.
        demo_seconds: How long a task of the demo Hub takes, in seconds.
        demo_fault: Which of the demo network's faults is on.
        base_url: The Hub's address before the environment's, or None.
        worker: The loop thread.
        open: The generations whose task may still be going on at the Hub.

    Example:
        >>> Session().demo_fault
        'none'
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self.login: Secret | None = None
        self.demo: str | None = None
        self.demo_seconds = 6.0
        self.demo_fault = "none"
        self.base_url: str | None = None
        self.worker = Worker()
        self.open: list[Generation] = []
        self._clients: WeakKeyDictionary[Loop, dict[Settings, HubClient]] = WeakKeyDictionary()

    def settings(self) -> Settings:
        """Read the settings as they are now.

        Raises:
            ConfigurationError: If one of them makes no sense.
        """
        return read_settings(os.environ, base_url=self.base_url, login=self.login, demo=self.demo)

    def break_demo(self, fault: str) -> str:
        """Switch a fault of the demo's network on, or all off with ``none``.

        Returns:
            What the fault does, in words.

        Raises:
            InvalidRequest: If there is no such fault.
        """
        from .demo.network import FAULTS

        if fault not in FAULTS:
            raise InvalidRequest(
                f"--fail {fault}: there is no such fault. {nearest(fault, FAULTS)}"
            )
        self.demo_fault = fault
        return FAULTS[fault]

    async def generate(
        self,
        generation: Generation,
        settings: Settings,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        watch: Callable[[Event], None] | None = None,
    ) -> Generation:
        """Order what a handle asks for, or follow its task if it has one, to the pictures.

        Args:
            generation: The handle; it learns of everything that happens.
            settings: Which Hub.
            timeout_s: How long to wait for the task, in seconds.
            watch: Told of every event too.

        Returns:
            The handle.

        Raises:
            MountseaError: What went wrong; also kept as the handle's ``error``.
        """
        self.open.append(generation)
        try:
            async with aclosing(self._events(generation, settings, timeout_s)) as events:
                async for event in events:
                    generation.take(event)
                    if watch is not None:
                        watch(event)
                    elif isinstance(event, Notice):
                        warnings.warn(event.text, RuntimeWarning, stacklevel=2)
        except MountseaError as error:
            generation.error = error
            if _has_ended(generation, error):
                self.open.remove(generation)
                generation.status = "failed"
            raise
        self.open.remove(generation)
        return generation

    async def credits(self, settings: Settings) -> float:
        """Ask how many credits are left.

        Raises:
            MountseaError: If the endpoint is not known, not reached, or refuses.
        """
        return await self._client(settings).credits()

    def _events(
        self, generation: Generation, settings: Settings, timeout_s: float
    ) -> AsyncGenerator[Event, None]:
        """A handle with a task is resumed: nothing is ordered a second time."""
        client, folder = self._client(settings), settings.originals
        if generation.task_id is not None:
            prompt = generation.prompt
            return follow(client, generation.task_id, folder, prompt=prompt, timeout_s=timeout_s)
        if generation.request is None:
            raise ValueError("a generation needs a request or a task id")
        generation.status = "submitting"
        return order(client, generation.request, folder, timeout_s=timeout_s)

    def _client(self, settings: Settings) -> HubClient:
        """Connections belong to a loop, and a key to a Hub: one client for each pair."""
        from .client import HubClient

        clients = self._clients.setdefault(asyncio.get_running_loop(), {})
        if settings not in clients:
            if settings.is_demo:
                from .demo.network import DEMO_ORIGIN

                credits_url = f"{DEMO_ORIGIN}/api-user/credits"
                network = self._demo_network(settings)
                made = HubClient(DEMO_ORIGIN, None, credits_url=credits_url, transport=network)
            else:
                key = settings.require_key()
                made = HubClient(settings.base_url, key, credits_url=settings.credits_url)
            clients[settings] = made
        return clients[settings]

    def _demo_network(self, settings: Settings) -> DemoNetwork:
        """The fault and the speed are asked for anew at each request: a lesson changes them."""
        from .demo.app import create_app
        from .demo.network import DemoNetwork

        app = create_app(settings.home / "demo", seconds=lambda: self.demo_seconds)
        return DemoNetwork(app, fault=lambda: self.demo_fault)


CURRENT = Session()
"""The session of this process."""


def generate(
    prompt: str,
    *,
    model: str = DEFAULT_MODEL,
    timeout: float = DEFAULT_TIMEOUT_S,
    **parameters: Any,
) -> Generation:
    """Order pictures and wait for them.

    Args:
        prompt: What the picture shows, taken literally.
        model: The model's id.
        timeout: How long to wait, in seconds; the task goes on at the Hub afterwards.
        **parameters: The model's parameters, such as ``num_images=2``.

    Returns:
        The completed generation.

    Raises:
        InvalidRequest: If a parameter is wrong; nothing was sent.
        MountseaError: What else went wrong; bears the ``task_id`` where there is one.
        Interrupted: If the wait was interrupted; the task goes on.

    Example:
        >>> dog = generate("a dog", num_images=2)  # doctest: +SKIP
        >>> dog[0].pil.size  # doctest: +SKIP
        (1024, 1024)
    """
    generation, settings = _prepared(prompt, model, parameters)
    work = CURRENT.generate(generation, settings, timeout_s=timeout)
    try:
        return CURRENT.worker.run(work)
    except KeyboardInterrupt:
        raise interrupted(generation) from None


async def agenerate(
    prompt: str,
    *,
    model: str = DEFAULT_MODEL,
    timeout: float = DEFAULT_TIMEOUT_S,
    **parameters: Any,
) -> Generation:
    """Order pictures and await them; as `generate`, from asyncio code.

    Args:
        prompt: What the picture shows, taken literally.
        model: The model's id.
        timeout: How long to wait, in seconds; the task goes on at the Hub afterwards.
        **parameters: The model's parameters, such as ``num_images=2``.

    Returns:
        The completed generation.

    Raises:
        MountseaError: As `generate` does.

    Example:
        >>> dogs = await asyncio.gather(agenerate("a lab"), agenerate("a pug"))  # doctest: +SKIP
    """
    generation, settings = _prepared(prompt, model, parameters)
    return await CURRENT.worker.wait(CURRENT.generate(generation, settings, timeout_s=timeout))


def interrupted(generation: Generation) -> Interrupted:
    """Say what goes on after an interrupt, and how to get at it.

    Args:
        generation: The handle that was waited for.
    """
    task_id = generation.task_id
    if task_id is not None:
        said = (
            f"Stopped waiting. Task {plain(task_id)} goes on at the Hub, and is charged if it "
            f"completes; fetch it with {resume_hint(task_id)}."
        )
    elif generation.status == "submitting":
        said = (
            "Stopped while the order was on its way: it may have been taken. "
            "See `%mountsea credits` before you order again."
        )
    else:
        said = "Stopped before anything was ordered."
    generation.error = Interrupted(said, task_id=task_id)
    return generation.error


def _prepared(prompt: str, model: str, parameters: dict[str, Any]) -> tuple[Generation, Settings]:
    """Everything that can be refused is refused before anything is sent."""
    request: ImageRequest = build_request(prompt, model=model, parameters=parameters)
    settings = CURRENT.settings()
    settings.require_key()
    return Generation(request, is_demo=settings.is_demo), settings


def _has_ended(generation: Generation, error: MountseaError) -> bool:
    """Without a task, or with a failed or unknown one, there is nothing to wait for."""
    unknown = generation.request is None and error.status_code == 404
    return isinstance(error, TaskFailed) or unknown or error.task_id is None
