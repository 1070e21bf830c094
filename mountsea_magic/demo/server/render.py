"""Drawing: from a task of the demo Hub to the file of one of its images."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...images.decoding import decode
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
        number: Which of its images, from 0; each has a seed of its own.
        inputs: The images that are edited; None for a task that draws from text.

    Returns:
        A file of the format that the task asks for, PNG if it asks for none.
    """
    prompt, seed = str(task.input["prompt"]), task.seed_of(number)
    if inputs is not None and inputs.images:
        images = [decode(content, max_pixels=INPUT_PIXELS) for content in inputs.images]
        mask = None if inputs.mask is None else decode(inputs.mask, max_pixels=INPUT_PIXELS)
        image = edit(prompt, seed, images, *task.size, model=task.model, mask=mask)
    else:
        image = paint(prompt, seed, *task.size, model=task.model)
    buffer = io.BytesIO()
    # zlib's usual level takes as long as the drawing, and saves a tenth of a grainy PNG
    image.save(buffer, format_of(task).upper(), quality=90, compress_level=2)
    return buffer.getvalue()


def format_of(task: DemoTask) -> str:
    """Return the format of a task's images: PNG is what the Hub documents as its default."""
    return str(task.input.get("output_format") or "png")


def draw_file(folder: Path, task: DemoTask, number: int, path: Path) -> int:
    """Draw an image into a file that only this user may read.

    Args:
        folder: Where the tasks are kept.
        task: The task.
        number: Which of its images, from 0.
        path: The file.

    Returns:
        The file's size in bytes.
    """
    inputs = TaskStore(folder).inputs(task) if task.input_count else None
    content = draw(task, number, inputs)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return len(content)


def read_inputs(folder: Path, given: Mapping[str, Any], model: str, now: float) -> Inputs:
    """Read the input images that a client sent, with images of this Hub's tasks drawn anew.

    Args:
        folder: Where the tasks are kept.
        given: The request's input.
        model: The model's id.
        now: Seconds since 1970.

    Raises:
        BadInput: If an image is refused.
    """
    tasks = TaskStore(folder)

    def own(task_id: str, number: int) -> bytes | None:
        task = tasks.get(task_id)
        if task is None or number >= task.image_count or task.status(now) != "completed":
            return None
        return draw(task, number, tasks.inputs(task) if task.input_count else None)

    return take_inputs(given, own, model=model)
