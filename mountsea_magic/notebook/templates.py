"""Templates: a prompt's ``{{ expr }}`` is filled in from the user's names, once and strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest, sanitize

if TYPE_CHECKING:
    from jinja2 import Environment

_NEVER_TYPED = "\x00mountsea\x00"
_SELF = "mountsea_self"


def split_prompts(cell: str) -> list[str]:
    r"""Split a cell at the lines that are only ``---``; all line ends become ``\n``.

    Example:
        >>> split_prompts("a dog\r\n---\r\na cat\n")
        ['a dog', 'a cat\n']
    """
    prompts: list[list[str]] = [[]]
    # only line ends: `str.splitlines` would split at form feeds and U+2028, too
    for line in re.split(r"\r\n|\r|\n", cell):
        if line.strip() == "---":
            prompts.append([])
        else:
            prompts[-1].append(line)
    return ["\n".join(lines) for lines in prompts]


def render(prompt: str, names: Mapping[str, Any]) -> str:
    """Fill in a prompt's ``{{ expr }}``; single braces and ``{% %}`` are plain text.

    Args:
        prompt: The text, as typed.
        names: What the expressions may name; nothing else is known, not even Python's builtins,
            so that a typo is never paid for.

    Raises:
        InvalidRequest: If an expression does not parse, names something unknown, or fails.

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
            # Jinja would take `self` for the template
            known[_SELF] = known.pop("self")
        for name in used:
            name.name = _SELF if name.name == "self" else name.name
        return _environment().from_string(tree).render(known)
    except TemplateSyntaxError as error:
        where, cause = (
            f"line {error.lineno}: {sanitize(error.message or 'it does not parse')}",
            error,
        )
    except UndefinedError as error:
        message = sanitize(error.message or error).replace(_SELF, "self")
        where, cause = f"{message}; define it in a cell first", error
    except Exception as error:  # the user's own expression may raise anything at all
        where, cause = f"{type(error).__name__}: {sanitize(error)}", error
    raise InvalidRequest(
        f"The prompt's {{{{ }}}} can't be filled in: {where}. `--raw` takes the prompt as it is."
    ) from cause


@cache
def _environment() -> Environment:
    """Of Jinja only the expressions: blocks and comments begin with what nobody types."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        block_start_string=_NEVER_TYPED + "%",
        block_end_string="%" + _NEVER_TYPED,
        comment_start_string=_NEVER_TYPED + "#",
        comment_end_string="#" + _NEVER_TYPED,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.globals.clear()
    return environment
