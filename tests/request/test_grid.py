"""`grid` makes every combination of some values, as mappings."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.grid import GridItem, grid


def refused(*arguments: Any, **axes: Any) -> str:
    """Return the message that refuses a grid."""
    with pytest.raises(InvalidRequest) as caught:
        grid(*arguments, **axes)
    return str(caught.value)


def test_the_example_of_the_interface() -> None:
    """Names that the prompt uses fill it, others are parameters."""
    items = grid("A {{ animal }}", animal=["cat", "dog"], seed=range(3))
    assert list(items) == [
        {"prompt": f"A {animal}", "seed": seed}
        for animal, seed in itertools.product(["cat", "dog"], range(3))
    ]
    assert [item.variables for item in items[2:4]] == [{"animal": "cat"}, {"animal": "dog"}]


def test_it_is_a_sequence() -> None:
    """Of plain dicts to anybody who asks; iterating twice gives the same."""
    items = grid(["A", "B {{ x }}"], x=(value for value in "ab"), model=["m"])
    assert isinstance(items, Sequence)
    assert len(items) == 4 and list(items) == list(items)
    assert items[-1] == {"prompt": "B b", "model": "m"}
    assert list(reversed(items)) == list(items)[::-1]
    assert items[::3] == [items[0], items[3]]
    assert {"prompt": "A", "model": "m"} in items
    assert repr(items) == "<grid of 4 requests: prompt, x, model>"
    with pytest.raises(IndexError):
        items[4]


def test_an_item_is_a_dict_with_variables() -> None:
    """It can be pickled, copied and written as JSON."""
    item = grid("A {{ animal }}", animal=["cat"], seed=[7])[0]
    assert isinstance(item, dict)
    for same in (pickle.loads(pickle.dumps(item)), copy.copy(item), copy.deepcopy(item)):
        assert type(same) is GridItem
        assert same == item and same.variables == {"animal": "cat"}
    assert json.loads(json.dumps(item)) == {"prompt": "A cat", "seed": 7}
    assert item | {"seed": 8} == {"prompt": "A cat", "seed": 8}


def test_prompts_without_axes() -> None:
    """Each is one request."""
    assert list(grid("A")) == [{"prompt": "A"}]
    assert list(grid(["A", "B"])) == [{"prompt": "A"}, {"prompt": "B"}]


def test_a_huge_grid_is_made_as_it_is_read() -> None:
    """In constant memory, from ranges."""
    items = grid("A {{ x }}", x=range(10**9), seed=range(10**6))
    assert len(items) == 10**15
    assert items[10**14 + 5] == {"prompt": "A 100000000", "seed": 5}
    assert list(itertools.islice(items, 2)) == [
        {"prompt": "A 0", "seed": 0},
        {"prompt": "A 0", "seed": 1},
    ]
    assert "too many combinations" in refused("A", seed=range(10**18), size=range(100))
    assert "seed has too many values" in refused("A", seed=range(10**30))


def test_scalars_of_numpy_become_python_values() -> None:
    """So that they are JSON."""
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    items = grid("A {{ x }}", x=pandas.Series(["a"]), seed=numpy.arange(2))
    assert json.dumps(items[1]) == '{"prompt": "A a", "seed": 1}'


@pytest.mark.parametrize(
    ("arguments", "axes", "message"),
    [
        (["A"], {"x": "cat"}, "x must be a list or another iterable of values (got str); pass x=["),
        (["A"], {"num_images": 2}, "(got int); pass num_images=[…]"),
        (["A"], {"x": {"a": 1}}, "(got dict)"),
        (["A"], {"x": []}, "x has no values"),
        (["A"], {"x": itertools.count()}, "x has more than 10,000 values; pass a list"),
        (["A"], {"x": [float("nan")]}, "x: value 1 is missing (nan)"),
        (["A {{ b }} {{ a }}"], {"x": [1]}, "The prompt uses a, b; pass a=[…]."),
        (["A {{ b }"], {}, "can't be filled in"),
        (["A"], {"prompt": ["a"]}, "prompt is the first argument; pass a list"),
        ([["A", 7]], {}, "A prompt must be text (got int)"),
        ([[]], {}, "prompt has no values"),
        ([7], {}, "prompt must be a list"),
        (["A {{ b }}"], {"x": 1, "y": 2}, "pass b=[…].\nx must be a list"),
    ],
)
def test_wrong_axes_are_refused(arguments: list[Any], axes: dict[str, Any], message: str) -> None:
    """At once, with the cure."""
    assert message in refused(*arguments, **axes)


def test_an_axis_may_be_named_prompt_if_the_prompt_uses_it() -> None:
    """It fills it."""
    assert grid("A {{ prompt }}", prompt=["cat"])[0] == {"prompt": "A cat"}


def test_the_error_of_a_generator_is_chained() -> None:
    """The message names it."""

    def failing() -> Iterator[int]:
        yield 1
        raise OSError("disk gone")

    with pytest.raises(InvalidRequest, match="x can't be read: OSError: disk gone") as caught:
        grid("A", x=failing())
    assert isinstance(caught.value.__cause__, OSError)


def test_an_expression_that_raises_is_reported_with_its_item() -> None:
    """The others can be read."""
    items = grid("{{ 6 // n }}", n=[0, 2])
    assert items[1] == {"prompt": "3"}
    with pytest.raises(InvalidRequest, match="ZeroDivisionError"):
        items[0]
