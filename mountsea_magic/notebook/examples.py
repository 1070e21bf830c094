"""The example of a model as a cell to paste: of what a Hub says, only what nothing runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ..request.catalog import IMAGES, Model
from ..runtime.text import is_pasteable, is_quotable, json_text, quoted, sanitize
from .options import SWITCHES, spell_option

PROMPT = "A black lab swimming in a pool."
"""Stands in the cell where a Hub gives no prompt, or none that can be pasted."""

MAX_WORDS = 40
"""How many parameters and input images an example has at most."""

_IMAGE = re.compile(r"https?://[\w.~:/?&=%+,@#-]+|data:image/[\w.+-]+;base64,[\w+/=-]+", re.ASCII)
"""An input image: no variable, and no path, whose file would be sent to the Hub."""


def example_cell(model: Model) -> tuple[str, list[str]]:
    """Write a model's example as a cell to paste.

    A Hub's example is text from outside, and what is pasted is run: IPython evaluates ``{…}`` and
    ``$…`` on a magic's line, and a prompt's ``{{ }}`` is a template. What holds such signs is left
    out of the cell, and said beside it.

    Args:
        model: The model.

    Returns:
        The cell, empty if the model's id can't stand on a line, and a line of text for each part
        that was left out.

    Example:
        >>> from mountsea_magic.request.catalog import bundled_catalog
        >>> cell, left_out = example_cell(bundled_catalog().model("nano-banana"))
        >>> cell.startswith("%%mountsea --model nano-banana --num-images 1 "), left_out
        (True, [])
    """
    if not is_pasteable(model.id):
        return "", ["No example: the model's id can't be typed on a magic's line."]
    words, left_out = ["%%mountsea", "--model", model.id], list[str]()
    pairs = [
        (name, item)
        for name, value in islice(model.example.items(), MAX_WORDS)
        if name != "prompt"
        for item in (value if _is_list_of_images(name, value) else [value])
    ]
    for name, value in pairs[:MAX_WORDS]:
        typed = list(_words(model, name, value))
        words += typed
        if not typed:
            said = value if isinstance(value, str) else json_text(value)
            left_out.append(f"Not in the example: {quoted(name, limit=60)} = {_as_text(said)}")
    if len(pairs) > MAX_WORDS:
        left_out.append(f"Not in the example: {len(pairs) - MAX_WORDS:,} more values")
    prompt = sanitize(model.example.get("prompt") or PROMPT, limit=2000)
    if not is_quotable(prompt):
        left_out.append(f"Not in the example: the prompt {_as_text(prompt)}")
        prompt = PROMPT
    return f"{' '.join(words)}\n{prompt}", left_out


def _words(model: Model, name: str, value: Any) -> Iterator[str]:
    """What a parameter is on the line; nothing, if it can't be there."""
    option = spell_option(name)
    if value is True and name in SWITCHES:
        yield option
        return
    text = value if isinstance(value, str) else json_text(value)
    if not name.isidentifier() or not is_pasteable(name) or not _is_safe(model, name, value, text):
        return
    if option.startswith("--") and name not in SWITCHES:
        yield option
        yield shlex.quote(text)
    else:
        yield "-p"
        yield shlex.quote(f"{name}={text}")


def _is_safe(model: Model, name: str, value: Any, text: str) -> bool:
    """Whether a value may stand on the line, quoted."""
    if isinstance(value, list | dict):
        return len(text) <= 2000 and not _takes_images(model, name) and _holds_quotable(value)
    if isinstance(value, str) and _takes_images(model, name):
        return len(text) <= 2000 and _IMAGE.fullmatch(text) is not None
    return is_quotable(text)


def _holds_quotable(value: Any) -> bool:
    """JSON's own braces hold no expression: IPython leaves a line alone that it can't evaluate."""
    if isinstance(value, dict):
        return all(is_quotable(name) and _holds_quotable(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(_holds_quotable, value))
    return not isinstance(value, str) or is_quotable(value)


def _takes_images(model: Model, name: str) -> bool:
    """Such a parameter takes paths and variables, too."""
    return name in IMAGES or name == model.image_parameter or name.endswith(("_url", "_urls"))


def _is_list_of_images(name: str, value: Any) -> bool:
    """Each is an option of its own."""
    return isinstance(value, list) and spell_option(name) == "--image"


def _as_text(text: str) -> str:
    """In typographic quotes, which are no syntax of anything."""
    return f"“{sanitize(text)}”"
