"""Text from outside: what each function makes of it, and what is left to be offered as input."""

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

UNSEEN = (
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u2060", "\ufeff", "\u00ad", "\u061c"),
    *("\u202a", "\u202e", "\u2066", "\u2069", "\u2028", "\u2029", "\U000e0041", "\ufff9", "\u180e"),
    *("\x00", "\x07", "\x08", "\x1b", "\x7f", "\x85", "\x9b", "\x9d", "\u3164", "\u2064", "\u034f"),
)


@pytest.mark.parametrize("sign", UNSEEN, ids=ascii)
def test_what_can_not_be_seen_is_in_no_text(sign: str) -> None:
    """Controls, overrides, joiners and fillers vanish from lines, blocks and HTML, also in rows."""
    for text in (f"a{sign}b", f"{sign}a{sign}{sign}b{sign}", f"a\u202e{sign}\u202eb"):
        assert sanitize(text) == printable(text) == escape_html(text) == "ab"
        assert not is_pasteable(text) and not is_quotable(text)


@pytest.mark.parametrize(
    "text", ["👨‍👩‍👧 🐕 ❤️", "می‌خواهم", "क्‍ष", "Việt Nam à la carte", "犬と猫", "ﷺ שלום", "ñ̃"]
)
def test_what_people_write_stays(text: str) -> None:
    """Emoji of several parts, and the scripts that need joiners and marks, are as they were."""
    assert sanitize(text) == printable(text) == text
    assert json.loads(json_text({"a": text})) == {"a": text}
    assert is_quotable(text)


def test_lines_stay_lines_in_a_block_and_none_is_overwritten() -> None:
    """Line ends are one kind; a carriage return, which would overwrite its line, is one too."""
    assert printable("a\r\nb\rc\vd\fe\tf") == "a\nb\nc\nd\ne\tf"


def test_marks_do_not_pile_up() -> None:
    """A letter with a hundred accents would cover the lines above it."""
    assert sanitize("e" + "\u0301\u0336" * 50 + "x") == "e\u0301\u0336\u0301\u0336x"


def test_any_value_makes_a_short_line() -> None:
    """Megabytes, and what has no text at all, give a bounded line."""
    for value in (10**5000, "x" * 10_000_000, ["\u200b" * 99] * 999):
        assert 0 < len(sanitize(value, limit=50)) <= 50


def test_a_text_that_fails_to_be_one_is_named_by_its_class() -> None:
    """An exception of others whose `__str__` raises must not hide what went wrong."""

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
def test_usual_ids_and_values_are_offered(word: str) -> None:
    """What Hubs really use can be pasted, and stands as it is in a text."""
    assert is_pasteable(word) and quoted(word) == word
    assert DollarFormatter().vformat(word, [], {}) == word


RUNS = "{quit()} {x} $HOME $x `id` a;b a|b a&b a'b a\"b --all -h !ls %run ? a? a?? a* ~ # <b> /quit"
ODD = ("", "a b", "a\nb", "a\n", "a\\", "@/etc/passwd", ",f", "a(b)", "[a]", "a!b", "a" * 121)
ALIKE = ("nano\u2010banana", "n\u0430no", "n\u200bano", "nano\u202e", "\uff4eano")


@pytest.mark.parametrize("word", [*RUNS.split(), *ODD, *ALIKE], ids=ascii)
def test_what_is_more_than_itself_is_not_offered(word: str) -> None:
    """IPython's, the shell's and argparse's signs, look-alikes and long words are but text."""
    assert not is_pasteable(word)
    assert quoted(word).startswith("“")


@pytest.mark.parametrize("word", [None, 7, True, ["a"], b"a"])
def test_only_text_is_offered(word: object) -> None:
    """What is no text is not offered, whatever its text would be."""
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
def test_what_runs_in_quotes_too_is_not_quotable(text: str) -> None:
    """Quotes keep no brace, dollar, line end or command from being run."""
    assert not is_quotable(text)


@pytest.mark.parametrize(
    "text", ["an oil painting", "", 'the painter\'s "blue"', "a (b) [c]; d? 50%!", "köpek 🐕", "-5"]
)
def test_what_is_only_text_is_quotable(text: str) -> None:
    """Blanks, quotes and punctuation run nothing."""
    assert is_quotable(text)


@pytest.mark.parametrize(
    "text",
    ["<img src=x onerror=a()>", "a & b", "\"'", "C:\\x_y", "a_b", "$x$", "\\(x\\)", "[a](b)"],
)
def test_html_shows_the_text_itself(text: str) -> None:
    """Whatever is escaped, and how, a browser shows what was there."""
    escaped = escape_html(text)
    assert html.unescape(escaped) == text
    assert not set("<>\"'$[]{}\\`") & set(escaped)


def test_json_is_the_same_json() -> None:
    """What can't be seen is spelled in JSON's own way, so that it is read back as it was."""
    value = {"a\u202e": ["x\u200by", "\x9b", "\U000e0041", "\ud83d", "é\n"], "n": 1.5}
    shown = json_text(value, indent=2)
    assert json.loads(shown) == value
    assert not re.search(r"[\u200b\u202e\x9b\U000e0041\ud800-\udfff]", shown)


def test_lists_are_bounded() -> None:
    """Of 100,000 values the first are shown, each bounded, and how many are left."""
    said = listed(("v" * 500 for _ in range(100_000)), max_items=5)
    assert len(said) < 400 and said.endswith(" and 99,995 more")


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
def test_a_file_name_holds_letters_and_digits_alone(text: str, name: str) -> None:
    """No separator, no device, no dot and no override of a prompt is in a file's name."""
    assert slug(text) == name
