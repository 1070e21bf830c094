"""Prompt templates: ``{{ expr }}`` is evaluated once, with the caller's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..runtime.text import sanitize

if TYPE_CHECKING:
    from jinja2 import Environment

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
    from jinja2.nodes import Name

    cause: BaseException
    try:
        tree = _environment().parse(prompt)
        used = list(tree.find_all(Name))
        known = {name.name: names[name.name] for name in used if name.name in names}
        if "self" in known:
            # in Jinja `self` is the template
            known[_SELF] = known.pop("self")
        for name in used:
            name.name = _SELF if name.name == "self" else name.name
        return _environment().from_string(tree).render(known)
    except TemplateSyntaxError as error:
        where, cause = (
            f"line {error.lineno}: {sanitize(error.message or 'invalid syntax')}",
            error,
        )
    except UndefinedError as error:
        message = sanitize(error.message or error).replace(_SELF, "self")
        where, cause = f"{message}; define it in a cell first", error
    except Exception as error:  # the user's expression can raise anything
        where, cause = f"{type(error).__name__}: {sanitize(error)}", error
    raise InvalidRequest(
        f"The prompt's {{{{ }}}} can't be filled in: {where}. `--raw` sends the prompt as is."
    ) from cause


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
