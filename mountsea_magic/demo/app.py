"""The demo Hub as an ASGI app: the documented contract, with the shapes of the vendor's page."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..catalog import Model, bundled_catalog
from ..errors import InvalidRequest
from ..request import build_request
from .painter import paint
from .sizes import picture_size
from .tasks import DemoTask, TaskStore

URL_LIFE_S = 600.0
"""How long a picture's URL is good for, in seconds; then the task gives a fresh one."""

Painter = Callable[[DemoTask, int], bytes]
"""Encodes one picture of a task, counted from 0."""

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
        painter: Draws the pictures; the real painter if left out.

    Returns:
        The app; its ``state.tasks`` is the `TaskStore`.

    Example:
        >>> app = create_app(Path("demo"), seconds=2)
    """
    hub = _DemoHub(TaskStore(folder, seconds=seconds, clock=clock), key, painter or draw)
    app = Starlette(
        routes=[
            Route("/hub/v1/image", hub.guarded(hub.submit), methods=["POST"]),
            Route("/hub/v1/tasks/{task_id}", hub.guarded(hub.task)),
            Route("/hub/v1/models", hub.guarded(hub.models)),
            Route("/hub/v1/models/{model}", hub.guarded(hub.model)),
            Route("/api-user/credits", hub.guarded(hub.credits)),
            Route("/pictures/{task_id}/{number:int}", hub.picture),
        ]
    )
    app.state.tasks = hub.tasks
    return app


def draw(task: DemoTask, number: int) -> bytes:
    """Draw and encode one picture of a task.

    Args:
        task: The task.
        number: Which of its pictures, from 0; each has a seed of its own.

    Returns:
        A file of the format that the task asks for, PNG if it asks for none.
    """
    width, height = picture_size(task.input)
    prompt = str(task.input["prompt"])
    picture = paint(prompt, task.seed + number, width, height, model=task.model)
    buffer = io.BytesIO()
    picture.save(buffer, _format(task).upper(), quality=90)
    return buffer.getvalue()


class _DemoHub:
    """The endpoints; what they share is the store, the key and the painter."""

    def __init__(self, tasks: TaskStore, key: str | None, painter: Painter) -> None:
        self.tasks, self._key, self._painter = tasks, key, painter

    def guarded(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """A demo with a key is there to teach what a wrong one looks like."""

        async def check_key(request: Request) -> Response:
            given = request.headers.get("x-api-key") or request.headers.get(
                "authorization", ""
            ).removeprefix("Bearer ")
            if self._key is not None and given != self._key:
                return _refused(401, "Unauthorized")
            return await endpoint(request)

        return check_key

    async def submit(self, request: Request) -> Response:
        """Documented: 200 with the task's id; 400 and 422 as at a neighbour."""
        try:
            body = await request.json()
        except ValueError:
            return _refused(400, "The body is not JSON.")
        if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
            return _refused(400, "The body must be an object with model and input.")
        given = dict(body["input"])
        try:
            checked = build_request(
                str(given.pop("prompt", "")), model=str(body.get("model")), parameters=given
            )
        except InvalidRequest as error:
            return _refused(422, str(error))
        if dict(checked.input) != body["input"]:
            return _refused(422, "A parameter is not of the type that the schema wants.")
        if checked.model not in {model.id for model in _drawn_models()}:
            return _refused(422, "The demo Hub draws from text only: it edits no pictures.")
        if self.tasks.credits() <= 0:
            return _refused(402, "Insufficient credits")
        task = self.tasks.add(checked.model, dict(checked.input))
        known = bundled_catalog().model(task.model)
        return JSONResponse(
            {
                "task_id": task.task_id,
                "status": "pending",
                "capability": "image",
                "model": task.model,
                "vendor": known.vendor,
                "mode": known.mode,
                "created_at": datetime.fromtimestamp(task.created_at, UTC).isoformat(
                    timespec="milliseconds"
                ),
            }
        )

    async def task(self, request: Request) -> Response:
        """Documented: status, ready, data when completed, error_code and error_message if not."""
        task = self.tasks.get(request.path_params["task_id"])
        if task is None:
            return _refused(404, "There is no such task.")
        now = self.tasks.clock()
        status = task.status(now)
        ended = status not in ("pending", "processing")
        elapsed_s = min(now - task.created_at, task.duration_s)
        code, message = _REASONS.get(status, (None, None))
        return JSONResponse(
            {
                "task_id": task.task_id,
                "status": status,
                "ready": ended,
                "data": await self._data(task, request) if status == "completed" else None,
                "elapsed_ms": round(elapsed_s * 1000),
                "error_code": code,
                "error_message": message,
            }
        )

    async def models(self, request: Request) -> Response:
        """Documented: a list of the models of a capability, here always images."""
        wanted = request.query_params.get("capability", "image")
        drawn = _drawn_models() if wanted == "image" else []
        return JSONResponse({"data": [_listed(model) for model in drawn]})

    async def model(self, request: Request) -> Response:
        """Documented: a model with its input_schema and a ready example."""
        for model in _drawn_models():
            if model.id == request.path_params["model"]:
                detail = {"input_schema": model.input_schema, "example": model.example}
                return JSONResponse(_listed(model) | detail)
        return _refused(404, "There is no such model.")

    async def credits(self, request: Request) -> Response:
        """Documented: the number of credits that are left."""
        return JSONResponse({"credits": self.tasks.credits()})

    async def picture(self, request: Request) -> Response:
        """On another host than the API at a real Hub: no key is asked for, but URLs expire."""
        task = self.tasks.get(request.path_params["task_id"])
        number = request.path_params["number"]
        now = self.tasks.clock()
        if task is None or number >= task.picture_count or task.status(now) != "completed":
            return _refused(404, "There is no such picture.")
        expires = request.query_params.get("expires", "0")
        if not expires.isdecimal() or int(expires) < now:
            return _refused(403, "This URL has expired: ask the task for a fresh one.")
        content = await asyncio.to_thread(self._painter, task, number)
        return Response(content, media_type=f"image/{_format(task)}")

    async def _data(self, task: DemoTask, request: Request) -> dict[str, Any]:
        """The provider's shape; with sync_mode the pictures themselves, as data URIs."""
        width, height = picture_size(task.input)
        expires = int(self.tasks.clock() + URL_LIFE_S)
        images = []
        for number in range(task.picture_count):
            url = f"{request.base_url}pictures/{task.task_id}/{number}?expires={expires}"
            if task.input.get("sync_mode"):
                content = await asyncio.to_thread(self._painter, task, number)
                url = f"data:image/{_format(task)};base64,{base64.b64encode(content).decode()}"
            images.append(
                {
                    "url": url,
                    "content_type": f"image/{_format(task)}",
                    "file_name": f"demo-{number + 1}.{_format(task)}",
                    "file_size": None,
                    "width": width,
                    "height": height,
                }
            )
        return {"images": images, "description": "A demo drawing: no model has seen this prompt."}


def _format(task: DemoTask) -> str:
    """PNG is what the Hub documents as its default."""
    return str(task.input.get("output_format") or "png")


def _drawn_models() -> list[Model]:
    """The painter draws from text."""
    return [model for model in bundled_catalog() if model.mode == "text-to-image"]


def _listed(model: Model) -> dict[str, Any]:
    """How a model stands in the list."""
    return {
        "model": model.id,
        "name": model.name,
        "vendor": model.vendor,
        "mode": model.mode,
        "capability": "image",
    }


def _refused(status: int, message: str) -> JSONResponse:
    """The body that a neighbouring API gives to a refusal."""
    return JSONResponse({"statusCode": status, "message": message}, status_code=status)
