"""The axes of a sweep: ``NAME=VALUES`` as typed, and Python values."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Number
from typing import Any, SupportsIndex, overload

from ..errors import InvalidRequest
from ..runtime.text import sanitize
from .values import find_variable, is_data_frame, is_missing, python_value

MAX_AXIS_VALUES = 10_000
"""The limit of values of a range and of an iterator, which may never end."""

_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?=,|\Z)')
_RANGE = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)")
_LIKE_A_RANGE = re.compile(r"-?[0-9][0-9.-]*\.\.[0-9.-]*[0-9]")
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,29}")


class ImageWord(str):
    """An input image as typed on the magic line: a path, a URL or the name of a variable.

    Text from a variable or a table is plain `str`: it can be a path or a URL, but no name.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a sweep.

    Attributes:
        name: A parameter of the model, ``model``, ``image``, or a name that the prompt uses.
        values: Its values, in order.
    """

    name: str
    values: Sequence[Any]


class Product(Sequence[tuple[Any, ...]]):
    """All combinations in the order of `itertools.product`, each made when it is asked for.

    Args:
        factors: The sequences to combine; they are kept, not copied.

    Raises:
        InvalidRequest: If there are more combinations than Python can count in `len`.

    Example:
        >>> product = Product("ab", range(1_000_000))
        >>> len(product), product[1_000_001]
        (2000000, ('b', 1))
    """

    def __init__(self, *factors: Sequence[Any]) -> None:
        self._factors = factors
        self._size = math.prod(len(factor) for factor in factors)
        if self._size > sys.maxsize:
            raise InvalidRequest("The axes have too many combinations.")

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: SupportsIndex) -> tuple[Any, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[Any, ...]]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(self._size)[index]]
        return tuple(
            factor[position]
            for factor, position in zip(self._factors, self.positions(index), strict=True)
        )

    def positions(self, index: SupportsIndex) -> tuple[int, ...]:
        """Return the position in each factor of the combination with this index.

        Args:
            index: The index of a combination.

        Raises:
            IndexError: If there is no such combination.

        Example:
            >>> Product("ab", "xyz").positions(4)
            (1, 1)
        """
        rest = range(self._size)[index]
        positions = []
        for factor in reversed(self._factors):
            rest, position = divmod(rest, len(factor))
            positions.append(position)
        return tuple(reversed(positions))


def parse_axes(texts: Sequence[str], variables: Mapping[str, Any]) -> tuple[Axis, ...]:
    """Parse the values of all ``--grid`` options.

    Args:
        texts: Each ``NAME=VALUES``, as for `parse_axis`.
        variables: The user's variables, for ``@name``.

    Raises:
        InvalidRequest: With all problems, one per line.

    Example:
        >>> [axis.name for axis in parse_axes(["seed=1..3", "time=dawn,noon"], {})]
        ['seed', 'time']
    """
    axes, problems = [], []
    cause: BaseException | None = None
    for text in texts:
        try:
            axes.append(parse_axis(text, variables))
        except InvalidRequest as error:
            problems.append(str(error))
            cause = cause or error.__cause__
    if problems:
        raise InvalidRequest("\n".join(dict.fromkeys(problems))) from cause
    return tuple(axes)


def parse_axis(text: str, variables: Mapping[str, Any]) -> Axis:
    """Parse ``NAME=VALUES``: values separated by commas, ranges, and iterable variables.

    A value may be quoted as in CSV; otherwise the spaces around it are removed. A whole number is
    an `int`, as in a range; a JSON object or list is one value; everything else is text.

    Args:
        text: The text, as typed.
        variables: The user's variables, for ``@name``.

    Raises:
        InvalidRequest: If there is no name or value, a quote is not closed, a range is too long,
            or a variable is unknown or can't be iterated over.

    Example:
        >>> parse_axis('time="dawn, early",noon', {})
        Axis(name='time', values=('dawn, early', 'noon'))
        >>> parse_axis("seed=1..3,7,@more", {"more": range(20, 22)}).values
        (1, 2, 3, 7, 20, 21)
    """
    name, equals, rest = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name:
        raise InvalidRequest(f"--grid must be NAME=VALUES (got '{sanitize(text, limit=60)}').")
    label = f"--grid {sanitize(name, limit=60)}"
    if not rest.strip():
        raise InvalidRequest(
            f"{label}: it has no values; separate them by commas, such as dawn,noon."
        )
    values: list[Any] = []
    for value, is_quoted in _fields(rest, label):
        if is_quoted:
            values.append(ImageWord(value) if name == "image" else value)
        else:
            values += _read(value, name, label, variables)
    return Axis(name, tuple(values))


def axis_values(value: Any, label: str, *, cure: str = "") -> Sequence[Any]:
    """Return the values of a list, range, Series, array, generator or other iterable.

    A range is returned as it is, however long; others are copied, with scalars of numpy and
    other libraries as Python values.

    Args:
        value: The iterable.
        label: How the user referred to it, for error messages.
        cure: What to do about a value that is not iterable, as a clause; empty for none.

    Raises:
        InvalidRequest: If it is empty, not an iterable of values, raises, or holds NaN.

    Example:
        >>> axis_values((n * n for n in range(4)), "size")
        (0, 1, 4, 9)
    """
    _refuse_no_iterable(value, label, cure)
    if isinstance(value, range):
        values: Sequence[Any] = value
        if value and value.index(value[-1]) >= sys.maxsize:
            raise InvalidRequest(f"{label} has too many values.")
    else:
        values = tuple(python_value(item) for item in _items(value, label))
        for number, item in enumerate(values, start=1):
            if item is not None and is_missing(item):
                raise InvalidRequest(f"{label}: value {number} is missing ({sanitize(item)}).")
    if not values:
        raise InvalidRequest(f"{label} has no values: it is empty, or was read before.")
    return values


def _refuse_no_iterable(value: Any, label: str, cure: str) -> None:
    """Refuse what is one value, and what would be iterated over in an unexpected way."""
    kind = sanitize(type(value).__name__, limit=60)
    cure = f"; {cure}" if cure else ""
    if is_data_frame(value):
        raise InvalidRequest(f"{label} is a table{cure}; use one of its columns, or --table.")
    if isinstance(value, Mapping | Number | str | bytes | bytearray) or not (
        isinstance(value, Iterable) or hasattr(value, "__getitem__")
    ):
        raise InvalidRequest(
            f"{label} must be a list or another iterable of values (got {kind}){cure}."
        )
    dimensions = getattr(value, "ndim", 1)
    if dimensions in (0, 2, 3):
        raise InvalidRequest(
            f"{label} must be a list of values (got an array of {dimensions} dimensions); "
            "put a single image in a list."
        )


def _items(value: Any, label: str) -> Iterator[Any]:
    """Iterate over a value, of an iterator up to the limit; its error becomes one of ours."""
    try:
        iterator = iter(value)
        if hasattr(value, "__len__"):
            yield from iterator
            return
        yield from islice(iterator, MAX_AXIS_VALUES)
        if next(iterator, iterator) is not iterator:
            raise InvalidRequest(
                f"{label} has more than {MAX_AXIS_VALUES:,} values; pass a list of fewer."
            )
    except InvalidRequest:
        raise
    except Exception as error:  # the user's generator can raise anything
        raise InvalidRequest(
            f"{label} can't be read: {type(error).__name__}: {sanitize(error)}."
        ) from error


def _fields(text: str, label: str) -> Iterator[tuple[str, bool]]:
    """Split values at commas; yields each with whether it was quoted."""
    position = 0
    while position <= len(text):
        quoted = _QUOTED.match(text, position)
        if quoted is not None:
            yield quoted[1].replace('""', '"'), True
            position = quoted.end() + 1
            continue
        end = _json_end(text, position)
        if end is None:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
        field = text[position:end].strip()
        if field.startswith('"'):
            raise InvalidRequest(
                f"{label}: the quotes of {sanitize(field, limit=60)} must enclose a whole value, "
                'such as "dawn, early"; a quote within it is written twice.'
            )
        if not field:
            raise InvalidRequest(
                f'{label}: there is no value before or after a comma; write "" for an empty text.'
            )
        yield field, False
        position = end + 1


def _json_end(text: str, start: int) -> int | None:
    """Return the end of a JSON object or list that is a whole value, or None."""
    start += len(text[start:]) - len(text[start:].lstrip())
    if text[start : start + 1] not in ("{", "["):
        return None
    try:
        length = json.JSONDecoder().raw_decode(text[start:])[1]
    except (ValueError, RecursionError):
        return None
    end = start + length
    end += len(text[end:]) - len(text[end:].lstrip())
    return end if text[end : end + 1] in ("", ",") else None


def _read(value: str, name: str, label: str, variables: Mapping[str, Any]) -> Sequence[Any]:
    """Return the values that one unquoted value stands for."""
    if value.startswith("@"):
        return _values_of_variable(value[1:], label, variables)
    if name == "image":
        return [ImageWord(value)]
    ends = _RANGE.fullmatch(value)
    if ends is not None:
        return _range(ends[1], ends[2], label)
    if _LIKE_A_RANGE.fullmatch(value):
        raise InvalidRequest(
            f"{label}: '{sanitize(value, limit=60)}' is not a range of whole numbers such as 1..8; "
            "put text in quotes."
        )
    if _WHOLE_NUMBER.fullmatch(value):
        return [int(value)]
    if value[0] in "{[":
        try:
            return [json.loads(value)]
        except (ValueError, RecursionError):
            return [value]
    return [value]


def _range(first: str, last: str, label: str) -> Sequence[int]:
    """Return a range of whole numbers with both ends; it counts down if the first is greater."""
    if max(len(first), len(last)) <= 30:
        start, end = int(first), int(last)
        if abs(end - start) < MAX_AXIS_VALUES:
            step = 1 if end >= start else -1
            return range(start, end + step, step)
    raise InvalidRequest(
        f"{label}: the range {sanitize(first, limit=40)}..{sanitize(last, limit=40)} has more than "
        f"{MAX_AXIS_VALUES:,} values."
    )


def _values_of_variable(name: str, label: str, variables: Mapping[str, Any]) -> Sequence[Any]:
    """Return the values of the variable that ``@name`` refers to."""
    cure = "Text that starts with @ needs quotes."
    value = find_variable(name, variables, label, cure=cure)
    label = f"{label}: @{sanitize(name, limit=60)}"
    values = axis_values(value, label)
    if len(values) > MAX_AXIS_VALUES:
        raise InvalidRequest(
            f"{label} has {len(values):,} values; at most {MAX_AXIS_VALUES:,} are possible here."
        )
    return values
