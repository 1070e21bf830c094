"""Tables of requests: a DataFrame or a list of mappings, read into rows of Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..errors import InvalidRequest
from ..runtime.text import listed, sanitize
from .request import MAX_PROBLEMS
from .values import is_data_frame, is_missing, python_value

MAX_ROWS = 10_000
"""The limit of rows, except of a DataFrame: an iterator may never end."""

_LARGEST_EXACT = 2**53
"""Above it a float does not tell which whole number it was."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns, and its rows without their empty cells.

    Attributes:
        columns: The names of all columns, in order.
        rows: Each row's values by column.
    """

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]


def read_table(table: Any, *, label: str = "--table") -> Table:
    """Read a DataFrame of pandas or polars, or an iterable of mappings.

    An empty cell (None, NaN, NaT, NA, or an empty text) is left out of its row. Scalars of numpy
    become Python values, and whole numbers that pandas made floats, because the column has empty
    cells, become whole numbers again.

    Args:
        table: The table.
        label: How the user referred to it, for error messages.

    Raises:
        InvalidRequest: If it is not a table, has no rows or columns, or a column without a
            unique name; with all problems, one per line.

    Example:
        >>> read_table([{"animal": "cat", "seed": 1.0}, {"animal": "dog", "seed": float("nan")}])
        Table(columns=('animal', 'seed'), rows=[{'animal': 'cat', 'seed': 1}, {'animal': 'dog'}])
    """
    if is_data_frame(table):
        names = list(table.columns)
        _refuse(_problems_of_names(names, label))
        columns = {name: table[name].to_list() for name in names}
        count = len(table)
    else:
        rows = _mappings(table, label)
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: [row.get(name) for row in rows] for name in names}
        count = len(rows)
    if not count:
        raise InvalidRequest(f"{label} has no rows.")
    if not names:
        raise InvalidRequest(f"{label} has no columns.")
    cells = {name: whole_numbers([*map(python_value, columns[name])]) for name in names}
    found = [
        {name: cells[name][row] for name in names if not _is_empty(cells[name][row])}
        for row in range(count)
    ]
    return Table(tuple(names), found)


def whole_numbers(values: Sequence[Any]) -> Sequence[Any]:
    """Undo pandas' conversion of a column of whole numbers with empty cells to floats.

    Args:
        values: The values of a column.

    Returns:
        The values, with integers where all are integral floats and at least one is NaN.

    Example:
        >>> whole_numbers([1.0, float("nan")]), whole_numbers([1.0, 2.0])
        ([1, nan], [1.0, 2.0])
    """
    if not any(isinstance(value, float) and value != value for value in values):
        return values
    present = [value for value in values if not is_missing(value)]
    if all(
        isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT
        for value in present
    ):
        return [value if is_missing(value) else int(value) for value in values]
    return values


def _mappings(table: Any, label: str) -> list[Mapping[str, Any]]:
    """Return the rows of an iterable of mappings; raises for anything else."""
    kind = sanitize(type(table).__name__, limit=60)
    expected = f"{label} must be a DataFrame or a list of mappings"
    if callable(getattr(table, "collect", None)) and kind == "LazyFrame":
        raise InvalidRequest(f"{expected} (got a LazyFrame); call its .collect() first.")
    if isinstance(table, Mapping):
        raise InvalidRequest(f"{expected} (got {kind}); a single row needs a list around it.")
    if isinstance(table, str | bytes | bytearray) or not isinstance(table, Iterable):
        raise InvalidRequest(f"{expected} (got {kind}).")
    try:
        rows = list(islice(table, MAX_ROWS + 1))
    except Exception as error:  # the user's generator can raise anything
        raise InvalidRequest(
            f"{label} can't be read: {type(error).__name__}: {sanitize(error)}."
        ) from error
    if len(rows) > MAX_ROWS:
        raise InvalidRequest(f"{label} has more than {MAX_ROWS:,} rows.")
    problems = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            given = sanitize(type(row).__name__, limit=60)
            problems.append(f"{label}, row {number}: expected a mapping (got {given}).")
        else:
            problems += _problems_of_names(list(row), f"{label}, row {number}")
    _refuse(problems)
    return rows


def _problems_of_names(names: Sequence[Any], label: str) -> list[str]:
    """Return what is wrong with the names of columns."""
    problems = [
        f"{label}: the names of columns must be text (got {sanitize(repr(name), limit=60)})."
        for name in names
        if not isinstance(name, str)
    ]
    texts = [name for name in names if isinstance(name, str)]
    repeated = [name for name in dict.fromkeys(texts) if texts.count(name) > 1]
    problems += [f"{label}: there are several columns named {listed([name])}." for name in repeated]
    return problems


def _refuse(problems: Sequence[str]) -> None:
    """Raise the first problems, if there are any."""
    if problems:
        rest = len(problems) - MAX_PROBLEMS
        more = [f"… and {rest:,} more."] if rest > 0 else []
        raise InvalidRequest("\n".join([*problems[:MAX_PROBLEMS], *more]))


def _is_empty(value: Any) -> bool:
    return is_missing(value) or (isinstance(value, str) and not value)
