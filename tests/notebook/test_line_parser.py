"""Magic lines: split like a shell, with JSON values that need no extra quotes."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.notebook import line_parser
from mountsea_magic.notebook.line_parser import LineParser, number, split_line, whole_number


def parser() -> LineParser:
    """Return a parser with a few options."""
    result = LineParser(prog="%%try", add_help=False, allow_abbrev=False)
    result.add_argument("-n", "--num-images")
    result.add_argument("-p", "--param", action="append", default=[])
    result.add_argument("--quiet", action="store_true")
    return result


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("-n 2", ["-n", "2"]),
        ("--save 'a b' \"c d\"", ["--save", "a b", "c d"]),
        (r"a\ b", ["a b"]),
        ("# not a comment", ["#", "not", "a", "comment"]),
        ("🐕 'ü é'", ["🐕", "ü é"]),
        ("''", [""]),
        ("a'b'\"c\"", ["abc"]),
    ],
)
def test_lines_are_split_like_a_shell(line: str, words: list[str]) -> None:
    """Quotes group words."""
    assert split_line(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('-p a={"w":1}', ["-p", 'a={"w":1}']),
        ('-p a={"w": 1, "h": 2} -n 2', ["-p", 'a={"w": 1, "h": 2}', "-n", "2"]),
        ('-p a={ "w" : 1 }', ["-p", 'a={ "w" : 1 }']),
        ('-p a={"b": {"c": [1, {"d": "e f"}]}}', ["-p", 'a={"b": {"c": [1, {"d": "e f"}]}}']),
        ('-p a=["x y", "z"]', ["-p", 'a=["x y", "z"]']),
        ("-p a=[]", ["-p", "a=[]"]),
        ('-p a={"it\'s": "a \\"b\\" }"}', ["-p", 'a={"it\'s": "a \\"b\\" }"}']),
        ('--param=a={"w": 1}', ['--param=a={"w": 1}']),
        ('-p a={"w": 1} -p b=[1, 2]', ["-p", 'a={"w": 1}', "-p", "b=[1, 2]"]),
        ("""-p 'a={"w": 1}'""", ["-p", 'a={"w": 1}']),
        ("""-p a='{"w": 1}'""", ["-p", 'a={"w": 1}']),
        ('-p "a={\\"w\\": 1}"', ["-p", 'a={"w": 1}']),
        ("-i dog[0]", ["-i", "dog[0]"]),
        ("-i dog.images[-1]", ["-i", "dog.images[-1]"]),
        ('-p a={"ü": "🐕 犬"}', ["-p", 'a={"ü": "🐕 犬"}']),
    ],
)
def test_json_values_need_no_extra_quotes(line: str, words: list[str]) -> None:
    """With spaces and quotes, nested, or quoted for a shell."""
    assert split_line(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-p a={w: 1}", ["-p", "a={w:", "1}"]),
        ('-p a={"w": 1', ["-p", "a={w:", "1"]),
        ("-p a=[1, 2", ["-p", "a=[1,", "2"]),
        ("a{b}c", ["a{b}c"]),
        ("[[[[", ["[[[["]),
    ],
)
def test_invalid_json_is_split_like_other_text(line: str, words: list[str]) -> None:
    """Its value is rejected later."""
    assert split_line(line) == words


@pytest.mark.parametrize("line", ["'open", '"open', "don't", "a\\", '-p a={"w": 1} "open'])
def test_an_unclosed_quote_raises(line: str) -> None:
    """As `InvalidRequest`."""
    with pytest.raises(InvalidRequest, match="Could not parse the line"):
        split_line(line)


@pytest.mark.parametrize("line", ["[" * 5_000, '{"a":' * 5_000], ids=["lists", "objects"])
def test_deeply_nested_json_does_not_crash(line: str) -> None:
    """It is split like other text."""
    assert "".join(split_line(line)) == line.replace('"', "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--nun-images 2", ["Unknown option '--nun-images'.", "Did you mean --num-images?"]),
        ("--num-image=2", ["Unknown option '--num-image'.", "Did you mean --num-images?"]),
        ("--quit", ["Did you mean --quiet?"]),
        ("--zzzz", ["Unknown option '--zzzz'. See %%try -h."]),
        ("a dog", ["Unexpected argument 'a'. See %%try -h."]),
        ("-n", ["-n/--num-images: expected one argument. See %%try -h."]),
    ],
)
def test_unknown_options_raise_with_the_closest_option(line: str, words: list[str]) -> None:
    """The process does not exit."""
    with pytest.raises(InvalidRequest) as caught:
        parser().parse_line(line)
    for word in words:
        assert word in str(caught.value)


def test_options_returns_every_option_string() -> None:
    """For the completions."""
    assert {"-n", "--num-images", "-p", "--param", "--quiet"} == set(parser().options())


def test_backslashes_of_windows_paths_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems a backslash escapes the next character."""
    monkeypatch.setattr(line_parser, "_ESCAPE", "")
    line = r"""--save C:\out\new -i 'C:\my images\dog.png' -p a={"b": "c d"}"""
    assert split_line(line) == [
        *("--save", r"C:\out\new", "-i", r"C:\my images\dog.png", "-p", 'a={"b": "c d"}'),
    ]


@pytest.mark.parametrize(
    ("parse", "word", "value"),
    [(whole_number, "-7", -7), (number, "0.5", 0.5), (number, "1e3", 1000.0)],
)
def test_numbers_are_parsed(parse: Callable[[str], float], word: str, value: float) -> None:
    """As in Python."""
    assert parse(word) == value


@pytest.mark.parametrize("parse", [whole_number, number])
@pytest.mark.parametrize("word", ["x", "", "1,5"])
def test_invalid_numbers_raise_a_plain_message(parse: Callable[[str], float], word: str) -> None:
    """Without Python's own wording."""
    with pytest.raises(ArgumentTypeError, match=r"expected a (whole )?number, got '"):
        parse(word)
