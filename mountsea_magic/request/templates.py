"""Prompt templates: ``{{ expr }}`` is evaluated once, with the caller's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..runtime.text import sanitize

if TYPE_CHECKING:
    from jinja2 import Environment, Template, TemplateSyntaxError

_UNUSED_DELIMITER = "\x00mountsea\x00"
_SELF = "mountsea_self"


def split_prompts(cell: str) -> list[str]:
    r"""Split a cell at lines of only ``---``; all line endings become ``\n``.

    Example:
        >>> split_prompts("a dog\r\n---\r\na cat\n")
        ['a dog', 'a cat\n']
    """
    prompts: list[list[str]] = [[]]
    # not `str.splitlines`, which also splits at form feeds and U+2028
    for line in re.split(r"\r\n|\r|\n", cell):
        if line.strip() == "---":
            prompts.append([])
        else:
            prompts[-1].append(line)
    return ["\n".join(lines) for lines in prompts]


def render(prompt: str, names: Mapping[str, Any]) -> str:
    """Render a prompt's ``{{ expr }}``; single braces and ``{% %}`` are plain text.

    Args:
        prompt: The text, as typed.
        names: The names that expressions can use. Nothing else is defined, not even Python's
            builtins, so that a typo raises before anything is charged.

    Raises:
        InvalidRequest: If an expression has a syntax error, uses an unknown name, or raises.

    Example:
        >>> render("a {{ colour }} {dog}", {"colour": "black"})
        'a black {dog}'
    """
    if "{{" not in prompt:
        return prompt
    from jinja2 import TemplateSyntaxError, UndefinedError

    cause: BaseException
    try:
        template, used = _compiled(prompt)
        known = {name: names[name] for name in used if name in names}
        if "self" in known:
            # in Jinja `self` is the template
            known[_SELF] = known.pop("self")
        return template.render(known)
    except TemplateSyntaxError as error:
        where, cause = _syntax_error(error), error
    except UndefinedError as error:
        message = sanitize(error.message or error).replace(_SELF, "self")
        where, cause = f"{message}; define it in a cell first", error
    except Exception as error:  # the user's expression can raise anything
        where, cause = f"{type(error).__name__}: {sanitize(error)}", error
    raise _not_filled(where) from cause


def names_used(prompt: str) -> frozenset[str]:
    """Return the names that a prompt's ``{{ expr }}`` use.

    Args:
        prompt: The text, as typed.

    Raises:
        InvalidRequest: If an expression has a syntax error.

    Example:
        >>> sorted(names_used("a {{ colour }} {{ animal.name | upper }} on {grass}"))
        ['animal', 'colour']
    """
    if "{{" not in prompt:
        return frozenset()
    from jinja2 import TemplateSyntaxError

    try:
        return _compiled(prompt)[1]
    except TemplateSyntaxError as error:
        raise _not_filled(_syntax_error(error)) from error


def _syntax_error(error: TemplateSyntaxError) -> str:
    return f"line {error.lineno}: {sanitize(error.message or 'invalid syntax')}"


def _not_filled(where: str) -> InvalidRequest:
    return InvalidRequest(
        f"The prompt's {{{{ }}}} can't be filled in: {where}. `--raw` sends the prompt as is."
    )


@lru_cache(maxsize=64)
def _compiled(prompt: str) -> tuple[Template, frozenset[str]]:
    """Compile a prompt, and collect the names that it uses: a sweep renders it many times."""
    from jinja2.nodes import Name

    tree = _environment().parse(prompt)
    # an expression can't define names, so that all of them come from outside
    found = list(tree.find_all(Name))
    used = frozenset(name.name for name in found)
    for name in found:
        name.name = _SELF if name.name == "self" else name.name
    return _environment().from_string(tree), used


@cache
def _environment() -> Environment:
    """Disable blocks and comments by giving them delimiters that no prompt contains."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        block_start_string=_UNUSED_DELIMITER + "%",
        block_end_string="%" + _UNUSED_DELIMITER,
        comment_start_string=_UNUSED_DELIMITER + "#",
        comment_end_string="#" + _UNUSED_DELIMITER,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # a prompt is not HTML
    )
    environment.globals.clear()
    return environment
