"""The options of the cell magic: from its line to a record."""

from __future__ import annotations

import argparse
import keyword
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InvalidRequest
from ..request.axes import ImageWord
from ..request.idempotency import key_problem
from ..runtime.text import sanitize
from ..settings import DEFAULT_CONCURRENCY, DEFAULT_CONFIRM_ABOVE, DEFAULT_POLLS_PER_S
from .line_parser import LineParser, number, whole_number

VALUE_OPTIONS = {
    "num_images": ("-n", "--num-images", "N", "number of images, 1 to 4"),
    "aspect_ratio": ("-a", "--aspect-ratio", "R", "aspect ratio, such as 16:9"),
    "output_format": ("-f", "--output-format", "F", "file format: png, jpeg or webp"),
    "seed": ("-s", "--seed", "N", "random seed: with the same prompt it gives the same image"),
    "safety_tolerance": ("--safety-tolerance", "1..6", "safety filter, from 1 (strictest) to 6"),
}
"""The parameters of the Hub that have their own option and take a value."""

FLAG_OPTIONS = {
    "sync_mode": ("--sync-mode", "return the images in the response itself"),
    "limit_generations": ("--limit-generations", "generate one image per round of prompting"),
}
"""The parameters of the Hub that are flags: sent as true, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOptions:
    """The options of a ``%%mountsea`` cell, from the parser to the runner.

    To add an option, add an attribute here, an option with its name as ``dest`` to `cell_parser`,
    and the check of its value, if any, to `_wrong_values`.

    Attributes:
        model: The model's id; like the next three, a trait unless the line sets it.
        preview: The longest side of the previews, in pixels; 0 shows the originals.
        timeout: How long to wait for each task, in seconds.
        concurrency: How many tasks of the cell run at once.
        runner: ``thread``, or ``nested`` for the kernel's own loop; like the next two only a trait.
        confirm_above: How many images the cell may order without asking.
        polls_per_second: How many polls a second all tasks of the cell may make together.
        parameters: The model's parameters that are set, as typed.
        images: The input images, as typed.
        grid: The axes, each ``NAME=VALUES``, as typed.
        table: The name of the variable with the table, or None.
        idempotency_key: The key under which the requests are submitted at most once, or None.
        yes: Do not ask before a large order.
        shrink: Scale down input images that are too large.
        out: The name to bind the result to, or None.
        save: The folder to copy the originals to, or None.
        background: Return at once.
        fresh: Never reuse a result from the journal.
        cache: Reuse a result from the journal even without a seed.
        quiet: Show nothing on success.
        dry_run: Show the request, send nothing.
        raw: Use the body as is, as one prompt.
        help: Show the help.
        given: The ``dest`` of each option on the line.

    Example:
        >>> CellOptions(model="nano-banana", preview=768, timeout=600.0, runner="thread").quiet
        False
    """

    model: str
    preview: int
    timeout: float
    runner: str
    concurrency: int = DEFAULT_CONCURRENCY
    confirm_above: int = DEFAULT_CONFIRM_ABOVE
    polls_per_second: float = DEFAULT_POLLS_PER_S
    parameters: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[ImageWord, ...] = ()
    grid: tuple[str, ...] = ()
    table: str | None = None
    idempotency_key: str | None = None
    yes: bool = False
    shrink: bool = False
    out: str | None = None
    save: str | None = None
    background: bool = False
    fresh: bool = False
    cache: bool = False
    quiet: bool = False
    dry_run: bool = False
    raw: bool = False
    help: bool = False
    given: frozenset[str] = frozenset()


def cell_parser() -> LineParser:
    """Return the parser of the cell magic's line; its result has only what the line sets."""
    parser = LineParser(
        prog="%%mountsea",
        description="Generate images with the Mountsea Hub; the cell's body is the prompt. "
        "{{ expr }} in it is filled in from your variables; a line of only --- separates "
        "several prompts. --grid and --table make many requests of a prompt.",
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("-m", "--model", metavar="ID", help="the model (default: nano-banana, a %%config trait)")
    for name, (*flags, metavar, text) in VALUE_OPTIONS.items():
        add(*flags, dest=name, metavar=metavar, help=text)
    for name, (flag, text) in FLAG_OPTIONS.items():
        add(flag, dest=name, action="store_true", help=text)
    add(
        "-p",
        "--param",
        action="append",
        metavar="NAME=VALUE",
        help="any other parameter of the model; repeatable",
    )
    add(
        "-i",
        "--image",
        dest="images",
        action="append",
        metavar="SRC",
        help="an input image for edit models: a path, a URL or a variable; repeatable",
    )
    add("--shrink", action="store_true", help="scale down input images over 10 MB")
    _add_options_of_many(parser)
    add("-o", "--out", metavar="NAME", help="bind the result to NAME before waiting for it")
    add("--save", metavar="DIR", help="also copy the originals to DIR")
    add(
        "--preview",
        type=whole_number,
        metavar="PX",
        help="longest side of the preview in pixels (default: 768; 0 shows the original)",
    )
    add("--timeout", type=number, metavar="S", help="stop waiting after S seconds (default: 600)")
    add("-b", "--background", action="store_true", help="return at once; the images appear later")
    journal = parser.add_mutually_exclusive_group()
    journal.add_argument(
        "--fresh", action="store_true", help="never reuse a result from the journal"
    )
    journal.add_argument(
        "--cache", action="store_true", help="reuse a result from the journal even without a seed"
    )
    add("-q", "--quiet", action="store_true", help="show nothing on success")
    add("--dry-run", action="store_true", help="show the exact requests, send nothing")
    add("--raw", action="store_true", help="use the body as is: no {{ }}, no ---")
    add("-h", "--help", action="store_true", help="show this help")
    return parser


def _add_options_of_many(parser: LineParser) -> None:
    """Add the options of cells with many requests."""
    add = parser.add_argument
    add(
        "-g",
        "--grid",
        action="append",
        metavar="NAME=VALUES",
        help="a request for every value: seed=1..8, time=dawn,noon or time=@variable; of a "
        "parameter, model, image, or a name in {{ }}; repeatable: every combination",
    )
    add(
        "--table",
        metavar="NAME",
        help="a request for every row of a variable: a DataFrame or a list of mappings",
    )
    add(
        "-j",
        "--concurrency",
        type=whole_number,
        metavar="N",
        help="how many tasks of this cell run at once (default: 4)",
    )
    add(
        "--idempotency-key",
        metavar="KEY",
        help="submit at most once under this key, however often the cell runs",
    )
    add("-y", "--yes", action="store_true", help="do not ask before a large order")


def parse_cell_line(line: str, defaults: CellOptions) -> CellOptions:
    """Parse the line of a ``%%mountsea`` cell.

    Args:
        line: The text after ``%%mountsea``.
        defaults: The values of the options that the line does not set.

    Raises:
        InvalidRequest: If an option is not valid, or with all invalid values, one per line.

    Example:
        >>> defaults = CellOptions(model="nano-banana", preview=768, timeout=600.0, runner="thread")
        >>> parse_cell_line("-n 2 -o dog", defaults).parameters
        {'num_images': '2'}
    """
    values = vars(cell_parser().parse_line(line))
    given = frozenset(values)
    values["parameters"], problems = _take_parameters(values)
    problems += _wrong_values(values)
    if problems:
        raise InvalidRequest("\n".join(dict.fromkeys(problems)))
    values["images"] = tuple(map(ImageWord, values.get("images", ())))
    values["grid"] = tuple(values.get("grid", ()))
    return replace(defaults, **values, given=given)


def _take_parameters(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Remove the model's parameters from the line's values; return them, and what is wrong."""
    names = [*VALUE_OPTIONS, *FLAG_OPTIONS]
    parameters = {name: values.pop(name) for name in names if name in values}
    problems = []
    for text in values.pop("param", ()):
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            problems.append(f"--param must be NAME=VALUE (got '{sanitize(text, limit=60)}').")
        elif name in parameters:
            problems.append(f"{spell_option(name)} is given twice.")
        else:
            parameters[name] = value
    return parameters, problems


def _wrong_values(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the values of the other options.

    argparse's ``type`` would stop at the first problem, and write ``-o/--out`` for ``--out``.
    """
    out = values.get("out", "_")
    if not out.isidentifier() or keyword.iskeyword(out):
        yield f"--out: '{sanitize(out, limit=60)}' is not a valid variable name."
    preview = values.get("preview", 0)
    if preview < 0:
        yield f"--preview must be at least 0 (got {preview})."
    timeout = values.get("timeout", 1.0)
    if not math.isfinite(timeout):
        yield f"--timeout must be a finite number (got {timeout:g})."
    elif timeout <= 0:
        yield f"--timeout must be greater than 0 (got {timeout:g})."
    concurrency = values.get("concurrency", 1)
    if concurrency < 1:
        yield f"--concurrency must be at least 1 (got {concurrency})."
    problem = key_problem(values.get("idempotency_key", "none"), "--idempotency-key")
    if problem is not None:
        yield problem


def spell_option(name: str) -> str:
    """Return how a parameter is written on the magic's line.

    Example:
        >>> spell_option("num_images"), spell_option("resolution"), spell_option("image_urls")
        ('--num-images', '-p resolution', '--image')
    """
    if name in ("image_urls", "image_url"):
        return "--image"
    has_own_option = name in VALUE_OPTIONS or name in FLAG_OPTIONS
    return f"--{name.replace('_', '-')}" if has_own_option else f"-p {name}"
