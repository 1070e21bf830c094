"""The demo Hub as an ASGI app: the endpoints and response shapes that the vendor documents."""

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
from .render import draw as draw  # re-exported
from .responses import error_response, internal_error, model_summary
from .submissions import RequestRejected, read_submission
from .tasks import DemoTask, TaskStore

URL_LIFETIME_S = 600.0
"""How long an image URL is valid, in seconds; polling the task returns a fresh one."""

_NO_SUCH_IMAGE = 999
"""An image number that no task has."""

_REASONS = {
    "failed": ("content_policy", "The prompt contains [fail], so the demo Hub let this task fail."),
    "timeout": (
        "timeout",
        "The prompt contains [timeout], so the demo Hub let this task time out.",
    ),
    "cancelled": (
        "cancelled",
        "The prompt contains [cancel], so the demo Hub cancelled this task.",
    ),
}


def create_app(
    folder: Path,
    *,
    seconds: float | Callable[[], float] = 6.0,
    key: str | None = None,
    clock: Callable[[], float] = time.time,
    painter: Painter | None = None,
) -> Starlette:
    """Create the demo Hub's ASGI app for use in-process.

    Args:
        folder: Where tasks are stored.
        seconds: Duration of a task in seconds, varied by up to 25 %; or a function that returns it.
        key: The only API key to accept; None accepts any key and none.
        clock: Returns the current time in seconds since 1970.
        painter: Draws the images; `draw` if None.

    Returns:
        The app; its ``state.tasks`` is the `TaskStore`.

    Example:
        >>> app = create_app(Path("demo"), seconds=2)
    """
    tasks = TaskStore(folder, seconds=seconds, clock=clock)
    paint = painter or (lambda task, number: draw(task, number, tasks.inputs(task)))
    return build_app(DemoHub(tasks, key, paint))


def build_app(hub: DemoHub) -> Starlette:
    """Create the ASGI app that routes requests to a demo Hub's endpoints.

    Args:
        hub: The endpoints.

    Returns:
        The app; its ``state.tasks`` is the `TaskStore`.
    """
    app = Starlette(
        routes=[
            Route("/hub/v1/image", hub.require_key(hub.submit), methods=["POST"]),
            Route("/hub/v1/tasks/{task_id}", hub.require_key(hub.task)),
            Route("/hub/v1/models", hub.require_key(hub.models)),
            Route("/hub/v1/models/{model}", hub.require_key(hub.model)),
            Route("/api-user/credits", hub.require_key(hub.credits, "x-api-key", "")),
            Route("/pictures/{task_id}/{number}", hub.image),
        ],
        exception_handlers={Exception: internal_error},
    )
    app.state.tasks = hub.tasks
    return app


class DemoHub:
    """The endpoints, which share the task store, the API key and the painter.

    Args:
        tasks: The task store.
        key: The only API key to accept; None accepts any key and none.
        painter: Draws the images.

    Attributes:
        tasks: The task store.
    """

    def __init__(self, tasks: TaskStore, key: str | None, painter: Painter) -> None:
        self.tasks, self._key, self._painter = tasks, key, painter

    def require_key(
        self,
        endpoint: Callable[[Request], Awaitable[Response]],
        header: str = "authorization",
        prefix: str = "Bearer ",
    ) -> Callable[[Request], Awaitable[Response]]:
        """Wrap an endpoint so that it returns 401 unless the request has the right API key.

        Args:
            endpoint: Handles requests that have the key, and all requests if the Hub has no key.
            header: The header that carries the key.
            prefix: What precedes the key in that header.
        """

        async def check_key(request: Request) -> Response:
            value = request.headers.get(header)
            if self._key is not None and value != prefix + self._key:
                return error_response(RequestRejected(401, "Unauthorized"))
            return await endpoint(request)

        return check_key

    async def submit(self, request: Request) -> Response:
        """Handle a submission: 200 with the task id, or 400, 402 or 422."""
        try:
            task = await self.accept(request)
        except RequestRejected as rejection:
            return error_response(rejection)
        model = bundled_catalog().model(task.model)
        return JSONResponse(
            {
                "task_id": task.task_id,
                "status": "pending",
                "capability": "image",
                "model": task.model,
                "vendor": model.vendor,
                "mode": model.mode,
                "created_at": datetime.fromtimestamp(task.created_at, UTC)
                .isoformat(timespec="milliseconds")
                .replace("+00:00", "Z"),
            }
        )

    async def accept(self, request: Request) -> DemoTask:
        """Create a task from a submission.

        Args:
            request: The submission.

        Raises:
            RequestRejected: If it is invalid or can't be paid for; no task is created.
        """
        # off the event loop: input images are decoded, and those of this Hub are drawn
        return await asyncio.to_thread(self._create_task, await request.body())

    def _create_task(self, content: bytes) -> DemoTask:
        model, given = read_submission(content)
        self.require_credits()
        try:
            inputs = take_inputs(given, self._own_image, model=model)
        except BadInput as error:
            raise RequestRejected(422, str(error)) from error
        return self.tasks.add(model, given, inputs)

    def require_credits(self) -> None:
        """Reject a submission if the account has no credits left.

        Raises:
            RequestRejected: With status 402.
        """
        if self.tasks.credits() <= 0:
            raise RequestRejected(402, "Insufficient credits")

    def _own_image(self, task_id: str, number: int) -> bytes | None:
        """Draw an image of this Hub that a submission uses as an input, or return None."""
        task = self._with_image(task_id, number)
        return None if task is None else self._painter(task, number)

    def _with_image(self, task_id: str, number: int) -> DemoTask | None:
        """Return the completed task that has this image, or None."""
        task = self.tasks.get(task_id)
        if task is None or number >= task.image_count:
            return None
        return task if task.status(self.tasks.clock()) == "completed" else None

    async def task(self, request: Request) -> Response:
        """Handle a poll: status, data of a completed task, error fields of a failed one."""
        task = self.tasks.get(request.path_params["task_id"])
        if task is None:
            return error_response(RequestRejected(404, "No such task."))
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
        """Return the status to report for a task; subclasses may delay `completed`."""
        return task.status(self.tasks.clock())

    async def task_response(
        self, task: DemoTask, body: dict[str, Any], request: Request
    ) -> Response:
        """Return the response to a poll, given its JSON body."""
        return JSONResponse(body)

    async def models(self, request: Request) -> Response:
        """Handle the list of models; the demo Hub has image models only."""
        capability = request.query_params.get("capability", "image")
        models = bundled_catalog() if capability == "image" else ()
        return JSONResponse({"data": [model_summary(model) for model in models]})

    async def model(self, request: Request) -> Response:
        """Handle one model: its description, `input_schema` and a valid example input."""
        for model in bundled_catalog():
            if model.id == request.path_params["model"]:
                detail = {"input_schema": model.input_schema, "example": model.example}
                return JSONResponse(model_summary(model) | detail)
        return error_response(RequestRejected(404, "No such model."))

    async def credits(self, request: Request) -> Response:
        """Handle the credit balance."""
        return JSONResponse({"credits": self.tasks.credits()})

    async def image(self, request: Request) -> Response:
        """Handle a download; as on the real image host, no key is needed and URLs expire."""
        text = request.path_params["number"]
        number = int(text) if re.fullmatch("[0-9]{1,3}", text) else _NO_SUCH_IMAGE
        task = self._with_image(request.path_params["task_id"], number)
        if task is None:
            return error_response(RequestRejected(404, "No such image."))
        expires = request.query_params.get("expires", "")
        if not re.fullmatch("[0-9]{1,12}", expires) or int(expires) < self.tasks.clock():
            return error_response(
                RequestRejected(403, "This URL has expired; poll the task for a fresh one.")
            )
        return await self.image_response(task, number, request)

    async def image_response(self, task: DemoTask, number: int, request: Request) -> Response:
        """Return the response to a download."""
        content = await asyncio.to_thread(self._painter, task, number)
        return Response(content, media_type=f"image/{format_of(task)}")

    async def data_uri(self, task: DemoTask, number: int) -> str:
        """Return an image as a data URI, for ``sync_mode``."""
        content = await asyncio.to_thread(self._painter, task, number)
        return f"data:image/{format_of(task)};base64,{base64.b64encode(content).decode()}"

    async def _data(self, task: DemoTask, request: Request) -> dict[str, Any]:
        """Return the ``data`` of a completed task; with ``sync_mode`` its URLs are data URIs."""
        width, height = task.size
        expires = int(self.tasks.clock() + URL_LIFETIME_S)
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
        return {"images": images, "description": "A demo drawing, not made by the model."}
