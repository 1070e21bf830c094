"""The options of the cell magic and of the commands: from a line to a record."""

from __future__ import annotations

import argparse
import keyword
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidRequest
from ..runtime.text import sanitize
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


@dataclass(frozen=True, slots=True)
class CellOptions:
    """The parsed line of a ``%%mountsea`` cell.

    Attributes:
        model: The model's id, or None for the default.
        parameters: The model's parameters that are set, as typed.
        images: The input images, as typed.
        shrink: Scale down input images that are too large.
        out: The name to bind the result to, or None.
        save: The folder to copy the originals to, or None.
        preview: The longest side of the previews in pixels, or None for the default.
        timeout: How long to wait in seconds, or None for the default.
        background: Return at once.
        fresh: Never reuse a result from the journal.
        cache: Reuse a result from the journal even without a seed.
        quiet: Show nothing on success.
        dry_run: Show the request, send nothing.
        raw: Use the body as is, as one prompt.
        help: Show the help.
    """

    model: str | None
    parameters: Mapping[str, Any]
    images: tuple[str, ...]
    shrink: bool
    out: str | None
    save: str | None
    preview: int | None
    timeout: float | None
    background: bool
    fresh: bool
    cache: bool
    quiet: bool
    dry_run: bool
    raw: bool
    help: bool


def cell_parser() -> LineParser:
    """Return the parser of the cell magic's line."""
    parser = LineParser(
        prog="%%mountsea",
        description="Generate images with the Mountsea Hub; the cell's body is the prompt. "
        "{{ expr }} in it is filled in from your variables; a line of only --- separates "
        "several prompts.",
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
        default=[],
        metavar="NAME=VALUE",
        help="any other parameter of the model; repeatable",
    )
    add(
        "-i",
        "--image",
        action="append",
        default=[],
        metavar="SRC",
        help="an input image for edit models: a path, a URL or a variable; repeatable",
    )
    add("--shrink", action="store_true", help="scale down input images over 10 MB")
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
    add("--dry-run", action="store_true", help="show the exact request, send nothing")
    add("--raw", action="store_true", help="use the body as is: no {{ }}, no ---")
    add("-h", "--help", action="store_true", help="show this help")
    return parser


def parse_cell_line(line: str) -> CellOptions:
    """Parse the line of a ``%%mountsea`` cell.

    Raises:
        InvalidRequest: If an option or its value is not valid.

    Example:
        >>> parse_cell_line("-n 2 -o dog").parameters
        {'num_images': '2'}
    """
    parsed = cell_parser().parse_line(line)
    parameters: dict[str, Any] = {
        name: getattr(parsed, name) for name in VALUE_OPTIONS if getattr(parsed, name) is not None
    }
    parameters |= {name: True for name in FLAG_OPTIONS if getattr(parsed, name)}
    for text in parsed.param:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise InvalidRequest(f"--param must be NAME=VALUE (got '{sanitize(text, limit=60)}').")
        if name in parameters:
            raise InvalidRequest(f"{spell_option(name)} is given twice.")
        parameters[name] = value
    if parsed.out is not None and (not parsed.out.isidentifier() or keyword.iskeyword(parsed.out)):
        raise InvalidRequest(
            f"--out: '{sanitize(parsed.out, limit=60)}' is not a valid variable name."
        )
    if parsed.preview is not None and parsed.preview < 0:
        raise InvalidRequest(f"--preview must be at least 0 (got {parsed.preview}).")
    if parsed.timeout is not None and not math.isfinite(parsed.timeout):
        raise InvalidRequest(f"--timeout must be a finite number (got {parsed.timeout:g}).")
    if parsed.timeout is not None and parsed.timeout <= 0:
        raise InvalidRequest(f"--timeout must be greater than 0 (got {parsed.timeout:g}).")
    return CellOptions(
        model=parsed.model,
        parameters=parameters,
        images=tuple(parsed.image),
        shrink=parsed.shrink,
        out=parsed.out,
        save=parsed.save,
        preview=parsed.preview,
        timeout=parsed.timeout,
        background=parsed.background,
        fresh=parsed.fresh,
        cache=parsed.cache,
        quiet=parsed.quiet,
        dry_run=parsed.dry_run,
        raw=parsed.raw,
        help=parsed.help,
    )


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


def command_parsers() -> Mapping[str, LineParser]:
    """Return the parser of each ``%mountsea`` command, by its name."""

    def parser(name: str, description: str) -> LineParser:
        return LineParser(
            prog=f"%mountsea {name}", description=description, add_help=False, allow_abbrev=False
        )

    models = parser("models", "list the models, or show one model's parameters")
    models.add_argument("model", nargs="?", metavar="ID", help="the model")
    models.add_argument("--refresh", action="store_true", help="update the list from the Hub")
    demo = parser("demo", "use the embedded demo Hub: no key, no network, no credits")
    demo.add_argument("state", nargs="?", choices=["on", "off"], help="default: on")
    demo.add_argument("--if-no-key", action="store_true", help="only while no key is set")
    demo.add_argument("--fail", metavar="MODE", help="simulate a network fault; none ends it")
    login = parser("login", "ask for an API key, and store it in this kernel's memory")
    login.add_argument(
        "--save", action="store_true", help="also store it in the system keyring or a 0600 file"
    )
    history = parser("history", "list the latest submissions of all kernels")
    history.add_argument(
        "-n", dest="count", type=whole_number, default=20, metavar="N", help="how many to list"
    )
    history.add_argument(
        "text", nargs="*", metavar="TEXT", help="part of a prompt, task id, model, status or Hub"
    )
    show = parser("show", "show the details of a task, and its images")
    show.add_argument("task_id", metavar="TASK_ID")
    resume = parser("resume", "wait for tasks submitted earlier, and download their images")
    resume.add_argument("task_ids", nargs="*", metavar="TASK_ID", help="default: all open tasks")
    return {
        "models": models,
        "demo": demo,
        "login": login,
        "logout": parser("logout", "remove the API key of login, wherever it is stored"),
        "credits": parser("credits", "show how many credits are left"),
        "history": history,
        "show": show,
        "resume": resume,
    }
