"""The demo Hub as an ASGI app: the documented contract, with the shapes of the vendor's page."""

from __future__ import annotations

import asyncio
import base64
import io
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

from ..catalog import Model, bundled_catalog
from ..decoding import decode
from .editor import edit
from .inputs import INPUT_PIXELS, BadInput, Inputs, take_inputs
from .orders import Refusal, read_order
from .painter import paint
from .tasks import DemoTask, TaskStore

URL_LIFE_S = 600.0
"""How long a picture's URL is good for, in seconds; then the task gives a fresh one."""

MOST_PICTURES = 999
"""A number that no picture of a task has."""

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
    tasks = TaskStore(folder, seconds=seconds, clock=clock)
    drawn = painter or (lambda task, number: draw(task, number, tasks.inputs(task)))
    hub = _DemoHub(tasks, key, drawn)
    app = Starlette(
        routes=[
            Route("/hub/v1/image", hub.guarded(hub.submit), methods=["POST"]),
            Route("/hub/v1/tasks/{task_id}", hub.guarded(hub.task)),
            Route("/hub/v1/models", hub.guarded(hub.models)),
            Route("/hub/v1/models/{model}", hub.guarded(hub.model)),
            Route("/api-user/credits", hub.guarded(hub.credits, "x-api-key", "")),
            Route("/pictures/{task_id}/{number}", hub.picture),
        ],
        exception_handlers={Exception: _broken},
    )
    app.state.tasks = tasks
    return app


def draw(task: DemoTask, number: int, inputs: Inputs | None = None) -> bytes:
    """Draw and encode one picture of a task.

    Args:
        task: The task.
        number: Which of its pictures, from 0; each has a seed of its own.
        inputs: The pictures that are edited; None for a task that draws from text.

    Returns:
        A file of the format that the task asks for, PNG if it asks for none.
    """
    prompt, seed = str(task.input["prompt"]), task.seed_of(number)
    if inputs is not None and inputs.pictures:
        images = [decode(content, max_pixels=INPUT_PIXELS) for content in inputs.pictures]
        mask = None if inputs.mask is None else decode(inputs.mask, max_pixels=INPUT_PIXELS)
        picture = edit(prompt, seed, images, *task.size, model=task.model, mask=mask)
    else:
        picture = paint(prompt, seed, *task.size, model=task.model)
    buffer = io.BytesIO()
    picture.save(buffer, _format(task).upper(), quality=90)
    return buffer.getvalue()


class _DemoHub:
    """The endpoints; what they share is the store, the key and the painter."""

    def __init__(self, tasks: TaskStore, key: str | None, painter: Painter) -> None:
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
                return _refused(401, "Unauthorized")
            return await endpoint(request)

        return check_key

    async def submit(self, request: Request) -> Response:
        """Documented: 200 with the task's id; 400 and 422 as at a neighbour."""
        try:
            # input pictures are decoded, and may have to be drawn: not on the loop
            task = await asyncio.to_thread(self._take, await request.body())
        except Refusal as refusal:
            return _refused(refusal.status, str(refusal))
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

    def _take(self, content: bytes) -> DemoTask:
        """A bad order makes no task."""
        model, given = read_order(content)
        if self.tasks.credits() <= 0:
            raise Refusal(402, "Insufficient credits")
        try:
            inputs = take_inputs(given, self._own_picture, model=model)
        except BadInput as error:
            raise Refusal(422, str(error)) from error
        return self.tasks.add(model, given, inputs)

    def _own_picture(self, task_id: str, number: int) -> bytes | None:
        """A picture of this Hub as an input of another: no network is needed for it."""
        task = self._with_picture(task_id, number)
        return None if task is None else self._painter(task, number)

    def _with_picture(self, task_id: str, number: int) -> DemoTask | None:
        """The task that has made that picture, or None while there is none."""
        task = self.tasks.get(task_id)
        if task is None or number >= task.picture_count:
            return None
        return task if task.status(self.tasks.clock()) == "completed" else None

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
        known = bundled_catalog() if wanted == "image" else ()
        return JSONResponse({"data": [_listed(model) for model in known]})

    async def model(self, request: Request) -> Response:
        """Documented: a model with its input_schema and a ready example."""
        for model in bundled_catalog():
            if model.id == request.path_params["model"]:
                detail = {"input_schema": model.input_schema, "example": model.example}
                return JSONResponse(_listed(model) | detail)
        return _refused(404, "There is no such model.")

    async def credits(self, request: Request) -> Response:
        """Documented: the number of credits that are left."""
        return JSONResponse({"credits": self.tasks.credits()})

    async def picture(self, request: Request) -> Response:
        """On another host than the API at a real Hub: no key is asked for, but URLs expire."""
        place = request.path_params["number"]
        number = int(place) if re.fullmatch("[0-9]{1,3}", place) else MOST_PICTURES
        task = self._with_picture(request.path_params["task_id"], number)
        if task is None:
            return _refused(404, "There is no such picture.")
        expires = request.query_params.get("expires", "")
        if not re.fullmatch("[0-9]{1,12}", expires) or int(expires) < self.tasks.clock():
            return _refused(403, "This URL has expired: ask the task for a fresh one.")
        content = await asyncio.to_thread(self._painter, task, number)
        return Response(content, media_type=f"image/{_format(task)}")

    async def _data(self, task: DemoTask, request: Request) -> dict[str, Any]:
        """The provider's shape; with sync_mode the pictures themselves, as data URIs."""
        width, height = task.size
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


def _listed(model: Model) -> dict[str, Any]:
    """How a model stands in the list."""
    return {
        "model": model.id,
        "name": model.name,
        "vendor": model.vendor,
        "mode": model.mode,
        "capability": "image",
    }


async def _broken(request: Request, error: Exception) -> Response:
    """Whatever goes wrong here is an answer of the Hub's, and no traceback in a student's cell."""
    return _refused(500, f"The demo Hub failed ({type(error).__name__}).")


def _refused(status: int, message: str) -> JSONResponse:
    """The body that a neighbouring API gives to a refusal."""
    return JSONResponse({"statusCode": status, "message": message}, status_code=status)
