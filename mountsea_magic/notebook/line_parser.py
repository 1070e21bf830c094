"""Magic lines: split into words as a shell would, parsed by argparse, refused in one line."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from difflib import get_close_matches
from typing import NoReturn

from ..errors import InvalidRequest, sanitize

_ESCAPE = "" if os.name == "nt" else "\\"
"""On Windows a backslash stands in paths, and escapes nothing."""


class LineParser(argparse.ArgumentParser):
    """An argparse parser that raises our short errors where argparse would print and exit."""

    def options(self) -> dict[str, argparse.Action]:
        """Return what each spelling of an option means."""
        return dict(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Refuse the line.

        Raises:
            InvalidRequest: Always.
        """
        raise InvalidRequest(f"{sanitize(message.removeprefix('argument '))}. See {self.prog} -h.")

    def parse_line(self, line: str) -> argparse.Namespace:
        """Split a line as a shell would, and parse it.

        Raises:
            InvalidRequest: If a quote is open or a word is unknown; names the nearest option.
        """
        return self.parse_words(split_line(line))

    def parse_words(self, words: list[str]) -> argparse.Namespace:
        """Parse the words of a line."""
        options, left = self.parse_known_args(words)
        if not left:
            return options
        word = left[0].partition("=")[0]
        if not word.startswith("-"):
            self.error(f"{left[0]}: this word belongs to no option")
        close = get_close_matches(word, list(self._option_string_actions), n=1)
        hint = f" Did you mean {close[0]}?" if close else f" See {self.prog} -h."
        raise InvalidRequest(f"There is no option {sanitize(word, limit=60)}.{hint}")


def whole_number(word: str) -> int:
    """Read a word of the line, for argparse's ``type``.

    Raises:
        ArgumentTypeError: If it is none; argparse says of which option.

    Example:
        >>> whole_number("7")
        7
    """
    try:
        return int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word}: a whole number is needed") from None


def number(word: str) -> float:
    """Read a word of the line, for argparse's ``type``.

    Raises:
        ArgumentTypeError: If it is none; argparse says of which option.

    Example:
        >>> number("0.5")
        0.5
    """
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word}: a number is needed") from None


def split_line(line: str) -> list[str]:
    """Split a line into words as a shell would.

    Raises:
        InvalidRequest: If a quote is open.

    Example:
        >>> split_line("-n 2 --save 'my images'")
        ['-n', '2', '--save', 'my images']
        >>> split_line('-p image_size={"width": 64, "height": 48}')
        ['-p', 'image_size={"width": 64, "height": 48}']
    """
    try:
        words = shlex.shlex(_with_json_quoted(line), posix=True, punctuation_chars=False)
        words.whitespace_split, words.commenters, words.escape = True, "", _ESCAPE
        return list(words)
    except ValueError as error:
        raise InvalidRequest(f"The line does not parse: {error}.") from None


def _with_json_quoted(line: str) -> str:
    """JSON on the line keeps its quotes and blanks: nobody thinks of quoting it once more."""
    pieces, start, place, quote = [], 0, 0, ""
    while place < len(line):
        letter = line[place]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "{[" and (length := _json_length(line[place:])):
            pieces += [line[start:place], shlex.quote(line[place : place + length])]
            start = place = place + length
            continue
        place += 1
    return "".join([*pieces, line[start:]])


def _json_length(text: str) -> int:
    """How long the JSON value is that a text begins with; 0 if it begins with none."""
    try:
        return json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return 0
