"""A model's example as a cell to paste, without any text that would be executed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ..request.catalog import IMAGES, Model
from ..runtime.text import is_pasteable, is_quotable, json_text, quoted, sanitize
from .cell_text import parameter_words
from .options import spell_option

PROMPT = "A black lab swimming in a pool."
"""The example's prompt where the Hub gives none, or one that can't be pasted safely."""

MAX_VALUES = 40
"""The maximum number of parameters and input images in an example."""

_IMAGE = re.compile(r"https?://[\w.~:/?&=%+,@#-]+|data:image/[\w.+-]+;base64,[\w+/=-]+", re.ASCII)
"""An input image that is a URL: a path or variable would send local data to the Hub."""


def example_cell(model: Model) -> tuple[str, list[str]]:
    """Return a model's example as a cell to paste.

    The example comes from the Hub, and a pasted cell is executed: IPython evaluates ``{…}`` and
    ``$…`` on a magic line, and a prompt's ``{{ }}`` is a template. Values with such characters are
    left out of the cell and listed separately.

    Args:
        model: The model.

    Returns:
        The cell, empty if the model's id can't be used on a line, and a line of text for each
        value that was left out.

    Example:
        >>> from mountsea_magic.request.catalog import bundled_catalog
        >>> cell, left_out = example_cell(bundled_catalog().model("nano-banana"))
        >>> cell.startswith("%%mountsea --model nano-banana --num-images 1 "), left_out
        (True, [])
    """
    if not is_pasteable(model.id):
        return "", ["No example: the model's id can't be used on a magic line."]
    arguments, left_out = ["%%mountsea", "--model", model.id], list[str]()
    pairs = [
        (name, item)
        for name, value in islice(model.example.items(), MAX_VALUES)
        if name != "prompt"
        for item in (value if _is_list_of_images(name, value) else [value])
    ]
    for name, value in pairs[:MAX_VALUES]:
        added = list(_arguments(model, name, value))
        arguments += added
        if not added:
            text = value if isinstance(value, str) else json_text(value)
            left_out.append(f"Not in the example: {quoted(name, limit=60)} = {_in_quotes(text)}")
    if len(pairs) > MAX_VALUES:
        left_out.append(f"Not in the example: {len(pairs) - MAX_VALUES:,} more values")
    prompt = sanitize(model.example.get("prompt") or PROMPT, limit=2000)
    if not is_quotable(prompt):
        left_out.append(f"Not in the example: the prompt {_in_quotes(prompt)}")
        prompt = PROMPT
    return f"{' '.join(arguments)}\n{prompt}", left_out


def _arguments(model: Model, name: str, value: Any) -> Iterator[str]:
    """Yield a parameter's arguments on the line; nothing if its value is not safe there."""
    text = value if isinstance(value, str) else json_text(value)
    if not name.isidentifier() or not is_pasteable(name) or not _is_safe(model, name, value, text):
        return
    is_image = spell_option(name) == "--image"
    words = ["--image", text] if is_image else parameter_words(name, value, text)
    yield from map(shlex.quote, words)


def _is_safe(model: Model, name: str, value: Any, text: str) -> bool:
    """Return whether a value can be pasted on the line, in quotes, without being evaluated."""
    if isinstance(value, list | dict):
        return len(text) <= 2000 and not _takes_images(model, name) and _is_quotable_json(value)
    if isinstance(value, str) and _takes_images(model, name):
        return len(text) <= 2000 and _IMAGE.fullmatch(text) is not None
    return is_quotable(text)


def _is_quotable_json(value: Any) -> bool:
    """Check every string of a JSON value; its own braces are safe, since they are no expression."""
    if isinstance(value, dict):
        return all(is_quotable(name) and _is_quotable_json(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(_is_quotable_json, value))
    return not isinstance(value, str) or is_quotable(value)


def _takes_images(model: Model, name: str) -> bool:
    """Return whether a parameter takes images, and so also paths and variables."""
    return name in IMAGES or name == model.image_parameter or name.endswith(("_url", "_urls"))


def _is_list_of_images(name: str, value: Any) -> bool:
    """Return whether a value is a list of images, each of which needs its own option."""
    return isinstance(value, list) and spell_option(name) == "--image"


def _in_quotes(text: str) -> str:
    """Put text in typographic quotes, which have no meaning in Python or a shell."""
    return f"“{sanitize(text)}”"
