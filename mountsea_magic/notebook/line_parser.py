"""Magic lines: split like a shell, parsed by argparse, with errors of one line."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
from difflib import get_close_matches
from typing import NoReturn

from ..errors import InvalidRequest
from ..runtime.text import sanitize

_ESCAPE = "" if os.name == "nt" else "\\"
"""Windows paths contain backslashes, so nothing is escaped there."""

_GRID_FIELD = r"""(?:"(?:[^"]|"")*"|'[^']*'|[^\s,'"]*)"""
_GRID = rf"""(-g\s*|--grid(?:\s+|=))([^\s,'"=]+=)({_GRID_FIELD}(?:,{_GRID_FIELD})*)(?=\s|\Z)"""
"""The values of ``--grid``, each of which may be quoted; compiled by `re` on first use."""


class LineParser(argparse.ArgumentParser):
    """An argparse parser that raises `InvalidRequest` instead of printing and exiting."""

    def options(self) -> dict[str, argparse.Action]:
        """Return the action of each option string, such as ``-n`` and ``--num-images``."""
        return dict(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Raise the error instead of printing it and exiting.

        Raises:
            InvalidRequest: Always.
        """
        raise InvalidRequest(f"{sanitize(message.removeprefix('argument '))}. See {self.prog} -h.")

    def parse_line(self, line: str) -> argparse.Namespace:
        """Split a line like a shell, and parse it.

        Raises:
            InvalidRequest: If a quote is not closed or an argument is unknown; the message names
                the closest option.
        """
        return self.parse_arguments(split_line(line))

    def parse_arguments(self, arguments: list[str]) -> argparse.Namespace:
        """Parse the arguments of a line.

        Raises:
            InvalidRequest: If an argument is unknown or has a wrong value.
        """
        options, unknown = self.parse_known_args(arguments)
        if not unknown:
            return options
        flag = unknown[0].partition("=")[0]
        if not flag.startswith("-"):
            self.error(f"Unexpected argument '{sanitize(unknown[0], limit=60)}'")
        close = get_close_matches(flag, list(self._option_string_actions), n=1)
        hint = f" Did you mean {close[0]}?" if close else f" See {self.prog} -h."
        raise InvalidRequest(f"Unknown option '{sanitize(flag, limit=60)}'.{hint}")


def whole_number(text: str) -> int:
    """Parse an integer, for argparse's ``type``.

    Raises:
        ArgumentTypeError: If it is not an integer; argparse adds the option's name.

    Example:
        >>> whole_number("7")
        7
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got '{text}'") from None


def number(text: str) -> float:
    """Parse a number, for argparse's ``type``.

    Raises:
        ArgumentTypeError: If it is not a number; argparse adds the option's name.

    Example:
        >>> number("0.5")
        0.5
    """
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got '{text}'") from None


def split_line(line: str) -> list[str]:
    """Split a line into words like a shell; JSON and values of --grid need no extra quotes.

    Raises:
        InvalidRequest: If a quote is not closed.

    Example:
        >>> split_line("-n 2 --save 'my images'")
        ['-n', '2', '--save', 'my images']
        >>> split_line('-p image_size={"width": 64, "height": 48}')
        ['-p', 'image_size={"width": 64, "height": 48}']
        >>> split_line('--grid time="dawn, early",noon')
        ['--grid', 'time="dawn, early",noon']
    """
    try:
        lexer = shlex.shlex(_quote_values(line), posix=True, punctuation_chars=False)
        lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", _ESCAPE
        return list(lexer)
    except ValueError as error:
        raise InvalidRequest(f"Could not parse the line: {error}.") from None


def _quote_values(line: str) -> str:
    """Shell-quote JSON and values of --grid in a line, so that they keep quotes and spaces."""
    pieces, start, position, quote = [], 0, 0, ""
    while position < len(line):
        char = line[position]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "{[" and (length := _json_length(line[position:])):
            pieces += [line[start:position], shlex.quote(line[position : position + length])]
            start = position = position + length
            continue
        elif char == "-" and not line[position - 1 : position].strip():
            option, word, length = _grid_values(line[position:])
            if length:
                pieces += [line[start:position], option, shlex.quote(word)]
                start = position = position + length
                continue
        position += 1
    return "".join([*pieces, line[start:]])


def _grid_values(text: str) -> tuple[str, str, int]:
    """Return --grid at the start of a text, its NAME=VALUES as CSV, and the length of both.

    The length is 0 without --grid, and if no value is quoted.
    """
    found = re.match(_GRID, text)
    if found is None or not re.search("['\"]", found[3]) or (_ESCAPE and _ESCAPE in found[0]):
        return "", "", 0
    fields = re.findall(rf"(?:^|,)({_GRID_FIELD})", found[3])
    values = [_in_double_quotes(field) if field.startswith("'") else field for field in fields]
    return found[1], found[2] + ",".join(values), found.end()


def _in_double_quotes(field: str) -> str:
    """Replace the single quotes around a value: CSV has only double ones."""
    return '"' + field[1:-1].replace('"', '""') + '"'


def _json_length(text: str) -> int:
    """Return the length of the JSON value at the start of a text, or 0."""
    try:
        return json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return 0
