"""Values of variables, tables and arrays become Python values; missing ones are recognized."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.values import (
    find_variable,
    is_data_frame,
    is_missing,
    python_value,
)


def test_scalars_of_numpy_become_python_values() -> None:
    """Numbers, booleans and text; a time in nanoseconds would become a plain number."""
    numpy = pytest.importorskip("numpy")
    scalars = [numpy.int8(7), numpy.float64(0.5), numpy.bool_(True), numpy.str_("a")]
    for value in [*scalars, numpy.array(7)]:
        assert type(python_value(value)) in (int, float, bool, str)
        assert python_value(value) == value
    time = numpy.datetime64("2026-01-02T03:04:05.000000006")
    assert python_value(time) is time
    assert str(python_value(numpy.datetime64("2026-01-02"))) == "2026-01-02"
    assert python_value(numpy.datetime64("NaT", "s")) is None


@pytest.mark.parametrize("value", [1, "a", None, [1], {"a": 1}, Fraction(1, 2), object, print])
def test_other_values_are_unchanged(value: object) -> None:
    """Also those that are no scalars."""
    assert python_value(value) is value


def test_arrays_are_unchanged() -> None:
    """An array of one value too: it may be an image."""
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros((1, 1))
    assert python_value(array) is array


@pytest.mark.parametrize("value", [None, float("nan"), Decimal("nan"), Decimal("snan")])
def test_none_and_nan_are_missing(value: object) -> None:
    """Of any type."""
    assert is_missing(value)


@pytest.mark.parametrize("value", [0, 0.0, False, "", "nan", [], Decimal(0), float("inf")])
def test_other_values_are_not_missing(value: object) -> None:
    """False, zero and text are values."""
    assert not is_missing(value)


def test_missing_values_of_pandas() -> None:
    """Neither NA nor NaT can be compared."""
    pandas = pytest.importorskip("pandas")
    assert is_missing(pandas.NA)
    assert is_missing(pandas.NaT)
    assert not is_missing(pandas.Timestamp("2026-01-01"))


def test_data_frames_are_recognized_without_importing_them() -> None:
    """Subclasses too, and nothing else of that name."""
    pandas = pytest.importorskip("pandas")

    class Mine(pandas.DataFrame):  # type: ignore[misc, name-defined]  # pandas has no types here
        """A subclass, such as geopandas has."""

    class DataFrame:
        """A class of the user's own."""

    assert is_data_frame(pandas.DataFrame())
    assert is_data_frame(Mine())
    assert not is_data_frame(pandas.Series([1]))
    assert not is_data_frame(DataFrame())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("row", ["--table: there is no variable 'row'. Did you mean rows? Or not."]),
        ("zzz", ["--table: there is no variable 'zzz'. Or not."]),
        ("\x1b[31m", ["'[31m'"]),
    ],
)
def test_an_unknown_variable_raises(name: str, words: list[str]) -> None:
    """With the most similar one."""
    variables: dict[str, Any] = {"rows": [], "_row": 1, "{row}": 1}
    with pytest.raises(InvalidRequest) as caught:
        find_variable(name, variables, "--table", cure="Or not.")
    for word in words:
        assert word in str(caught.value)
