"""The axes of a sweep: `NAME=VALUES` as typed, and the values of Python objects."""

from __future__ import annotations

import csv
import io
import itertools
import pickle
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.notebook.line_parser import split_line
from mountsea_magic.request.axes import (
    MAX_AXIS_VALUES,
    Axis,
    ImageWord,
    Product,
    axis_values,
    parse_axes,
    parse_axis,
)


def refused(text: str, **variables: Any) -> str:
    """Return the message that refuses an axis."""
    with pytest.raises(InvalidRequest) as caught:
        parse_axis(text, variables)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x=dawn", ["dawn"]),
        ("x=dawn,noon", ["dawn", "noon"]),
        ("x= dawn , high noon ", ["dawn", "high noon"]),
        ('x="dawn, early",noon', ["dawn, early", "noon"]),
        ('x= "dawn, early" , noon', ["dawn, early", "noon"]),
        ('x=" dawn "', [" dawn "]),
        ('x="a ""b"" c"', ['a "b" c']),
        ('x=""', [""]),
        ('x="",oil', ["", "oil"]),
        ("x=5\" pipe,it's", ['5" pipe', "it's"]),
        ("x=a=b,c==d", ["a=b", "c==d"]),
        ("x=größer,犬,🐕 כלב", ["größer", "犬", "🐕 כלב"]),
        ("x=1:1,16:9", ["1:1", "16:9"]),
        ("x=true,None,null", ["true", "None", "null"]),
        ("x=a..e,...,1..,..8", ["a..e", "...", "1..", "..8"]),
        ("x={a},[b", ["{a}", "[b"]),
        ('x={"w": 1, "h": 2},square,[1, 2]', [{"w": 1, "h": 2}, "square", [1, 2]]),
        ('x="{""w"": 1}"', ['{"w": 1}']),
    ],
)
def test_values_are_separated_by_commas(text: str, values: list[Any]) -> None:
    """Quoted as in CSV; a JSON object or list is one value."""
    assert parse_axis(text, {}) == Axis("x", tuple(values))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1..4", [1, 2, 3, 4]),
        ("4..1", [4, 3, 2, 1]),
        ("7..7", [7]),
        ("-2..1", [-2, -1, 0, 1]),
        ("-1..-3", [-1, -2, -3]),
        ("1,3,5..7", [1, 3, 5, 6, 7]),
        ("1..2,a,1..2", [1, 2, "a", 1, 2]),
        ("0,-7,12", [0, -7, 12]),
        ("007,+7,-0,7.5,1e3,٣", ["007", "+7", "-0", "7.5", "1e3", "٣"]),
        ('"1..3","7"', ["1..3", "7"]),
        ("9" * 30, [int("9" * 30)]),
        ("9" * 31, ["9" * 31]),
    ],
)
def test_ranges_and_whole_numbers(text: str, values: list[Any]) -> None:
    """Both ends are included; a whole number beside a range has the range's type."""
    read = parse_axis(f"seed={text}", {}).values
    assert list(read) == values
    assert [type(value) for value in read] == [type(value) for value in values]


@pytest.mark.parametrize(
    "text",
    [
        f"1..{MAX_AXIS_VALUES + 1}",
        f"{MAX_AXIS_VALUES}..0",
        "1..1000000000",
        "-999999999999..1",
        "1.." + "9" * 5000,
        "9" * 5000 + ".." + "9" * 5000,
    ],
)
def test_a_long_range_is_refused_at_once(text: str) -> None:
    """It is never expanded; the message names the limit."""
    began = time.perf_counter()
    message = refused(f"seed={text}")
    assert time.perf_counter() - began < 1
    assert "--grid seed: the range" in message and f"{MAX_AXIS_VALUES:,} values" in message
    assert len(message) < 300
    assert len(parse_axis(f"seed=1..{MAX_AXIS_VALUES}", {}).values) == MAX_AXIS_VALUES


@pytest.mark.parametrize("text", ["0.5..1", "1..2.5", "1..8..2", "1...8", "1..2..", "1.0..2.0"])
def test_what_looks_like_a_range_is_refused_or_text(text: str) -> None:
    """A step or a fraction would silently become text in a paid prompt."""
    if text.endswith("."):
        assert parse_axis(f"x={text}", {}).values == (text,)
    else:
        assert f"'{text}' is not a range of whole numbers such as 1..8" in refused(f"x={text}")
    assert parse_axis(f'x="{text}"', {}).values == (text,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["--grid must be NAME=VALUES (got '')"]),
        ("seed", ["--grid must be NAME=VALUES (got 'seed')"]),
        ("=1", ["--grid must be NAME=VALUES"]),
        (" =1", ["--grid must be NAME=VALUES"]),
        ("seed=", ["--grid seed: it has no values"]),
        ("seed=  ", ["--grid seed: it has no values"]),
        ("x=a,", ["--grid x: there is no value before or after a comma", 'write ""']),
        ("x=,a", ["there is no value"]),
        ("x=a,,b", ["there is no value"]),
        ("x=,", ["there is no value"]),
        ('x="a', ['the quotes of "a must enclose a whole value']),
        ('x="a"b,c', ['the quotes of "a"b must enclose']),
        ('x=b,"a""', ["must enclose"]),
        ("x\x1b[31m=", ["--grid x[31m: it has no values"]),
    ],
)
def test_invalid_axes_are_refused(text: str, words: list[str]) -> None:
    """In one line that says how to write it."""
    for word in words:
        assert word in refused(text)


def test_names_may_have_hyphens() -> None:
    """As those of options."""
    assert parse_axis("aspect-ratio=1:1", {}).name == "aspect_ratio"
    assert parse_axis(" größe =1", {}).name == "größe"


def test_problems_of_all_axes_are_reported_at_once() -> None:
    """One per line."""
    with pytest.raises(InvalidRequest) as caught:
        parse_axes(["seed=", "x=1..2", "time", "y=@nope"], {})
    assert [line[:12] for line in str(caught.value).split("\n")] == [
        *("--grid seed:", "--grid must ", "--grid y: th"),
    ]
    assert parse_axes([], {}) == ()


@pytest.mark.parametrize("seed", range(30))
def test_any_values_survive_quoting(seed: int) -> None:
    """What Python's csv writes with all values quoted is read back, also through a magic line."""
    rng = random.Random(seed)
    letters = "ab ,\"'=.@{}[]$\\;:-#éß犬🐕\t1"
    values = ["".join(rng.choices(letters, k=rng.randrange(6))) for _ in range(rng.randint(1, 6))]
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="").writerow(values)
    text = f"x={written.getvalue()}"
    assert parse_axis(text, {}).values == tuple(values)
    if "\\" in text:
        return  # escapes the next character for the shell-like line
    for line in (f"--grid {text} -n 2", f"-g {text} -n 2", f"--grid={text} -n 2"):
        *option, _, _ = split_line(line)
        word = option[-1].removeprefix("--grid=")
        assert parse_axis(word, {}).values == tuple(values)


@pytest.mark.parametrize(
    "values",
    [
        ["cat", "dog"],
        ("cat", 7, 0.5, None),
        range(3),
        {"one": 1, "two": 2}.keys(),
        {"one"},
        [[1, 2], [3]],
        itertools.islice(itertools.count(), 4),
    ],
)
def test_a_variable_is_any_iterable(values: Any) -> None:
    """Its values stay what they are, and may be mixed with others."""
    expected = tuple(values) if not isinstance(values, Iterator) else (0, 1, 2, 3)
    axis = parse_axis("x=a,@values,b", {"values": values})
    assert axis.values == ("a", *expected, "b")


def test_a_variable_of_numpy_or_pandas() -> None:
    """Its scalars become Python values; images stay arrays."""
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    for values in (numpy.arange(3), pandas.Series([0, 1, 2]), pandas.Index([0, 1, 2])):
        read = parse_axis("seed=@values", {"values": values}).values
        assert read == (0, 1, 2)
        assert {type(value) for value in read} == {int}
    images = [numpy.zeros((4, 5, 3)), numpy.zeros((6, 5))]
    assert [image.shape for image in parse_axis("image=@x", {"x": images}).values] == [
        *((4, 5, 3), (6, 5)),
    ]
    stack = numpy.zeros((2, 4, 5, 3))
    assert len(parse_axis("image=@x", {"x": stack}).values) == 2
    message = refused("image=@x", x=images[0])
    assert "@x must be a list of values (got an array of 3 dimensions)" in message


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("cat", "str"),
        (b"cat", "bytes"),
        (bytearray(b"cat"), "bytearray"),
        ({"a": 1}, "dict"),
        (7, "int"),
        (0.5, "float"),
        (True, "bool"),
        (Decimal(1), "Decimal"),
        (None, "NoneType"),
        (print, "builtin_function_or_method"),
    ],
)
def test_a_variable_of_one_value_is_refused(value: object, kind: str) -> None:
    """A text would otherwise be one request for each letter."""
    message = refused("x=@value", value=value)
    assert message == (
        f"--grid x: @value must be a list or another iterable of values (got {kind})."
    )


def test_a_table_as_a_variable_is_refused() -> None:
    """Iterating over it gives the names of its columns."""
    pandas = pytest.importorskip("pandas")
    message = refused("x=@rows", rows=pandas.DataFrame({"a": [1]}))
    assert "@rows is a table" in message and "--table" in message


def test_a_missing_value_is_refused() -> None:
    """It would be written into the prompt as nan."""
    assert "@x: value 2 is missing (nan)" in refused("x=@x", x=[1.0, float("nan")])
    assert parse_axis("x=@x", {"x": [None]}).values == (None,)


def test_an_unknown_variable_is_refused() -> None:
    """With a similar one, and how to write the text."""
    message = refused("x=@anmals", animals=[1], _anmals=[2])
    assert message == (
        "--grid x: there is no variable 'anmals'. Did you mean animals? "
        "Text that starts with @ needs quotes."
    )
    assert parse_axis('x="@animals"', {"animals": [1]}).values == ("@animals",)


def test_endless_and_empty_iterables_are_refused() -> None:
    """An iterator is read up to the limit; one that was read before is empty."""
    used = iter([1])
    list(used)
    empties: list[object] = [[], range(0), used]
    for empty in empties:
        assert "@x has no values" in refused("x=@x", x=empty)
    for endless in (itertools.count(), range(10**30), range(10**6)):
        assert "values" in refused("x=@x", x=endless)
    exact = parse_axis("x=@x", {"x": iter(range(MAX_AXIS_VALUES))})
    assert len(exact.values) == MAX_AXIS_VALUES


def test_the_error_of_a_generator_is_chained() -> None:
    """The message names it, and an interrupt passes through."""
    error = LookupError("no\x1b[31m\ndog")

    def failing(error: BaseException) -> Iterator[int]:
        yield 1
        raise error

    with pytest.raises(InvalidRequest, match=r"@x can't be read: LookupError: no\[31m") as caught:
        parse_axis("x=@x", {"x": failing(error)})
    assert caught.value.__cause__ is error
    with pytest.raises(KeyboardInterrupt):
        parse_axis("x=@x", {"x": failing(KeyboardInterrupt())})


def test_typed_images_are_told_from_text_of_variables() -> None:
    """Only what was typed can be the name of a variable."""
    typed, listed, quoted = parse_axis('image=1..2,@x,"b,c"', {"x": ["dog"]}).values
    assert [type(value) for value in (typed, listed, quoted)] == [ImageWord, str, ImageWord]
    assert (typed, listed, quoted) == ("1..2", "dog", "b,c")
    assert type(pickle.loads(pickle.dumps(typed))) is ImageWord


def test_axis_values_keeps_a_range() -> None:
    """However long it is."""
    assert axis_values(range(10**12), "seed") == range(10**12)
    assert axis_values(iter("ab"), "x") == ("a", "b")


@pytest.mark.parametrize("seed", range(20))
def test_a_product_is_that_of_itertools(seed: int) -> None:
    """Order, length, negative indexes, slices and positions."""
    rng = random.Random(seed)
    factors = [range(rng.randint(0, 4)) for _ in range(rng.randint(0, 4))]
    product = Product(*factors)
    expected = list(itertools.product(*factors))
    assert list(product) == expected
    assert len(product) == len(expected)
    assert [product.positions(index) for index in range(len(product))] == expected
    assert product[1:7:2] == expected[1:7:2] and product[::-1] == expected[::-1]
    assert [product[-number] for number in range(1, len(product))] == expected[:0:-1]
    for index in (len(product), -len(product) - 1):
        with pytest.raises(IndexError):
            product[index]


def test_a_huge_product_needs_no_memory() -> None:
    """An item is computed from its index; what `len` can't count is refused."""
    product = Product(range(10**9), range(10**9))
    assert len(product) == 10**18
    assert product[10**17 + 7] == (10**8, 7)
    with pytest.raises(InvalidRequest, match="too many combinations"):
        Product(range(10**9), range(10**9), range(100))
