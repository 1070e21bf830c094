"""Tables: DataFrames of pandas and polars, and lists of mappings, become rows of values."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.tables import MAX_ROWS, read_table

NAN = float("nan")


def refused(table: Any) -> str:
    """Return the message that refuses a table."""
    with pytest.raises(InvalidRequest) as caught:
        read_table(table, label="--table rows")
    return str(caught.value)


def test_rows_of_a_list_of_mappings() -> None:
    """Each has its own names; columns are in order of appearance."""
    rows = [{"animal": "cat", "seed": 1}, {"time": "dawn", "animal": "dog"}]
    read = read_table(rows)
    assert read.columns == ("animal", "seed", "time")
    assert list(read.rows) == rows


def test_an_iterator_of_mappings() -> None:
    """Such as a `csv.DictReader`."""
    read = read_table({"n": n} for n in range(3))
    assert list(read.rows) == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize("empty", [None, NAN, ""])
def test_an_empty_cell_sets_nothing(empty: object) -> None:
    """Its column is known, also if all its cells are empty."""
    read = read_table([{"a": empty, "b": 1, "c": empty}, {"a": 0, "b": False, "c": empty}])
    assert read.columns == ("a", "b", "c")
    assert list(read.rows) == [{"b": 1}, {"a": 0, "b": False}]


def test_a_data_frame_of_pandas() -> None:
    """Values are Python's own, and whole numbers are whole again where cells are empty."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "animal": ["cat", None, ""],
            "seed": [1, None, 3],
            "price": [1.5, None, 2.0],
            "exact": [1.0, 2.0, 3.0],
            "size": pandas.array([4, None, 5], dtype="Int64"),
            "kind": pandas.Categorical(["a", None, "b"]),
            "flag": [True, False, True],
            "when": pandas.to_datetime(["2026-01-01", None, "2026-01-03"]),
        },
        index=[7, 7, 9],
    )
    read = read_table(frame)
    assert read.columns == tuple(frame.columns)
    when = pandas.Timestamp("2026-01-01"), pandas.Timestamp("2026-01-03")
    assert list(read.rows) == [
        {
            **{"animal": "cat", "seed": 1, "price": 1.5, "exact": 1.0, "size": 4, "kind": "a"},
            **{"flag": True, "when": when[0]},
        },
        {"exact": 2.0, "flag": False},
        {
            **{"seed": 3, "price": 2.0, "exact": 3.0, "size": 5, "kind": "b"},
            **{"flag": True, "when": when[1]},
        },
    ]
    types = {name: type(value) for name, value in read.rows[0].items()}
    assert types == {
        **{"animal": str, "seed": int, "price": float, "exact": float, "size": int, "kind": str},
        **{"flag": bool, "when": pandas.Timestamp},
    }
    assert read_table(frame.to_dict("records")) == read
    assert read_table(frame.iloc[:1].to_dict("records")).rows[0]["seed"] == 1


def test_a_data_frame_of_polars() -> None:
    """Null, NaN and empty text set nothing; a list stays one."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"animal": ["cat", ""], "seed": [1, None], "price": [1.5, NAN], "image": [["a"], ["b"]]}
    )
    read = read_table(frame)
    assert read.columns == ("animal", "seed", "price", "image")
    assert list(read.rows) == [
        {"animal": "cat", "seed": 1, "price": 1.5, "image": ["a"]},
        {"image": ["b"]},
    ]
    assert "call its .collect() first" in refused(frame.lazy())


def test_scalars_of_numpy_in_mappings() -> None:
    """They become Python values."""
    numpy = pytest.importorskip("numpy")
    rows = read_table([{"seed": numpy.int64(1)}, {"seed": numpy.float32("nan"), "a": 1}]).rows
    assert rows[0]["seed"] == 1 and type(rows[0]["seed"]) is int
    assert rows[1] == {"a": 1}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, NAN], [1]),
        ([-3.0, 0.0, None, NAN], [-3, 0]),
        ([1.0, 2.0], [1.0, 2.0]),
        ([1.5, NAN, 2.0], [1.5, 2.0]),
        ([1.0, NAN, "x"], [1.0, "x"]),
        ([1e300, NAN], [1e300]),
        ([float("inf"), NAN], [float("inf")]),
        ([True, NAN], [True]),
    ],
)
def test_only_what_pandas_converted_becomes_whole_again(
    values: list[Any], expected: list[Any]
) -> None:
    """A column with NaN of integral floats; any other number is unchanged."""
    rows = read_table([{"n": value} for value in values]).rows
    read = [row["n"] for row in rows if "n" in row]
    assert read == expected
    assert [type(value) for value in read] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([], ["--table rows has no rows"]),
        (iter([]), ["--table rows has no rows"]),
        ([{}], ["--table rows has no columns"]),
        ({"a": [1]}, ["list of mappings (got dict); a single row needs a list"]),
        ("rows", ["must be a DataFrame or a list of mappings (got str)."]),
        (b"rows", ["(got bytes)"]),
        (7, ["(got int)"]),
        (None, ["(got NoneType)"]),
        ([{"a": 1}, "x", 7], ["row 2: expected a mapping (got str)", "row 3: expected"]),
        ([{"a": 1, 7: 2}], ["row 1: the names of columns must be text (got 7)"]),
        ([{None: 1}], ["(got None)"]),
        (itertools.repeat({"a": 1}), [f"more than {MAX_ROWS:,} rows"]),
    ],
)
def test_wrong_tables_are_refused(table: object, words: list[str]) -> None:
    """Rows are counted from 1, and all are reported."""
    message = refused(table)
    for word in words:
        assert word in message


def test_many_wrong_rows_are_counted() -> None:
    """The message has the first ones."""
    lines = refused(list(range(100))).split("\n")
    assert len(lines) == 21
    assert lines[-1] == "… and 80 more."


def test_wrong_data_frames_are_refused() -> None:
    """Without rows or columns, and with names that are repeated or no text."""
    pandas = pytest.importorskip("pandas")
    assert "has no rows" in refused(pandas.DataFrame({"a": []}))
    assert "has no columns" in refused(pandas.DataFrame(index=[1, 2]))
    assert "several columns named a." in refused(pandas.DataFrame([[1, 2]], columns=["a", "a"]))
    assert "must be text (got 0)" in refused(pandas.DataFrame([[1, 2]]))
    assert "(got ('a', 'b'))" in refused(pandas.DataFrame({("a", "b"): [1]}))
    assert "row 1: expected a mapping (got int)" in refused(pandas.Series([1]))


def test_the_error_of_a_generator_is_chained() -> None:
    """The message names it."""

    def failing() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        raise OSError("disk\x1b[31m gone")

    with pytest.raises(InvalidRequest, match=r"can't be read: OSError: disk\[31m gone") as caught:
        read_table(failing())
    assert isinstance(caught.value.__cause__, OSError)


def test_neither_pandas_nor_polars_is_imported() -> None:
    """A list of mappings needs neither."""
    code = (
        "import sys; from mountsea_magic.request.tables import read_table; "
        "read_table([{'a': 1}]); print({'pandas', 'polars', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
