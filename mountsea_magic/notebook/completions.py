"""TAB: options, models, values, variables, commands and task ids, on the magics' lines alone."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MountseaError
from ..request.catalog import IMAGES
from ..runtime.text import is_pasteable, sanitize
from .options import DIRECT, SWITCHES, cell_parser, command_parsers

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..request.catalog import Model

_IMAGE_KINDS = frozenset({"Generation", "GeneratedImage", "Image", "ndarray", "bytes", "bytearray"})
_IMAGE_FILES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_MAX_IDS = 30
_MAX_WORDS = 500
"""More words than anybody reads through are a burden for the front end alone."""


def completions(
    shell: InteractiveShell, before: str, line_number: int, default_model: Any = None
) -> tuple[str, list[str]] | None:
    """Say what may stand where the cursor is.

    Args:
        shell: The shell, for the names of its variables.
        before: The cursor's line, up to the cursor.
        line_number: Which line of the cell it is, from 0.
        default_model: Gives the model of cells that name none.

    Returns:
        The word begun, and what it may become; None where the line is none of ours.
    """
    of_cell = re.match(r"%%mountsea\s", before)
    of_line = re.match(r"\s*%mountsea\s", before)
    if not (of_cell and line_number == 0) and not of_line:
        return None
    words = before.split()[1:]
    fragment = "" if before[-1:].isspace() else words.pop()
    default = default_model() if default_model is not None else ""
    try:
        known = _in_cell(shell, words, fragment, default) if of_cell else _in_command(words)
    except MountseaError:
        known = []
    fitting = (word for word in dict.fromkeys(known) if word.startswith(fragment))
    return fragment, list(itertools.islice(filter(_is_inert, fitting), _MAX_WORDS))


def _is_inert(word: str) -> bool:
    """A word on a magic's line that IPython, the line's parser and a reader take as it is."""
    begins = word[:1] in ("%", "!", "?", "@") or not word
    runs = re.search(r"[\s'\"{}$`\\]", word) is not None
    return not begins and not runs and sanitize(word, limit=1000) == word


def _from_hub(words: Iterable[str]) -> list[str]:
    """What a Hub has named is offered only if it is made of harmless characters."""
    return [word for word in words if is_pasteable(word)]


def _in_cell(shell: InteractiveShell, words: list[str], fragment: str, default: str) -> list[str]:
    """After an option that takes a value its values, else options not given yet."""
    from ..session import current_session

    catalog = current_session().registry.current(current_session().settings())
    options = cell_parser().options()
    words = _parted(words, options)
    chosen = [word for flag, word in itertools.pairwise(words) if flag in ("-m", "--model")]
    model = catalog.models.get(chosen[-1] if chosen else default)
    before, equals, begun = fragment.partition("=")
    if equals and before in options:
        values = _values(shell, options[before].dest, begun, model, list(catalog.models))
        return [f"{before}={value}" for value in values]
    action = options.get(words[-1]) if words else None
    if action is not None and action.nargs != 0:
        return _values(shell, action.dest, fragment, model, list(catalog.models))
    given = {options[word].dest for word in words if word in options} - {"param", "image"}
    return [flag for flag, action in options.items() if _fits(flag, action.dest, given, model)]


def _parted(words: list[str], options: dict[str, argparse.Action]) -> list[str]:
    """`--model=ID` and `-n2` are what `--model ID` and `-n 2` are."""
    parted = []
    for word in words:
        flag, equals, value = word.partition("=")
        if equals and flag in options:
            parted += [flag, value]
        elif word[:2] in options and len(word) > 2 and word[1] != "-":
            parted += [word[:2], word[2:]]
        else:
            parted.append(word)
    return parted


def _fits(flag: str, dest: str, given: set[str], model: Model | None) -> bool:
    """Long spellings only, not twice, and no parameter that the model does not have."""
    parameter = dest in DIRECT or dest in SWITCHES
    of_model = model is None or not parameter or model.takes(dest)
    return flag.startswith("--") and dest not in given and of_model


def _values(
    shell: InteractiveShell, dest: str, begun: str, model: Model | None, models: list[str]
) -> list[str]:
    """What an option may be followed by."""
    if dest == "model":
        return _from_hub(models)
    if dest == "image":
        return [*_variables(shell, _IMAGE_KINDS), *_paths(begun)]
    if dest == "out":
        return _variables(shell, None)
    if dest == "save":
        return [path for path in _paths(begun) if path.endswith("/")]
    if dest == "param" and model is not None:
        name, equals, _ = begun.partition("=")
        if equals:
            # where an image is taken, a Hub's word would be the path of a file that is sent to it
            takes_image = name in IMAGES or name.endswith(("_url", "_urls"))
            values = () if takes_image else model.values(name)
            return [f"{name}={value}" for value in _from_hub(values)]
        own = [name for name in model.parameters if name not in DIRECT and name not in SWITCHES]
        return [f"{name}=" for name in _from_hub(own) if name.isidentifier()]
    if dest in DIRECT and model is not None:
        schema = model.parameters.get(dest, {})
        low, high = schema.get("minimum"), schema.get("maximum")
        if schema.get("type") == "integer" and isinstance(low, int) and isinstance(high, int):
            return [str(number) for number in range(low, min(high, low + 20) + 1)]
        return _from_hub(model.values(dest))
    return []


def _in_command(words: list[str]) -> list[str]:
    """The commands, then what each may be followed by."""
    from ..session import current_session

    parsers = command_parsers()
    if not words:
        return list(parsers)
    flags = [flag for flag in parsers[words[0]].options()] if words[0] in parsers else []
    if words[0] in ("resume", "show"):
        entries = current_session().journal(current_session().settings()).search(limit=_MAX_IDS)
        if words[0] == "resume":
            entries.sort(key=lambda entry: not entry.is_open)
        return _from_hub(entry.task_id for entry in entries if entry.task_id)
    if words[0] == "models":
        session = current_session()
        return [*_from_hub(session.registry.current(session.settings()).models), *flags]
    if words[-1] == "--fail":
        return list(current_session().clients.demo_faults())
    return ["on", "off", *flags] if words[0] == "demo" else flags


def _variables(shell: InteractiveShell, kinds: frozenset[str] | None) -> list[str]:
    """By the type's name, so that no library is imported only to ask."""
    hidden = shell.user_ns_hidden
    return [
        name
        for name, value in shell.user_ns.items()
        if not name.startswith("_")
        and name not in hidden
        and (kinds is None or {kind.__name__ for kind in type(value).__mro__} & kinds)
    ]


def _paths(begun: str) -> Iterable[str]:
    """Images and folders beside what is typed already."""
    folder, slash, _ = begun.rpartition("/")
    try:
        for path in sorted(Path(folder + slash or ".").expanduser().iterdir()):
            if path.name.startswith(".") or " " in path.name:
                continue
            if path.is_dir():
                yield f"{folder}{slash}{path.name}/"
            elif path.suffix.lower() in _IMAGE_FILES:
                yield f"{folder}{slash}{path.name}"
    except (OSError, RuntimeError):  # RuntimeError: there is no such user's home
        return
