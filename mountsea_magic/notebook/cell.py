"""One ``%%mountsea`` cell: build and validate all its requests, then run them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..generation.batch import Batch
from ..generation.handle import Generation
from ..hub.responses import SUBMIT_PATH
from ..images.user_paths import output_folder
from ..request.axes import Axis, parse_axes
from ..request.catalog import Model
from ..request.idempotency import numbered_keys
from ..request.prepare import InputImages
from ..request.request import ImageRequest
from ..request.sweep import Item, Sweep, merge_problems
from ..request.tables import Table, read_table
from ..request.templates import names_used, split_prompts
from ..request.values import find_variable
from ..runtime.printing import echo
from ..runtime.text import counted, json_text
from ..session import current_session
from ..settings import DEFAULT_BASE_URL, Settings
from .caller import CallerNames, bind
from .confirm import check_order
from .options import CellOptions, spell_option
from .runner import run

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

LAST_RESULT = "_mountsea"
"""The variable that always has the last result."""


def run_cell(shell: InteractiveShell, options: CellOptions, cell: str) -> None:
    """Submit the requests of a cell, wait for them, and show the images.

    Args:
        shell: The user's shell, for names and output.
        options: The options of the cell's line.
        cell: The cell's body.

    Raises:
        MountseaError: If a request is not valid or fails; images completed until then are shown.
        Interrupted: If the cell was interrupted.
    """
    settings = current_session().settings()
    names = CallerNames.of_caller(shell.user_ns)
    settings.refuse_key_in(options.idempotency_key or "")
    sweep = _sweep(names, options, cell, settings)
    built = _build_all(sweep, names, options, settings)
    if options.dry_run:
        echo(describe([request for _, request in built], settings))
        return
    settings.require_key()
    current_session().clients.prepare(settings)
    if options.save is not None:
        options = replace(options, save=str(output_folder(options.save, label="--save")))
    keys = numbered_keys(options.idempotency_key, len(built))
    generations = [
        Generation(request, is_demo=settings.is_demo, variables=item.variables, idempotency_key=key)
        for (item, request), key in zip(built, keys, strict=True)
    ]
    for generation in generations:
        generation.preview_px = options.preview
    check_order(shell, generations, settings, options)
    batch = Batch(generations, axes=_axes_of(sweep), name=options.out or LAST_RESULT)
    if options.out is not None:
        bind(shell.user_ns, options.out, batch if len(batch) > 1 else generations[0])
    run(shell, batch, settings, options)


def describe(requests: Sequence[ImageRequest], settings: Settings) -> str:
    """Return requests as they would be sent, and the first as a curl command without the key.

    Input images are shortened: nobody reads ten megabytes of base64.

    Args:
        requests: The requests; of several, each has a line.
        settings: The settings; for the demo Hub the command contains the real Hub's URL.
    """
    base_url = DEFAULT_BASE_URL if settings.is_demo else settings.base_url
    payloads = [request.body() | {"input": request.for_the_screen()} for request in requests]
    indent = 2 if len(requests) == 1 else None
    images = sum(request.image_count for request in requests)
    total = counted(images, "image")
    if len(requests) > 1:
        total = f"{counted(len(requests), 'request')}, {total}"
    return "\n".join(
        [
            f"POST {base_url}{SUBMIT_PATH}",
            *(json_text(payload, indent=indent) for payload in payloads),
            "",
            f"curl --request POST --url {shlex.quote(base_url + SUBMIT_PATH)} \\",
            '  --header "Authorization: Bearer $MOUNTSEA_API_KEY" \\',
            "  --header 'Content-Type: application/json' \\",
            f"  --data-raw {shlex.quote(json_text(payloads[0]))}",
            "",
            f"{total}; nothing was sent.",
        ]
    )


def _sweep(names: CallerNames, options: CellOptions, cell: str, settings: Settings) -> Sweep:
    """Combine the prompts, the table and the axes of a cell."""
    prompts = [cell] if options.raw else split_prompts(cell)
    axes, table = _axes_and_table(names, options)
    given = {*options.parameters, *(["image"] if options.images else [])}
    if "model" in options.given:
        given.add("model")
    return Sweep(
        prompts,
        axes=axes,
        table=table,
        model=options.model,
        find_model=_model_finder(prompts, axes, options, settings),
        names=names,
        options=given,
        raw=options.raw,
    )


def _axes_and_table(
    names: CallerNames, options: CellOptions
) -> tuple[tuple[Axis, ...], Table | None]:
    """Read --grid and --table; raises the problems of both at once."""
    axes, table = tuple[Axis, ...](), None
    problems = list[InvalidRequest]()
    try:
        axes = parse_axes(options.grid, names)
    except InvalidRequest as error:
        problems.append(error)
    try:
        if options.table is not None:
            rows = find_variable(options.table, names, "--table")
            table = read_table(rows, label=f"--table {options.table}")
    except InvalidRequest as error:
        problems.append(error)
    if problems:
        raise InvalidRequest("\n".join(map(str, problems))) from problems[0].__cause__
    return axes, table


def _axes_of(sweep: Sweep) -> tuple[Axis, ...]:
    """Return all axes of a cell with --grid: the prompts, the rows of the table, and the grid's."""
    if not sweep.axes:
        return ()
    axes = list(sweep.axes)
    if sweep.table is not None:
        texts = [
            ", ".join(str(value) for value in row.values() if isinstance(value, str | int | float))
            for row in sweep.table.rows
        ]
        axes.insert(0, Axis("row", texts))
    if len(sweep.prompts) > 1:
        axes.insert(0, Axis("prompt", sweep.prompts))
    return tuple(axes)


def _model_finder(
    prompts: Sequence[str], axes: Sequence[Axis], options: CellOptions, settings: Settings
) -> Callable[[str], Model]:
    """Return what finds a model; the Hub is asked for one that lacks a name of the cell's."""
    used = frozenset[str]() if options.raw else frozenset[str]().union(*map(_names, prompts))
    parameters: Mapping[str, Any] = {
        **{axis.name: None for axis in axes if axis.name not in ("model", "image", *used)},
        **options.parameters,
    }

    def find_model(model: str) -> Model:
        return current_session().catalog_for(settings, model, parameters).model(model)

    return find_model


def _names(prompt: str) -> frozenset[str]:
    """Return the names that a prompt uses; none if it has a syntax error, which `Sweep` reports."""
    try:
        return names_used(prompt)
    except InvalidRequest:
        return frozenset()


def _build_all(
    sweep: Sweep, names: CallerNames, options: CellOptions, settings: Settings
) -> list[tuple[Item, ImageRequest]]:
    """Validate every request before submitting any, so that a typo leaves no half-paid cell."""
    built, wrong = list[tuple[Item, ImageRequest]](), list[tuple[str, InvalidRequest]]()
    images = InputImages(names, shrink=options.shrink)
    for index in range(len(sweep)):
        try:
            item = sweep[index]
            request = current_session().build(
                settings,
                replace(item, images=item.images or options.images),
                model=options.model,
                parameters=options.parameters,
                images=images,
                spell=spell_option,
            )
        except InvalidRequest as error:
            wrong.append((sweep.label(index), error))
        else:
            built.append((item, request))
    if wrong:
        raise merge_problems(wrong, len(sweep))
    return built
