"""Patterns from the network: only those are tried that can't take long, since `re` has no limit."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

MAX_TEXT = 256
"""The longest text that a pattern is tried on, in characters: of a longer one the Hub judges."""

MAX_PATTERN = 200
"""The longest pattern, in characters."""

MAX_WAYS = 70_000
"""In how many ways a pattern may be tried on a text: two free repetitions, a few milliseconds."""

_ONE_WAY = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY", "AT"})
_WARNED_OF = ("[[", "--", "&&", "~~", "||")
"""What `re` warns of, as it may mean something else one day."""


def is_harmless(pattern: str) -> bool:
    r"""Say whether a regular expression can be tried on any text of `MAX_TEXT` characters.

    Where it can match in several ways, Python tries one after the other, and their number grows
    with each repetition that may end in several places: within one another it doubles with each
    character. So the ways are counted, in the tree that `re` itself parses.

    Args:
        pattern: A regular expression, of whatever dialect.

    Returns:
        Whether Python can read it, and tries it in at most `MAX_WAYS` ways.

    Example:
        >>> is_harmless("^#[0-9a-f]{6}$"), is_harmless("^(a+)+$"), is_harmless(r"\p{L}")
        (True, False, False)
    """
    flagged = "(?" in pattern.replace("(?:", "")  # flags, look-around, conditions
    if len(pattern) > MAX_PATTERN or flagged or any(part in pattern for part in _WARNED_OF):
        return False
    try:
        # not public, but the only account of what `re` will do; without it no pattern is tried
        tree = import_module("re._parser").parse(pattern)
        anchored = len(tree) > 0 and str(tree[0][1]) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
        return _ways(tree) * (1 if anchored else MAX_TEXT) <= MAX_WAYS
    except (re.error, ImportError, AttributeError, ValueError, OverflowError, RecursionError):
        return False


def _ways(tree: Any) -> int:
    """In how many ways a part can be tried from one place; raises for what can't be counted."""
    ways = 1
    for operator, argument in tree:
        name = str(operator)
        if name == "BRANCH":
            ways *= sum(_ways(branch) for branch in argument[1])
        elif name == "SUBPATTERN":
            ways *= _ways(argument[-1])
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            ways *= _ways_of_repetition(*argument)
        elif name not in _ONE_WAY:
            raise ValueError(f"{name} is not known to be harmless")
        if ways > MAX_WAYS:
            raise ValueError("too many ways")
    return ways


def _ways_of_repetition(least: int, most: int, tree: Any) -> int:
    """Each number of repetitions is a way of its own, and multiplies those of what is repeated."""
    shortest = tree.getwidth()[0]
    if shortest == 0 or least > MAX_TEXT:
        raise ValueError("it repeats nothing, or more than there is")
    most = min(int(most), MAX_TEXT // shortest)
    ways = _ways(tree)
    if ways == 1:
        return max(1, most - least + 1)
    return sum(int(ways**count) for count in range(least, max(least, most) + 1))
