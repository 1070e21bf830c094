"""The demo Hub as an ASGI app: the documented contract, with the shapes of the vendor's page."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...request.catalog import bundled_catalog
from .inputs import BadInput, take_inputs
from .render import Painter, format_of
from .render import draw as draw  # it has always been found here
from .responses import broken, listed, refused
from .submissions import Refusal, read_submission
from .tasks import DemoTask, TaskStore

URL_LIFE_S = 600.0
"""How long an image's URL is good for, in seconds; then the task gives a fresh one."""

MAX_IMAGES = 999
"""A number that no image of a task has."""

_REASONS = {
    "failed": ("content_policy", "The prompt asked the demo Hub to fail."),
    "timeout": ("timeout", "The prompt asked the demo Hub to run out of time."),
    "cancelled": ("cancelled", "The prompt asked the demo Hub to cancel."),
}


def create_app(
    folder: Path,
    *,
    seconds: float | Callable[[], float] = 6.0,
    key: str | None = None,
    clock: Callable[[], float] = time.time,
    painter: Painter | None = None,
) -> Starlette:
    """Make a demo Hub.

    Args:
        folder: Where its tasks are kept.
        seconds: How long a task takes, give or take a quarter, in seconds, or what tells it.
        key: The only key it accepts; None accepts any and none.
        clock: Tells the seconds since 1970.
        painter: Draws the images; the real painter if left out.

    Returns:
        The app; its ``state.tasks`` is the `TaskStore`.

    Example:
        >>> app = create_app(Path("demo"), seconds=2)
    """
    tasks = TaskStore(folder, seconds=seconds, clock=clock)
    drawn = painter or (lambda task, number: draw(task, number, tasks.inputs(task)))
    return app_of(DemoHub(tasks, key, drawn))


def app_of(hub: DemoHub) -> Starlette:
    """Route requests to the endpoints of a demo Hub.

    Args:
        hub: The endpoints.

    Returns:
        The app; its ``state.tasks`` is the `TaskStore`.
    """
    app = Starlette(
        routes=[
            Route("/hub/v1/image", hub.guarded(hub.submit), methods=["POST"]),
            Route("/hub/v1/tasks/{task_id}", hub.guarded(hub.task)),
            Route("/hub/v1/models", hub.guarded(hub.models)),
            Route("/hub/v1/models/{model}", hub.guarded(hub.model)),
            Route("/api-user/credits", hub.guarded(hub.credits, "x-api-key", "")),
            Route("/pictures/{task_id}/{number}", hub.image),
        ],
        exception_handlers={Exception: broken},
    )
    app.state.tasks = hub.tasks
    return app


class DemoHub:
    """The endpoints; what they share is the store, the key and the painter.

    Attributes:
        tasks: The store.
    """

    def __init__(self, tasks: TaskStore, key: str | None, painter: Painter) -> None:
        """Touch nothing yet.

        Args:
            tasks: The store.
            key: The only key that is accepted; None accepts any and none.
            painter: Draws the images.
        """
        self.tasks, self._key, self._painter = tasks, key, painter

    def guarded(
        self,
        endpoint: Callable[[Request], Awaitable[Response]],
        header: str = "authorization",
        prefix: str = "Bearer ",
    ) -> Callable[[Request], Awaitable[Response]]:
        """A demo with a key is there to teach what a wrong one looks like."""

        async def check_key(request: Request) -> Response:
            given = request.headers.get(header)
            if self._key is not None and given != prefix + self._key:
                return refused(Refusal(401, "Unauthorized"))
            return await endpoint(request)

        return check_key

    async def submit(self, request: Request) -> Response:
        """Documented: 200 with the task's id; 400 and 422 as at a neighbour."""
        try:
            task = await self.accept(request)
        except Refusal as refusal:
            return refused(refusal)
        known = bundled_catalog().model(task.model)
        return JSONResponse(
            {
                "task_id": task.task_id,
                "status": "pending",
                "capability": "image",
                "model": task.model,
                "vendor": known.vendor,
                "mode": known.mode,
                "created_at": datetime.fromtimestamp(task.created_at, UTC)
                .isoformat(timespec="milliseconds")
                .replace("+00:00", "Z"),
            }
        )

    async def accept(self, request: Request) -> DemoTask:
        """Make a task of a submission.

        Args:
            request: The submission.

        Raises:
            Refusal: If it is bad; it makes no task then.
        """
        # input images are decoded, and may have to be drawn: not on the loop
        return await asyncio.to_thread(self._take, await request.body())

    def _take(self, content: bytes) -> DemoTask:
        """A bad order makes no task."""
        model, given = read_submission(content)
        self.require_credits()
        try:
            inputs = take_inputs(given, self._own_image, model=model)
        except BadInput as error:
            raise Refusal(422, str(error)) from error
        return self.tasks.add(model, given, inputs)

    def require_credits(self) -> None:
        """Refuse a submission that can't be paid for.

        Raises:
            Refusal: If no credits are left.
        """
        if self.tasks.credits() <= 0:
            raise Refusal(402, "Insufficient credits")

    def _own_image(self, task_id: str, number: int) -> bytes | None:
        """An image of this Hub as an input of another: no network is needed for it."""
        task = self._with_image(task_id, number)
        return None if task is None else self._painter(task, number)

    def _with_image(self, task_id: str, number: int) -> DemoTask | None:
        """The task that has made that image, or None while there is none."""
        task = self.tasks.get(task_id)
        if task is None or number >= task.image_count:
            return None
        return task if task.status(self.tasks.clock()) == "completed" else None

    async def task(self, request: Request) -> Response:
        """Documented: status, ready, data when completed, error_code and error_message if not."""
        task = self.tasks.get(request.path_params["task_id"])
        if task is None:
            return refused(Refusal(404, "There is no such task."))
        now = self.tasks.clock()
        status = self.status_of(task, request)
        ended = status not in ("pending", "processing")
        elapsed_s = min(now - task.created_at, task.duration_s)
        code, message = _REASONS.get(status, (None, None))
        return await self.task_response(
            task,
            {
                "task_id": task.task_id,
                "status": status,
                "ready": ended,
                "data": await self._data(task, request) if status == "completed" else None,
                "elapsed_ms": round(elapsed_s * 1000),
                "error_code": code,
                "error_message": message,
            },
            request,
        )

    def status_of(self, task: DemoTask, request: Request) -> str:
        """Return the status that a poll gets: here the clock's."""
        return task.status(self.tasks.clock())

    async def task_response(
        self, task: DemoTask, body: dict[str, Any], request: Request
    ) -> Response:
        """Return the response to a poll: the body that tells of the task."""
        return JSONResponse(body)

    async def models(self, request: Request) -> Response:
        """Documented: a list of the models of a capability, here always images."""
        wanted = request.query_params.get("capability", "image")
        known = bundled_catalog() if wanted == "image" else ()
        return JSONResponse({"data": [listed(model) for model in known]})

    async def model(self, request: Request) -> Response:
        """Documented: a model with its input_schema and a ready example."""
        for model in bundled_catalog():
            if model.id == request.path_params["model"]:
                detail = {"input_schema": model.input_schema, "example": model.example}
                return JSONResponse(listed(model) | detail)
        return refused(Refusal(404, "There is no such model."))

    async def credits(self, request: Request) -> Response:
        """Documented: the number of credits that are left."""
        return JSONResponse({"credits": self.tasks.credits()})

    async def image(self, request: Request) -> Response:
        """On another host than the API at a real Hub: no key is asked for, but URLs expire."""
        place = request.path_params["number"]
        number = int(place) if re.fullmatch("[0-9]{1,3}", place) else MAX_IMAGES
        task = self._with_image(request.path_params["task_id"], number)
        if task is None:
            return refused(Refusal(404, "There is no such image."))
        expires = request.query_params.get("expires", "")
        if not re.fullmatch("[0-9]{1,12}", expires) or int(expires) < self.tasks.clock():
            return refused(Refusal(403, "This URL has expired: ask the task for a fresh one."))
        return await self.image_response(task, number, request)

    async def image_response(self, task: DemoTask, number: int, request: Request) -> Response:
        """Return the response to a download."""
        content = await asyncio.to_thread(self._painter, task, number)
        return Response(content, media_type=f"image/{format_of(task)}")

    async def data_uri(self, task: DemoTask, number: int) -> str:
        """Return an image as the URL that ``sync_mode`` asks for."""
        content = await asyncio.to_thread(self._painter, task, number)
        return f"data:image/{format_of(task)};base64,{base64.b64encode(content).decode()}"

    async def _data(self, task: DemoTask, request: Request) -> dict[str, Any]:
        """The provider's shape; with sync_mode the images themselves, as data URIs."""
        width, height = task.size
        expires = int(self.tasks.clock() + URL_LIFE_S)
        images = []
        for number in range(task.image_count):
            url = f"{request.base_url}pictures/{task.task_id}/{number}?expires={expires}"
            if task.input.get("sync_mode"):
                url = await self.data_uri(task, number)
            images.append(
                {
                    "url": url,
                    "content_type": f"image/{format_of(task)}",
                    "file_name": f"demo-{number + 1}.{format_of(task)}",
                    "file_size": None,
                    "width": width,
                    "height": height,
                }
            )
        return {"images": images, "description": "A demo drawing: no model has seen this prompt."}
