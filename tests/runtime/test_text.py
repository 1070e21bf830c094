"""Text from outside: how each function sanitizes it, and what can be offered as input."""

from __future__ import annotations

import html
import json
import re

import pytest
from IPython.utils.text import DollarFormatter

from mountsea_magic.runtime.text import (
    escape_html,
    is_pasteable,
    is_quotable,
    json_text,
    listed,
    printable,
    quoted,
    sanitize,
    slug,
)

INVISIBLE = (
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u2060", "\ufeff", "\u00ad", "\u061c"),
    *("\u202a", "\u202e", "\u2066", "\u2069", "\u2028", "\u2029", "\U000e0041", "\ufff9", "\u180e"),
    *("\x00", "\x07", "\x08", "\x1b", "\x7f", "\x85", "\x9b", "\x9d", "\u3164", "\u2064", "\u034f"),
)


@pytest.mark.parametrize("char", INVISIBLE, ids=ascii)
def test_invisible_characters_are_removed(char: str) -> None:
    """Controls, overrides, joiners and fillers, also several in a row."""
    for text in (f"a{char}b", f"{char}a{char}{char}b{char}", f"a\u202e{char}\u202eb"):
        assert sanitize(text) == printable(text) == escape_html(text) == "ab"
        assert not is_pasteable(text) and not is_quotable(text)


@pytest.mark.parametrize(
    "text", ["👨‍👩‍👧 🐕 ❤️", "می‌خواهم", "क्‍ष", "Việt Nam à la carte", "犬と猫", "ﷺ שלום", "ñ̃"]
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    """Composed emoji, and scripts that need joiners and combining marks, too."""
    assert sanitize(text) == printable(text) == text
    assert json.loads(json_text({"a": text})) == {"a": text}
    assert is_quotable(text)


def test_printable_normalizes_line_ends() -> None:
    """A carriage return, which would overwrite its line in a terminal, becomes one too."""
    assert printable("a\r\nb\rc\vd\fe\tf") == "a\nb\nc\nd\ne\tf"


def test_combining_marks_are_limited() -> None:
    """A letter with a hundred accents would cover the lines above it."""
    assert sanitize("e" + "\u0301\u0336" * 50 + "x") == "e\u0301\u0336\u0301\u0336x"


def test_any_value_gives_a_bounded_line() -> None:
    """Megabytes of text, and integers that `str` refuses to convert, too."""
    for value in (10**5000, "x" * 10_000_000, ["\u200b" * 99] * 999):
        assert 0 < len(sanitize(value, limit=50)) <= 50


def test_an_object_whose_str_raises_is_shown_by_its_class() -> None:
    """A user's exception with such a `__str__` must not replace the error that is reported."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert sanitize(Broken()) == "Broken"


@pytest.mark.parametrize(
    "word",
    [
        *("hub-1", "3f1c1f9e-8f5d-4b4e-9a3a-2f60d4dd1c7d", "urn:task:7", "a/b", "YWJj+/8=", "-5"),
        *("nano-banana", "16:9", "0.5K", "true", "1", "user@host", "_x"),
    ],
)
def test_usual_ids_and_values_are_pasteable(word: str) -> None:
    """They are shown without quotes."""
    assert is_pasteable(word) and quoted(word) == word
    assert DollarFormatter().vformat(word, [], {}) == word


RUNS = "{quit()} {x} $HOME $x `id` a;b a|b a&b a'b a\"b --all -h !ls %run ? a? a?? a* ~ # <b> /quit"
UNUSUAL = ("", "a b", "a\nb", "a\n", "a\\", "@/etc/passwd", ",f", "a(b)", "[a]", "a!b", "a" * 121)
LOOKALIKES = ("nano\u2010banana", "n\u0430no", "n\u200bano", "nano\u202e", "\uff4eano")


@pytest.mark.parametrize("word", [*RUNS.split(), *UNUSUAL, *LOOKALIKES], ids=ascii)
def test_words_with_a_special_meaning_are_not_pasteable(word: str) -> None:
    """Syntax of IPython, shells and argparse, look-alikes and long words are put in quotes."""
    assert not is_pasteable(word)
    assert quoted(word).startswith("“")


@pytest.mark.parametrize("word", [None, 7, True, ["a"], b"a"])
def test_only_strings_are_pasteable(word: object) -> None:
    """Other objects are not, whatever `str` returns for them."""
    assert not is_pasteable(word) and not is_quotable(word)


TEMPLATES = ("{{ quit() }}", "{% x %}", "{# x #}", "{x}", "}{", "$x", "`id`", "\\", "a\nb", "a  b")
COMMANDS = (
    "%%sh",
    "!ls",
    "?x",
    "@a",
    "/quit 1",
    ",f a",
    ";f a",
    "--save=/",
    "---",
    " a",
    "a" * 2001,
)


@pytest.mark.parametrize("text", [*TEMPLATES, *COMMANDS])
def test_text_that_runs_even_in_quotes_is_not_quotable(text: str) -> None:
    """IPython expands braces and dollars, and runs commands, in quoted text too."""
    assert not is_quotable(text)


@pytest.mark.parametrize(
    "text", ["an oil painting", "", 'the painter\'s "blue"', "a (b) [c]; d? 50%!", "köpek 🐕", "-5"]
)
def test_ordinary_text_is_quotable(text: str) -> None:
    """Spaces, quotes and punctuation are allowed."""
    assert is_quotable(text)


@pytest.mark.parametrize(
    "text",
    ["<img src=x onerror=a()>", "a & b", "\"'", "C:\\x_y", "a_b", "$x$", "\\(x\\)", "[a](b)"],
)
def test_escaped_html_shows_the_original_text(text: str) -> None:
    """A browser shows it unchanged, and Markdown renderers find no syntax in it."""
    escaped = escape_html(text)
    assert html.unescape(escaped) == text
    assert not set("<>\"'$[]{}\\`") & set(escaped)


def test_json_text_parses_to_the_same_value() -> None:
    """Invisible characters are JSON escapes."""
    value = {"a\u202e": ["x\u200by", "\x9b", "\U000e0041", "\ud83d", "é\n"], "n": 1.5}
    shown = json_text(value, indent=2)
    assert json.loads(shown) == value
    assert not re.search(r"[\u200b\u202e\x9b\U000e0041\ud800-\udfff]", shown)


def test_lists_are_bounded() -> None:
    """Of 100,000 values the first are shown, each truncated, and the number of the others."""
    text = listed(("v" * 500 for _ in range(100_000)), max_items=5)
    assert len(text) < 400 and text.endswith(" and 99,995 more")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("CON", "con"),
        ("a\x00b/c\\d:e|f", "a-b-c-d-e-f"),
        ("\u202egnp.exe", "gnp-exe"),
        ("犬", ""),
        ("x" * 100, "x" * 32),
    ],
)
def test_a_slug_has_only_letters_and_digits(text: str, name: str) -> None:
    """No path separators, dots or bidirectional overrides get into a file name."""
    assert slug(text) == name
