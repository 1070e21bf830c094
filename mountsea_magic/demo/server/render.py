"""Render the images of a task: draw or edit, and encode."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...images.decoding import decode
from ...runtime.private_files import write_private
from ..drawing import paint
from ..editing.editor import edit
from .inputs import INPUT_PIXELS, Inputs, take_inputs
from .tasks import DemoTask, TaskStore

Painter = Callable[[DemoTask, int], bytes]
"""Encodes one image of a task, counted from 0."""


def draw(task: DemoTask, number: int, inputs: Inputs | None = None) -> bytes:
    """Draw and encode one image of a task.

    Args:
        task: The task.
        number: Which of its images, from 0; each has its own seed.
        inputs: The images to edit; None for a text-to-image task.

    Returns:
        The encoded image, in the format that the task asks for; PNG by default.
    """
    prompt, seed = str(task.input["prompt"]), task.seed_of(number)
    if inputs is not None and inputs.images:
        images = [decode(content, max_pixels=INPUT_PIXELS) for content in inputs.images]
        mask = None if inputs.mask is None else decode(inputs.mask, max_pixels=INPUT_PIXELS)
        image = edit(prompt, seed, images, *task.size, model=task.model, mask=mask)
    else:
        image = paint(prompt, seed, *task.size, model=task.model)
    buffer = io.BytesIO()
    # zlib's default level takes as long as the drawing, for a PNG that is 10 % smaller
    image.save(buffer, format_of(task).upper(), quality=90, compress_level=2)
    return buffer.getvalue()


def format_of(task: DemoTask) -> str:
    """Return the image format of a task; the documented default is PNG."""
    return str(task.input.get("output_format") or "png")


def draw_file(folder: Path, task: DemoTask, number: int, path: Path) -> int:
    """Draw an image into a file that only this user can read.

    Args:
        folder: Where tasks are stored.
        task: The task.
        number: Which of its images, from 0.
        path: The file to write.

    Returns:
        The file's size in bytes.
    """
    inputs = TaskStore(folder).inputs(task) if task.input_count else None
    content = draw(task, number, inputs)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, content)
    return len(content)


def read_inputs(folder: Path, given: Mapping[str, Any], model: str, now: float) -> Inputs:
    """Load the input images of a submission; images of this Hub are drawn again.

    Args:
        folder: Where tasks are stored.
        given: The input of the request.
        model: The model's id.
        now: The time in seconds since 1970.

    Raises:
        BadInput: If an image is rejected.
    """
    tasks = TaskStore(folder)

    def own(task_id: str, number: int) -> bytes | None:
        task = tasks.get(task_id)
        if task is None or number >= task.image_count or task.status(now) != "completed":
            return None
        return draw(task, number, tasks.inputs(task) if task.input_count else None)

    return take_inputs(given, own, model=model)
