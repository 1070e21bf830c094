"""The options of cells: parsing, error messages and help."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from cells import DEFAULTS

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.notebook.options import (
    FLAG_OPTIONS,
    VALUE_OPTIONS,
    CellOptions,
    cell_parser,
    parse_cell_line,
    spell_option,
)


def parse(line: str) -> CellOptions:
    """Parse the line of a cell with the defaults of `%config`."""
    return parse_cell_line(line, DEFAULTS)


@pytest.mark.parametrize("line", ["", "   ", "\t"])
def test_an_empty_line_sets_nothing(line: str) -> None:
    """Only options that the user sets are sent."""
    assert parse(line) == DEFAULTS


@pytest.mark.parametrize(
    ("line", "parameters"),
    [
        ("-n 2", {"num_images": "2"}),
        ("-n2", {"num_images": "2"}),
        ("--num-images 2", {"num_images": "2"}),
        ("--num-images=2", {"num_images": "2"}),
        ("-a 16:9", {"aspect_ratio": "16:9"}),
        ("--aspect-ratio 16:9", {"aspect_ratio": "16:9"}),
        ("-f webp", {"output_format": "webp"}),
        ("--output-format webp", {"output_format": "webp"}),
        ("-s 7", {"seed": "7"}),
        ("-s -7", {"seed": "-7"}),
        ("--seed=-7", {"seed": "-7"}),
        ("--safety-tolerance 6", {"safety_tolerance": "6"}),
        ("--sync-mode", {"sync_mode": True}),
        ("--limit-generations", {"limit_generations": True}),
        ("-p resolution=2K", {"resolution": "2K"}),
        ("--param resolution=2K", {"resolution": "2K"}),
        ("-p resolution=", {"resolution": ""}),
        ("-p a=b=c", {"a": "b=c"}),
        ("-p 'mood=calm and wide'", {"mood": "calm and wide"}),
        ("-p thinking-level=high", {"thinking_level": "high"}),
        ("-p ' a =1'", {"a": "1"}),
        ("-p seed=7", {"seed": "7"}),
        ("-p größe=ü", {"größe": "ü"}),
        ("-p a=1 -p b=2", {"a": "1", "b": "2"}),
        ("""-p 'image_size={"width": 640}'""", {"image_size": '{"width": 640}'}),
        ("-n ''", {"num_images": ""}),
        ("-n 99", {"num_images": "99"}),
    ],
)
def test_parameters_are_kept_as_typed(line: str, parameters: dict[str, Any]) -> None:
    """Parameters have the Hub's names; their values are parsed later, with the schema."""
    assert parse(line).parameters == parameters


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("-m gpt-image-2", "model", "gpt-image-2"),
        ("--model gpt-image-2", "model", "gpt-image-2"),
        ("-o dog", "out", "dog"),
        ("--out köpek", "out", "köpek"),
        ("-o _", "out", "_"),
        ("--save pictures", "save", "pictures"),
        ("--save 'my images'", "save", "my images"),
        ("--preview 0", "preview", 0),
        ("--preview 512", "preview", 512),
        ("--timeout 0.5", "timeout", 0.5),
        ("--timeout 60", "timeout", 60.0),
        ("--fresh", "fresh", True),
        ("--cache", "cache", True),
        ("-q", "quiet", True),
        ("--quiet", "quiet", True),
        ("--dry-run", "dry_run", True),
        ("--raw", "raw", True),
        ("-i dog.png", "images", ("dog.png",)),
        ("--image 'my dog.png' -i dog[0]", "images", ("my dog.png", "dog[0]")),
        ("--shrink", "shrink", True),
        ("-b", "background", True),
        ("--background", "background", True),
        ("-h", "help", True),
        ("--help", "help", True),
    ],
)
def test_each_option_sets_its_field(line: str, name: str, value: object) -> None:
    """And no parameter."""
    options = parse(line)
    assert getattr(options, name) == value
    assert options.parameters == {}


def test_only_options_that_the_line_sets_count_as_given() -> None:
    """Even with a default's value: `-h -m MODEL` also describes the model."""
    options = parse(f"-m {DEFAULTS.model} -n 2 --raw")
    assert options.given == {"model", "num_images", "raw"}
    assert options == replace(
        DEFAULTS, parameters={"num_images": "2"}, raw=True, given=options.given
    )


def test_the_documented_example_line() -> None:
    """The example of the documentation."""
    options = parse("--aspect-ratio 16:9 --num-images 2 --seed 7 -o dog")
    assert options.parameters == {"aspect_ratio": "16:9", "num_images": "2", "seed": "7"}
    assert options.out == "dog"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--nun-images 2", ["Unknown option '--nun-images'", "Did you mean --num-images?"]),
        ("--nun-images=2", ["Unknown option '--nun-images'.", "Did you mean --num-images?"]),
        ("--num_images 2", ["Did you mean --num-images?"]),
        ("--mod nano", ["Unknown option '--mod'", "Did you mean --model?"]),
        ("--zzzz", ["Unknown option '--zzzz'", "%%mountsea -h"]),
        ("-z", ["Unknown option '-z'"]),
        ("--key sk-123", ["Unknown option '--key'"]),
        ("--", ["Unknown option '--'"]),
        ("a dog", ["Unexpected argument 'a'"]),
        ("-n 2 3", ["Unexpected argument '3'"]),
        ("-n", ["-n/--num-images", "expected one argument"]),
        ("-n --quiet", ["-n/--num-images", "expected one argument"]),
        ("--out", ["-o/--out", "expected one argument"]),
        ("--quiet=1", ["-q/--quiet", "ignored explicit argument"]),
        ("--fresh --cache", ["--cache", "not allowed with", "--fresh"]),
        ("--cach", ["Unknown option '--cach'", "Did you mean --cache?"]),
        ("--preview x", ["--preview", "expected a whole number, got 'x'"]),
        ("--preview 1.5", ["--preview", "expected a whole number, got '1.5'"]),
        ("--preview -1", ["--preview must be at least 0 (got -1)."]),
        ("--timeout x", ["--timeout", "expected a number, got 'x'"]),
        ("--timeout 0", ["--timeout must be greater than 0 (got 0)."]),
        ("--timeout -3", ["--timeout must be greater than 0 (got -3)."]),
        ("--timeout nan", ["--timeout must be a finite number (got nan)."]),
        ("--timeout inf", ["--timeout must be a finite number (got inf)."]),
        ("-o 3x", ["--out: '3x' is not a valid variable name."]),
        ("-o a.b", ["--out: 'a.b' is not a valid variable name."]),
        ("-o class", ["--out: 'class' is not a valid variable name."]),
        ("-o None", ["--out: 'None' is not a valid variable name."]),
        ("-o ''", ["--out: '' is not a valid variable name."]),
        ("-p resolution", ["--param must be NAME=VALUE (got 'resolution')."]),
        ("-p =2K", ["--param must be NAME=VALUE (got '=2K')."]),
        ("-p ' =2K'", ["NAME=VALUE"]),
        ("-p a=1 -p a=2", ["-p a is given twice"]),
        ("-p a-b=1 -p a_b=2", ["-p a_b is given twice"]),
        ("-s 1 -p seed=2", ["--seed is given twice"]),
        ("--sync-mode -p sync_mode=false", ["--sync-mode is given twice"]),
        ("'open", ["Could not parse the line", "No closing quotation"]),
        ('"open', ["Could not parse the line"]),
        ("don't", ["Could not parse the line"]),
        ("-n 2 \\", ["Could not parse the line", "No escaped character"]),
        ("--\x1b[31mred", ["Unknown option '--[31mred'"]),
        ("\x1b[31mred", ["Unexpected argument '[31mred'"]),
        ("-p '\x1b[31m'", ["--param must be NAME=VALUE (got '[31m')."]),
        ("-o '\x1b[31m'", ["--out: '[31m' is not a valid variable name."]),
    ],
)
def test_an_invalid_line_raises_a_short_error(
    line: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line without control characters; nothing is printed, and the process does not exit."""
    with pytest.raises(InvalidRequest) as caught:
        parse(line)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message and "\x1b" not in message
    assert capsys.readouterr() == ("", "")


def test_all_invalid_values_are_reported_at_once() -> None:
    """One per line, each once."""
    with pytest.raises(InvalidRequest) as caught:
        parse("--timeout 0 --preview -1 -o 3x -s 1 -p seed=2 -p seed=3 -p =2K")
    assert str(caught.value).splitlines() == [
        "--seed is given twice.",
        "--param must be NAME=VALUE (got '=2K').",
        "--out: '3x' is not a valid variable name.",
        "--preview must be at least 0 (got -1).",
        "--timeout must be greater than 0 (got 0).",
    ]


def test_a_long_invalid_argument_is_shortened() -> None:
    """A prompt typed on the line by mistake does not fill the notebook."""
    for line in ("x" * 5000, "--" + "x" * 5000, "-p " + "x" * 5000):
        with pytest.raises(InvalidRequest) as caught:
            parse(line)
        assert len(str(caught.value)) < 500


def test_the_help_lists_every_option() -> None:
    """And its percent signs are not doubled."""
    text = cell_parser().format_help()
    flags = [flag for words in (*VALUE_OPTIONS.values(), *FLAG_OPTIONS.values()) for flag in words]
    for flag in flags:
        if flag.startswith("-"):
            assert flag in text
    for flag in ("--model", "--param", "--out", "--save", "--preview", "--timeout", "--image"):
        assert flag in text
    for flag in ("--fresh", "--cache", "--quiet", "--dry-run", "--raw", "--help", "--shrink"):
        assert flag in text
    assert text.startswith("usage: %%mountsea ")
    assert "a %config trait" in text
    assert "{{ expr }}" in text


def test_every_option_is_an_attribute_or_a_parameter() -> None:
    """An option without an attribute would fail only in the cell that uses it."""
    names = {action.dest for action in cell_parser().options().values()}
    attributes = {attribute.name for attribute in fields(CellOptions)}
    assert names - attributes == {"param", *VALUE_OPTIONS, *FLAG_OPTIONS}
    traits = {"runner", "confirm_above", "polls_per_second"}
    assert attributes - names == {*traits, "parameters", "given"}


@pytest.mark.parametrize("name", [*VALUE_OPTIONS, *FLAG_OPTIONS])
def test_spell_option_returns_the_parameters_own_option(name: str) -> None:
    """The parser accepts the option that error messages name."""
    spelled = spell_option(name)
    line = spelled if name in FLAG_OPTIONS else f"{spelled} 1"
    assert list(parse(line).parameters) == [name]


def test_spell_option_returns_param_for_other_parameters() -> None:
    """Parameters without an option are set by -p."""
    assert spell_option("resolution") == "-p resolution"
