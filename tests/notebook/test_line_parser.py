"""Magic lines: split as a shell would, but JSON may stand on them as it is."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.notebook import line_parser
from mountsea_magic.notebook.line_parser import LineParser, number, split_line, whole_number


def parser() -> LineParser:
    """Make a parser with a few options."""
    made = LineParser(prog="%%try", add_help=False, allow_abbrev=False)
    made.add_argument("-n", "--num-images")
    made.add_argument("-p", "--param", action="append", default=[])
    made.add_argument("--quiet", action="store_true")
    return made


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
def test_a_line_is_split_as_a_shell_would(line: str, words: list[str]) -> None:
    """Quotes hold words together."""
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
def test_json_needs_no_second_quoting(line: str, words: list[str]) -> None:
    """With its blanks and quotes, nested, or quoted as for a shell: it arrives whole."""
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
def test_broken_json_is_plain_words(line: str, words: list[str]) -> None:
    """What is no JSON is split as anything else, and refused where it then makes no sense."""
    assert split_line(line) == words


@pytest.mark.parametrize("line", ["'open", '"open', "don't", "a\\", '-p a={"w": 1} "open'])
def test_an_open_quote_is_refused(line: str) -> None:
    """In one short line of ours."""
    with pytest.raises(InvalidRequest, match="Could not parse the line"):
        split_line(line)


@pytest.mark.parametrize("line", ["[" * 5_000, '{"a":' * 5_000], ids=["lists", "objects"])
def test_a_line_nested_beyond_reason_is_no_crash(line: str) -> None:
    """It is words or a refusal, and nothing else."""
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
def test_unknown_options_are_named(line: str, words: list[str]) -> None:
    """With the nearest that there is; nobody exits."""
    with pytest.raises(InvalidRequest) as caught:
        parser().parse_line(line)
    for word in words:
        assert word in str(caught.value)


def test_the_spellings_of_options_are_told() -> None:
    """Completion asks for them."""
    assert {"-n", "--num-images", "-p", "--param", "--quiet"} == set(parser().options())


def test_a_path_of_windows_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """There a backslash stands between folders; elsewhere it escapes."""
    monkeypatch.setattr(line_parser, "_ESCAPE", "")
    line = r"""--save C:\out\new -i 'C:\my images\dog.png' -p a={"b": "c d"}"""
    assert split_line(line) == [
        *("--save", r"C:\out\new", "-i", r"C:\my images\dog.png", "-p", 'a={"b": "c d"}'),
    ]


@pytest.mark.parametrize(
    ("read", "word", "value"),
    [(whole_number, "-7", -7), (number, "0.5", 0.5), (number, "1e3", 1000.0)],
)
def test_numbers_are_read(read: Callable[[str], float], word: str, value: float) -> None:
    """As Python reads them."""
    assert read(word) == value


@pytest.mark.parametrize("read", [whole_number, number])
@pytest.mark.parametrize("word", ["x", "", "1,5"])
def test_what_is_no_number_is_said_in_words(read: Callable[[str], float], word: str) -> None:
    """A pupil reads it."""
    with pytest.raises(ArgumentTypeError, match=r"expected a (whole )?number, got '"):
        read(word)
