"""The contact sheet of a batch: which request is in which place, and what is drawn there."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted, InvalidRequest
from ..hub.status import Status
from ..images.contact_sheet import MAX_TILE_PX, MIN_TILE_PX, ContactSheet, Tile
from ..images.sheet_layout import MAX_SHEET_PIXELS, wrapped_columns
from ..request.axes import Axis, Product
from ..runtime.text import listed, sanitize
from .batch_report import facts
from .handle import Generation

if TYPE_CHECKING:
    from PIL.Image import Image

    from .batch import Batch

DEFAULT_TILE_PX = 256
"""The side of a place, in pixels."""

_REQUEST = "request"
"""The name of an axis of the requests that no axis tells apart: prompts, or rows of a table."""

_MAX_LABEL = 300
"""The longest label that is laid out, in characters; the full text is in the alt text."""


@dataclass(frozen=True, slots=True)
class SheetPlan:
    """Where each request of a batch is drawn.

    Attributes:
        rows: How many rows there are.
        columns: How many columns there are.
        row_labels: The labels of the rows, or nothing.
        column_labels: The labels of the columns, or nothing.
        labels: The labels of the places, row by row, or nothing.
        places: The row and the column of each request, in the order of the batch.
    """

    rows: int
    columns: int
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    labels: tuple[str, ...]
    places: tuple[tuple[int, int], ...]

    def sheet(
        self, tile: int = DEFAULT_TILE_PX, *, max_pixels: int = MAX_SHEET_PIXELS
    ) -> ContactSheet:
        """Return the empty sheet.

        Args:
            tile: The side of a place, in pixels; smaller where the sheet would be too large.
            max_pixels: The largest sheet, in pixels.

        Raises:
            InvalidRequest: If there are more rows or columns than can be drawn.
        """
        return ContactSheet(
            self.rows,
            self.columns,
            row_labels=self.row_labels,
            column_labels=self.column_labels,
            labels=self.labels,
            tile=tile,
            max_pixels=max_pixels,
        )


@dataclass(frozen=True, slots=True)
class _Track:
    """An axis of the sheet: its labels, and each request's position on it."""

    name: str
    labels: tuple[str, ...]
    positions: tuple[int, ...]


def draw_sheet(
    batch: Batch,
    rows: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    tile: int = DEFAULT_TILE_PX,
) -> Image:
    """Draw the contact sheet of a batch.

    Args:
        batch: The batch.
        rows: The axis, or a list of axes, whose values make the rows.
        columns: The axis, or a list of axes, whose values make the columns.
        tile: The side of a place, in pixels.

    Returns:
        A new RGB image.

    Raises:
        InvalidRequest: If the batch is empty, an axis is unknown or used twice, or the tile's size
            is not valid.
    """
    if isinstance(tile, bool) or not isinstance(tile, int) or not 0 < tile <= MAX_TILE_PX:
        shown = sanitize(repr(tile), limit=60)
        raise InvalidRequest(
            f"tile must be a whole number from {MIN_TILE_PX} to {MAX_TILE_PX} (got {shown})."
        )
    plan = plan_sheet(batch, rows, columns)
    sheet = plan.sheet(max(tile, MIN_TILE_PX))
    fill(sheet, plan, batch)
    return sheet.render()


def fill(sheet: ContactSheet, plan: SheetPlan, batch: Sequence[Generation]) -> None:
    """Draw all places of a sheet.

    Args:
        sheet: The sheet of the plan.
        plan: Where each request is drawn.
        batch: The requests of the plan.
    """
    for place, generations in requests_by_place(plan, batch).items():
        sheet.put(*place, tile_of(generations))


def requests_by_place(
    plan: SheetPlan, batch: Sequence[Generation]
) -> dict[tuple[int, int], list[Generation]]:
    """Return the requests that are in each place: several if an axis is not on the sheet.

    Args:
        plan: Where each request is drawn.
        batch: The requests of the plan.
    """
    found: dict[tuple[int, int], list[Generation]] = {}
    for place, generation in zip(plan.places, batch, strict=False):
        found.setdefault(place, []).append(generation)
    return found


def tile_of(generations: Sequence[Generation]) -> Tile:
    """Return what is drawn for the requests of one place: their images, or why there are none.

    Args:
        generations: The requests of the place.

    Example:
        >>> tile_of([Generation(None, task_id="hub-1")]).note
        'waiting'
    """
    images = tuple(image.path for each in generations for image in each.images)
    return Tile(images) if images else note_of(generations)


def note_of(generations: Sequence[Generation]) -> Tile:
    """Return the note for the requests of one place: why there is no image.

    Args:
        generations: The requests of the place.
    """
    generation = generations[0]
    error = generation.error
    if generation.status == Status.SKIPPED:
        return Tile(note="skipped", failed=True)
    if isinstance(error, Interrupted):
        return Tile(note="interrupted" if generation.task_id else "not submitted")
    if error is not None:
        return Tile(note=str(error), failed=True)
    if generation.status == Status.COMPLETED:
        return Tile(note="completed")
    return Tile(note="waiting")


def plan_sheet(
    batch: Batch,
    rows: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
) -> SheetPlan:
    """Return where each request of a batch is drawn.

    By default the last axis makes the columns and the others the rows; a single axis, and a batch
    without axes, wraps after six. Axes that are named nowhere are added to the rows.

    Args:
        batch: The batch.
        rows: The axis, or a list of axes, whose values make the rows.
        columns: The axis, or a list of axes, whose values make the columns.

    Raises:
        InvalidRequest: If the batch is empty, or an axis is unknown or used twice.
    """
    if not len(batch):
        raise InvalidRequest("A contact sheet needs at least one request.")
    tracks = _tracks_of(batch)
    if rows is None and columns is None:
        if len(tracks) < 2:
            return _wrapped(batch, tracks)
        return _crossed([*tracks.values()][:-1], [*tracks.values()][-1:], len(batch))
    row_names, column_names = _names(rows), _names(columns)
    used = [*row_names, *column_names]
    if twice := {name for name in used if used.count(name) > 1}:
        raise InvalidRequest(f"The axis {listed(sorted(twice))} is used twice.")
    for name in used:
        if name not in tracks:
            tracks[name] = _track_of_facts(batch, name, [*tracks])
    others = [name for name in tracks if name not in used]
    if rows is None:
        row_names = others
    elif columns is None:
        column_names = others
    else:
        row_names = [*others, *row_names]
    return _crossed([tracks[n] for n in row_names], [tracks[n] for n in column_names], len(batch))


def _names(names: str | Sequence[str] | None) -> list[str]:
    """Return the names of axes as a list."""
    if names is None or isinstance(names, str):
        return [names] if names is not None else []
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise InvalidRequest(f"An axis is named by text (got {sanitize(wrong[0], limit=60)}).")
    return list(names)


def _tracks_of(batch: Batch) -> dict[str, _Track]:
    """Return the axes of the grid, with the values that occur in this part of it."""
    if not batch.axes:
        return {}
    axes, whole = list(batch.axes), batch.whole
    combinations = math.prod(len(axis.values) for axis in axes)
    if combinations and len(whole) > combinations and len(whole) % combinations == 0:
        # what no axis tells apart, such as the rows of a table
        on_axes = {axis.name for axis in axes}
        labels = [
            _own_label(each, number, without=on_axes)
            for number, each in enumerate(whole[::combinations], start=1)
        ]
        axes.insert(0, Axis(_REQUEST, labels))
        combinations = len(whole)
    if len(whole) > combinations:
        return {}
    cells = Product(*(axis.values for axis in axes))
    index_of = {id(each): index for index, each in enumerate(whole)}
    positions = [cells.positions(index_of[id(each)]) for each in batch]
    return {
        axis.name: _track(axis.name, axis.values, [each[number] for each in positions])
        for number, axis in enumerate(axes)
    }


def _track(name: str, values: Sequence[Any], positions: Sequence[int]) -> _Track:
    """Return an axis of the sheet, without the values that do not occur."""
    occurring = sorted(set(positions))
    rank = {position: number for number, position in enumerate(occurring)}
    labels = tuple(_label(name, values[position], position) for position in occurring)
    return _Track(name, labels, tuple(rank[position] for position in positions))


def _track_of_facts(batch: Batch, name: str, known: Sequence[str]) -> _Track:
    """Return an axis that is a parameter, a variable or a column, in the order of its values."""
    found = [facts(each) for each in batch]
    if not any(name in each for each in found):
        names = sorted({*known, *(name for each in found for name in each)})
        raise InvalidRequest(
            f"Unknown axis {sanitize(name, limit=60)}; there are: {listed(names)}."
        )
    values = [each.get(name) for each in found]
    ranks: dict[str, int] = {}
    for value in values:
        ranks.setdefault(str(value), len(ranks))
    first = {ranks[str(value)]: value for value in reversed(values)}
    positions = tuple(ranks[str(value)] for value in values)
    return _track(name, [first[rank] for rank in range(len(ranks))], positions)


def _label(name: str, value: Any, position: int) -> str:
    """Return the label of a value: prompts and rows are text, and images are counted."""
    if name in ("prompt", "row", _REQUEST) and isinstance(value, str):
        return sanitize(value, limit=_MAX_LABEL)
    if isinstance(value, str | Number | bool | None | list | tuple | Mapping):
        return f"{name}={sanitize(value, limit=_MAX_LABEL)}"
    return f"{name} {position + 1}"


def _crossed(rows: Sequence[_Track], columns: Sequence[_Track], count: int) -> SheetPlan:
    """Return a plan with combinations of axes as rows and as columns."""
    row_labels, row_of = _combined(rows, count)
    column_labels, column_of = _combined(columns, count)
    height, width = max(1, len(row_labels)), max(1, len(column_labels))
    places = tuple(zip(row_of, column_of, strict=True))
    return SheetPlan(height, width, row_labels, column_labels, (), places)


def _combined(tracks: Sequence[_Track], count: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the labels of the combinations that occur, and each request's position among them."""
    if not tracks:
        return (), (0,) * count
    combinations = [*zip(*(track.positions for track in tracks), strict=True)]
    rank = {each: number for number, each in enumerate(sorted(set(combinations)))}
    labels = tuple(
        ", ".join(track.labels[at] for track, at in zip(tracks, each, strict=True)) for each in rank
    )
    return labels, tuple(rank[each] for each in combinations)


def _wrapped(batch: Batch, tracks: Mapping[str, _Track]) -> SheetPlan:
    """Return a plan of one axis, or of none: the requests in their order, each with its label."""
    count = len(batch)
    columns = wrapped_columns(count)
    if tracks:
        (track,) = tracks.values()
        labels = [track.labels[position] for position in track.positions]
    else:
        labels = [_own_label(each, number) for number, each in enumerate(batch, start=1)]
    places = tuple(divmod(number, columns) for number in range(count))
    return SheetPlan(math.ceil(count / columns), columns, (), (), tuple(labels), places)


def _own_label(generation: Generation, number: int, without: Collection[str] = ()) -> str:
    """Return what tells a request apart: its variables that are on no axis, or its prompt."""
    variables = [str(value) for name, value in generation.variables.items() if name not in without]
    text = ", ".join(variables) or generation.prompt or generation.task_id or str(number)
    return sanitize(text, limit=_MAX_LABEL)
