"""TAB completion on the magics' lines: options, models, values, variables and task ids."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest, MountseaError
from ..request.catalog import IMAGES
from ..request.templates import names_used, split_prompts
from ..runtime.text import is_pasteable, sanitize
from .options import FLAG_OPTIONS, VALUE_OPTIONS, cell_parser

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..request.catalog import Model

_IMAGE_KINDS = frozenset({"Generation", "GeneratedImage", "Image", "ndarray", "bytes", "bytearray"})
_TABLE_KINDS = frozenset({"DataFrame", "list", "tuple"})
_AXIS_KINDS = frozenset(
    {"list", "tuple", "range", "set", "ndarray", "Series", "Index", "generator"}
)
_IMAGE_FILES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_MAX_IDS = 30
_MAX_MATCHES = 500


def completions(
    shell: InteractiveShell,
    before: str,
    line_number: int,
    default_model: Any = None,
    body: str = "",
) -> tuple[str, list[str]] | None:
    """Return the completions at the cursor.

    Args:
        shell: The shell, for the names of its variables.
        before: The cursor's line, up to the cursor.
        line_number: The index of that line in the cell, from 0.
        default_model: Returns the default model of cells.
        body: The cell's body, for the names that its ``{{ }}`` use.

    Returns:
        The word before the cursor, and its completions; None on lines of other magics or code.
    """
    cell_line = re.match(r"%%mountsea\s", before)
    command_line = re.match(r"\s*%mountsea\s", before)
    if not (cell_line and line_number == 0) and not command_line:
        return None
    words = before.split()[1:]
    fragment = "" if before[-1:].isspace() else words.pop()
    default = default_model() if default_model is not None else ""
    try:
        if cell_line:
            candidates = _in_cell(shell, words, fragment, default, body)
        else:
            candidates = _in_command(words)
    except MountseaError:
        candidates = []
    matches = (word for word in dict.fromkeys(candidates) if word.startswith(fragment))
    return fragment, list(itertools.islice(filter(_is_inert, matches), _MAX_MATCHES))


def _is_inert(word: str) -> bool:
    """Return whether a word is safe on a magic line: nothing in it is expanded or executed."""
    has_prefix = word[:1] in ("%", "!", "?", "@") or not word
    has_syntax = re.search(r"[\s'\"{}$`\\]", word) is not None
    return not has_prefix and not has_syntax and sanitize(word, limit=1000) == word


def _from_hub(words: Iterable[str]) -> list[str]:
    """Drop names from the Hub that contain unsafe characters."""
    return [word for word in words if is_pasteable(word)]


def _in_cell(
    shell: InteractiveShell, words: list[str], fragment: str, default: str, body: str
) -> list[str]:
    """Return the values of the option before the cursor, or the options not used yet."""
    from ..session import current_session

    catalog = current_session().registry.current(current_session().settings())
    options = cell_parser().options()
    words = _split_options(words, options)
    chosen = [word for flag, word in itertools.pairwise(words) if flag in ("-m", "--model")]
    model = catalog.models.get(chosen[-1] if chosen else default)
    flag, equals, prefix = fragment.partition("=")
    if equals and flag in options:
        values = _values(shell, options[flag].dest, prefix, model, list(catalog.models), body)
        return [f"{flag}={value}" for value in values]
    action = options.get(words[-1]) if words else None
    if action is not None and action.nargs != 0:
        return _values(shell, action.dest, fragment, model, list(catalog.models), body)
    used = {options[word].dest for word in words if word in options} - {"param", "images", "grid"}
    return [flag for flag, action in options.items() if _is_offered(flag, action.dest, used, model)]


def _split_options(words: list[str], options: dict[str, argparse.Action]) -> list[str]:
    """Split `--model=ID` and `-n2` into `--model ID` and `-n 2`."""
    split = []
    for word in words:
        flag, equals, value = word.partition("=")
        if equals and flag in options:
            split += [flag, value]
        elif word[:2] in options and len(word) > 2 and word[1] != "-":
            split += [word[:2], word[2:]]
        else:
            split.append(word)
    return split


def _is_offered(flag: str, dest: str, used: set[str], model: Model | None) -> bool:
    """Offer long flags only, each once, and only parameters that the model has."""
    parameter = dest in VALUE_OPTIONS or dest in FLAG_OPTIONS
    supported = model is None or not parameter or model.takes(dest)
    return flag.startswith("--") and dest not in used and supported


def _values(
    shell: InteractiveShell,
    dest: str,
    prefix: str,
    model: Model | None,
    models: list[str],
    body: str,
) -> list[str]:
    """Return the values that an option can have."""
    if dest == "model":
        return _from_hub(models)
    if dest == "images":
        return [*_variables(shell, _IMAGE_KINDS), *_paths(prefix)]
    if dest == "out":
        return _variables(shell, None)
    if dest == "table":
        return _variables(shell, _TABLE_KINDS)
    if dest == "grid":
        return _axes(shell, prefix, model, models, body)
    if dest == "save":
        return [path for path in _paths(prefix) if path.endswith("/")]
    if dest == "param" and model is not None:
        name, equals, _ = prefix.partition("=")
        if equals:
            # a value from the Hub could name a local file here, which would be sent to the Hub
            takes_image = name in IMAGES or name.endswith(("_url", "_urls"))
            values = () if takes_image else model.values(name)
            return [f"{name}={value}" for value in _from_hub(values)]
        own = [name for name in model.parameters if name not in VALUE_OPTIONS | FLAG_OPTIONS]
        return [f"{name}=" for name in _from_hub(own) if name.isidentifier()]
    if dest in VALUE_OPTIONS and model is not None:
        return _closed_values(model, dest)
    return []


def _closed_values(model: Model, name: str) -> list[str]:
    """Return the values of a parameter that are enumerated, or the first of a range."""
    schema = model.parameters.get(name, {})
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("type") == "integer" and isinstance(low, int) and isinstance(high, int):
        return [str(number) for number in range(low, min(high, low + 20) + 1)]
    return _from_hub(model.values(name))


def _axes(
    shell: InteractiveShell, prefix: str, model: Model | None, models: list[str], body: str
) -> list[str]:
    """Return the names of axes, or the values after the last comma of ``NAME=VALUES``."""
    name, equals, values = prefix.partition("=")
    if not equals:
        parameters = () if model is None else model.parameters
        has_images = model is not None and model.image_parameter is not None
        names = [*parameters, "model", *(["image"] if has_images else []), *_names_in(body)]
        return [f"{name}=" for name in _from_hub(names) if name.isidentifier()]
    before = prefix[: len(prefix) - len(values.rpartition(",")[2])]
    last = prefix[len(before) :]
    if last.startswith("@"):
        found = [f"@{variable}" for variable in _variables(shell, _AXIS_KINDS)]
    elif name == "model":
        found = _from_hub(models)
    elif name == "image":
        found = [*_variables(shell, _IMAGE_KINDS), *_paths(last)]
    elif model is not None and name not in IMAGES and not name.endswith(("_url", "_urls")):
        found = _closed_values(model, name)
    else:
        found = []
    return [before + value for value in found]


def _names_in(body: str) -> list[str]:
    """Return the names that the prompts of a cell use; none while it has a syntax error."""
    with suppress(InvalidRequest):
        return sorted(frozenset[str]().union(*map(names_used, split_prompts(body))))
    return []


def _in_command(words: list[str]) -> list[str]:
    """Return the commands, or the arguments of a command."""
    from ..session import current_session
    from .commands.dispatch import command_parsers

    parsers = command_parsers()
    if not words:
        return list(parsers)
    flags = list(parsers[words[0]].options()) if words[0] in parsers else []
    if words[0] in ("resume", "show"):
        entries = current_session().journal(current_session().settings()).search(limit=_MAX_IDS)
        if words[0] == "resume":
            entries.sort(key=lambda entry: not entry.is_open)
        return _from_hub(entry.task_id for entry in entries if entry.task_id)
    if words[0] == "models" or (words[0] == "form" and words[-1] in ("-m", "--model")):
        session = current_session()
        return [*_from_hub(session.registry.current(session.settings()).models), *flags]
    if words[-1] == "--fail":
        return list(current_session().clients.demo_faults())
    if words[0] == "budget":
        return ["off"]
    return ["on", "off", *flags] if words[0] == "demo" else flags


def _variables(shell: InteractiveShell, kinds: frozenset[str] | None) -> list[str]:
    """Return the variables of certain types, compared by name to avoid importing libraries."""
    hidden = shell.user_ns_hidden
    return [
        name
        for name, value in shell.user_ns.items()
        if not name.startswith("_")
        and name not in hidden
        and (kinds is None or {kind.__name__ for kind in type(value).__mro__} & kinds)
    ]


def _paths(prefix: str) -> Iterable[str]:
    """Yield the image files and folders in the folder of a path."""
    folder, slash, _ = prefix.rpartition("/")
    try:
        for path in sorted(Path(folder + slash or ".").expanduser().iterdir()):
            if path.name.startswith(".") or " " in path.name:
                continue
            if path.is_dir():
                yield f"{folder}{slash}{path.name}/"
            elif path.suffix.lower() in _IMAGE_FILES:
                yield f"{folder}{slash}{path.name}"
    except (OSError, RuntimeError):  # RuntimeError: no such user
        return
