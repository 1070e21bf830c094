"""Reject regular expressions from the network that could backtrack for long."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

MAX_TEXT = 256
"""The longest text that a pattern is applied to, in characters; the Hub checks longer ones."""

MAX_PATTERN = 200
"""The longest pattern, in characters."""

MAX_PATHS = 70_000
"""The limit of backtracking paths: two unbounded repetitions, a few milliseconds."""

_SINGLE_PATH = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY", "AT"})
_WARNING_SYNTAX = ("[[", "--", "&&", "~~", "||")
"""Syntax for which `re` raises a FutureWarning."""


def is_safe_pattern(pattern: str) -> bool:
    r"""Return whether a regular expression is fast on any text of `MAX_TEXT` characters.

    Python backtracks through all ways to match. Their number grows with each repetition, and
    exponentially with nested ones, so it is computed from the parse tree of `re`.

    Args:
        pattern: A regular expression of any dialect.

    Returns:
        Whether Python can parse it, and backtracks through at most `MAX_PATHS` paths.

    Example:
        >>> is_safe_pattern("^#[0-9a-f]{6}$"), is_safe_pattern("^(a+)+$"), is_safe_pattern(r"\p{L}")
        (True, False, False)
    """
    flagged = "(?" in pattern.replace("(?:", "")  # flags, look-around, conditions
    if len(pattern) > MAX_PATTERN or flagged or any(part in pattern for part in _WARNING_SYNTAX):
        return False
    try:
        # private, but the only access to the parse tree; without it every pattern is rejected
        tree = import_module("re._parser").parse(pattern)
        anchored = len(tree) > 0 and str(tree[0][1]) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
        return _paths(tree) * (1 if anchored else MAX_TEXT) <= MAX_PATHS
    except (re.error, ImportError, AttributeError, ValueError, OverflowError, RecursionError):
        return False


def _paths(tree: Any) -> int:
    """Count the paths from one position; raises ValueError for what can't be counted."""
    paths = 1
    for operator, argument in tree:
        name = str(operator)
        if name == "BRANCH":
            paths *= sum(_paths(branch) for branch in argument[1])
        elif name == "SUBPATTERN":
            paths *= _paths(argument[-1])
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            paths *= _repetition_paths(*argument)
        elif name not in _SINGLE_PATH:
            raise ValueError(f"{name} is not known to be fast")
        if paths > MAX_PATHS:
            raise ValueError("too many paths")
    return paths


def _repetition_paths(minimum: int, maximum: int, tree: Any) -> int:
    """Count the paths of a repetition: each count is a path, times those of the repeated part."""
    shortest = tree.getwidth()[0]
    if shortest == 0 or minimum > MAX_TEXT:
        raise ValueError("it repeats an empty match, or too often")
    maximum = min(int(maximum), MAX_TEXT // shortest)
    paths = _paths(tree)
    if paths == 1:
        return max(1, maximum - minimum + 1)
    return sum(int(paths**count) for count in range(minimum, max(minimum, maximum) + 1))
