"""Sweeps: prompts, rows of a table and axes are combined, checked and filled in."""

from __future__ import annotations

import itertools
import pickle
import random
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.axes import Axis, parse_axes
from mountsea_magic.request.catalog import Model, bundled_catalog
from mountsea_magic.request.sweep import MAX_REQUESTS, Item, Sweep, merge_problems
from mountsea_magic.request.tables import Table, read_table

FIND_MODEL = bundled_catalog().model


def find_open_model(model_id: str) -> Model:
    """Return a model without a schema, such as a new one of the Hub."""
    return Model(model_id, model_id, "Someone", "text-to-image", "", "live", {}, {})


def sweep(
    *prompts: str,
    grid: tuple[str, ...] = (),
    rows: Sequence[Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    find_model: Callable[[str], Model] = FIND_MODEL,
    **options: Any,
) -> Sweep:
    """Return the sweep of a cell."""
    return Sweep(
        prompts,
        axes=parse_axes(grid, variables or {}),
        table=None if rows is None else read_table(rows),
        names=variables,
        find_model=find_model,
        **options,
    )


def refused(*prompts: str, **options: Any) -> list[str]:
    """Return the lines of the message that refuses a sweep."""
    with pytest.raises(InvalidRequest) as caught:
        sweep(*prompts, **options)
    return str(caught.value).split("\n")


def test_the_example_of_the_interface() -> None:
    """Parameters are set, the other axis fills the prompt."""
    items = sweep(
        "A lighthouse at {{ time }}",
        grid=("aspect_ratio=1:1,16:9", "seed=1..3", "time=dawn,noon"),
    )
    assert len(items) == 12
    assert items[0] == Item(
        "A lighthouse at dawn", {"aspect_ratio": "1:1", "seed": 1}, {"time": "dawn"}
    )
    assert items[-1] == Item(
        "A lighthouse at noon", {"aspect_ratio": "16:9", "seed": 3}, {"time": "noon"}
    )
    assert items[1].prompt == "A lighthouse at noon" and items[1].parameters["seed"] == 1


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_that_of_itertools_product(seed: int) -> None:
    """Prompts first, then the rows of the table, then the axes."""
    rng = random.Random(seed)
    prompts = [f"{number} {{{{ a }}}} {{{{ b }}}}" for number in range(rng.randint(1, 3))]
    rows = [{"row": number, "b": number} for number in range(rng.randint(1, 4))]
    axes = [
        Axis("a", tuple(f"a{number}" for number in range(rng.randint(1, 3)))),
        Axis("seed", range(rng.randint(1, 3))),
    ]
    rng.shuffle(axes)
    items = Sweep(prompts, axes=axes, table=read_table(rows), find_model=FIND_MODEL)
    product = list(itertools.product(prompts, rows, *(axis.values for axis in axes)))
    assert len(items) == len(product)
    for item, (prompt, row, *values) in zip(items, product, strict=True):
        given = {axis.name: value for axis, value in zip(axes, values, strict=True)}
        assert item.prompt == f"{prompt[0]} {given['a']} {row['b']}"
        assert item.parameters == {"seed": given["seed"]}
        assert item.variables == {"a": given["a"], **row}
    assert items[1:4] == list(items)[1:4]
    assert pickle.loads(pickle.dumps(list(items))) == list(items)


def test_without_axes_each_prompt_is_an_item() -> None:
    """With the caller's names."""
    items = sweep("A {{ animal }}", "B", "B", variables={"animal": "cat"})
    assert list(items) == [Item("A cat"), Item("B"), Item("B")]


def test_values_hide_the_callers_names() -> None:
    """In the prompt; the others are the caller's."""
    items = sweep("{{ a }} {{ b }}", grid=("a=1,2",), variables={"a": "x", "b": "y"})
    assert [item.prompt for item in items] == ["1 y", "2 y"]


def test_a_name_that_is_a_parameter_and_in_the_prompt_does_both() -> None:
    """Also `model`."""
    items = sweep("Seed {{ seed }} by {{ model }}", grid=("seed=1,2", "model=nano-banana-2"))
    assert items[1] == Item(
        "Seed 2 by nano-banana-2",
        {"seed": 2},
        {"seed": 2, "model": "nano-banana-2"},
        model="nano-banana-2",
    )


def test_columns_fill_set_or_are_kept() -> None:
    """An empty cell sets nothing; what nobody knows is kept and sent nowhere."""
    rows: list[dict[str, Any]] = [
        {"animal": "cat", "seed": 7, "model": "nano-banana-2", "price": 3},
        {"animal": "dog", "seed": None, "model": "", "price": 4},
    ]
    assert list(sweep("A {{ animal }}", rows=rows)) == [
        Item("A cat", {"seed": 7}, {"animal": "cat", "price": 3}, "nano-banana-2"),
        Item("A dog", {}, {"animal": "dog", "price": 4}),
    ]


def test_a_column_is_a_parameter_of_its_rows_model() -> None:
    """For another model it is kept, unlike an axis, which is then refused with the request."""
    assert "quality" not in FIND_MODEL("nano-banana").parameters
    rows: list[dict[str, Any]] = [{"quality": "low", "model": "gpt-image-2"}, {"quality": "low"}]
    first, second = sweep("A", rows=rows)
    assert (first.parameters, first.variables) == ({"quality": "low"}, {})
    assert (second.parameters, second.variables) == ({}, {"quality": "low"})
    both = sweep("A", grid=("quality=low", "model=gpt-image-2,nano-banana"))
    assert [item.parameters for item in both] == [{"quality": "low"}] * 2


def test_a_model_without_a_schema() -> None:
    """An axis that fills no prompt is a parameter; a column may be a remark."""
    items = sweep("A {{ b }}", grid=("style=x", "b=y"), find_model=find_open_model)
    assert items[0] == Item("A y", {"style": "x"}, {"b": "y"})
    items = sweep("A {{ b }}", rows=[{"style": "x", "b": "y"}], find_model=find_open_model)
    assert items[0] == Item("A y", {}, {"style": "x", "b": "y"})
    assert sweep("A", grid=("image=a.png",), find_model=find_open_model)[0].images == ("a.png",)


def test_images() -> None:
    """A list in a cell is several; `image` is a plain name where the model accepts none."""
    items = sweep("A", grid=("image=a.png,b.png",), model="nano-banana-edit")
    assert [item.images for item in items] == [("a.png",), ("b.png",)]
    rows: list[dict[str, Any]] = [{"image": ["a.png", "b.png"]}, {"image": None, "seed": 1}]
    items = sweep("A", rows=rows, model="nano-banana-edit")
    assert [item.images for item in items] == [("a.png", "b.png"), ()]
    items = sweep("An {{ image }}", grid=("image=oil painting",))
    assert items[0] == Item("An oil painting", {}, {"image": "oil painting"})
    items = sweep("A", "An {{ image }}", grid=("image=oil",), find_model=find_open_model)
    assert list(items) == [Item("A", {}, {"image": "oil"}), Item("An oil", {}, {"image": "oil"})]
    items = sweep("Like {{ image }}", grid=("image=a.png",), model="nano-banana-edit")
    assert items[0] == Item("Like a.png", {}, {"image": "a.png"}, images=("a.png",))


def test_raw_prompts_are_literal() -> None:
    """They use no names."""
    items = sweep("A {{ seed }} {{ x y", grid=("seed=1,2",), raw=True)
    assert [item.prompt for item in items] == ["A {{ seed }} {{ x y"] * 2
    assert items[0].variables == {}
    lines = refused("A {{ time }}", grid=("time=dawn",), raw=True)
    assert lines == [
        "--grid time: neither a parameter of nano-banana nor a name that the prompt uses."
    ]


def test_an_empty_cell_hides_the_callers_variable() -> None:
    """It would silently fill in another value; a default of the template fills it."""
    rows: list[dict[str, Any]] = [{"animal": "cat", "n": 1}, {"animal": None, "n": 2}]
    items = sweep("A {{ animal }}", rows=rows, variables={"animal": "horse"})
    assert items[0].prompt == "A cat"
    message = "The prompt uses animal, which is empty in this row of --table"
    with pytest.raises(InvalidRequest, match=message):
        items[1]
    items = sweep("A {{ animal | default('dog') }}", rows=rows, variables={"animal": "horse"})
    assert items[1].prompt == "A dog"


def test_an_error_in_one_item_leaves_the_others() -> None:
    """It is raised when the item is asked for."""
    items = sweep("{{ 6 // n }}", grid=("n=0..2",))
    assert [items[index].prompt for index in (1, 2)] == ["6", "3"]
    with pytest.raises(InvalidRequest, match="ZeroDivisionError"):
        items[0]


@pytest.mark.parametrize(
    ("prompt", "options", "lines"),
    [
        (
            "A",
            {"grid": ("seed=1", "seed=2")},
            ["--grid seed is given twice; put all its values on one axis."],
        ),
        (
            "A",
            {"grid": ("seed=1",), "options": ["seed"]},
            ["seed is set by an option and by --grid; remove one of them."],
        ),
        (
            "A",
            {"grid": ("model=nano-banana",), "options": ["model"]},
            ["model is set by an option and by --grid; remove one of them."],
        ),
        (
            "A",
            {"grid": ("image=a",), "options": ["image_urls"], "model": "nano-banana-edit"},
            ["image is set by an option and by --grid; remove one of them."],
        ),
        (
            "A",
            {"grid": ("image=a", "image_urls=b"), "model": "nano-banana-edit"},
            ["--grid image_urls and another axis both set the input images; remove one."],
        ),
        (
            "A",
            {"grid": ("seed=1",), "rows": [{"seed": 1}]},
            ["seed is set by --grid and by a column of --table; remove one of them."],
        ),
        (
            "A",
            {"grid": ("image=a.png",)},
            ["--grid image: nano-banana does not accept images. Use --model nano-banana-edit."],
        ),
        (
            "A",
            {"grid": ("image_urls=a.png",)},
            [
                "--grid image_urls: nano-banana does not accept images. "
                "Use --model nano-banana-edit."
            ],
        ),
        (
            "A {{ time }}",
            {"grid": ("tine=dawn",), "variables": {"time": 1}},
            [
                "--grid tine: neither a parameter of nano-banana nor a name that the prompt uses. "
                "Did you mean time?"
            ],
        ),
        (
            "A",
            {"grid": ("time=dawn",)},
            [
                "--grid time: neither a parameter of nano-banana nor a name that the prompt uses. "
                "Write {{ time }} in the prompt to fill it in."
            ],
        ),
        (
            "A",
            {"grid": ("prompt=a,b",)},
            [
                "--grid prompt: neither a parameter of nano-banana nor a name that the prompt "
                "uses. Separate prompts by a line of only ---."
            ],
        ),
        (
            "A",
            {"rows": [{"title": "a", "price": 1}]},
            [
                "No column of --table is used (title, price). Name one in the prompt, such as "
                "{{ animal }}, or like a parameter of the model."
            ],
        ),
        (
            "A",
            {"rows": [{"model": 7}]},
            ["model must be text (got 7)."],
        ),
        (
            "A {{ x y }}",
            {"grid": ("seed=1", "seed=2", "nope=1")},
            [
                "The prompt's {{ }} can't be filled in: line 1: expected token 'end of print "
                "statement', got 'y'. `--raw` sends the prompt as is.",
                "--grid seed is given twice; put all its values on one axis.",
            ],
        ),
        (
            "A",
            {"grid": ("seeds=1", "seed=1", "zzz=2"), "options": ["seed"]},
            [
                "--grid seeds: neither a parameter of nano-banana nor a name that the prompt "
                "uses. Did you mean seed?",
                "--grid zzz: neither a parameter of nano-banana nor a name that the prompt uses. "
                "Write {{ zzz }} in the prompt to fill it in.",
                "seed is set by an option and by --grid; remove one of them.",
            ],
        ),
    ],
)
def test_wrong_names_are_refused(prompt: str, options: dict[str, Any], lines: list[str]) -> None:
    """All at once, each with its cure."""
    assert refused(prompt, **options) == lines


def test_unknown_models_are_refused_once() -> None:
    """Of an axis, a column, or the default."""
    lines = refused("A", grid=("model=nano-bananna,nano-banana,nano-bananna", "seed=1..3"))
    assert len(lines) == 1 and lines[0].startswith("Unknown model 'nano-bananna'. Did you mean")
    lines = refused("A", rows=[{"model": "x"}, {"model": "y"}, {"model": "x"}])
    assert [line[:17] for line in lines] == ["Unknown model 'x'", "Unknown model 'y'"]
    assert refused("A", model="z")[0].startswith("Unknown model 'z'")
    lines = refused("A", rows=[{"model": f"m{number}"} for number in range(100)])
    assert len(lines) == 20


def test_an_axis_without_values_is_refused() -> None:
    """One that was not typed can have none."""
    with pytest.raises(InvalidRequest, match="--grid seed has no values"):
        Sweep(["A"], axes=[Axis("seed", ())], find_model=FIND_MODEL)


def test_syntax_errors_name_their_prompt() -> None:
    """All of them."""
    lines = refused("A {{ }}", "B", "C {{ x")
    assert [line[:9] for line in lines] == ["Prompt 1:", "Prompt 3:"]


def test_too_many_requests_are_refused_at_once() -> None:
    """With their number and the limit, before any is made."""
    tracemalloc.start()
    try:
        lines = refused("A {{ a }}", grid=("seed=1..10000", "a=1..10000", "num_images=1..4"))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert lines == [
        f"This cell has 400,000,000 requests; at most {MAX_REQUESTS:,} are possible. "
        "Use mountsea_magic.agenerate_many for more."
    ]
    assert len(sweep("A", grid=("seed=1..10000",))) == MAX_REQUESTS


def test_labels_say_what_distinguishes_an_item() -> None:
    """Prompt, row and axes, as far as there are several."""
    rows: list[dict[str, Any]] = [{"b": 1}, {"b": 2}]
    items = sweep("{{ b }} 1", "{{ b }} 2", grid=("seed=5,7",), rows=rows)
    assert items.label(3) == "Prompt 1, row 2, seed=7"
    assert items.label(-1) == "Prompt 2, row 2, seed=7"
    assert sweep("A", grid=("seed=1,2", "image_size=x"), find_model=find_open_model).label(1) == (
        "seed=2, image_size=x"
    )
    assert sweep("A").label(0) == ""
    assert (
        Sweep(["A {{ x }}"], table=Table(("x",), [{"x": 1}]), find_model=FIND_MODEL).label(0)
        == "Row 1"
    )
    assert sweep("A {{ x }}", grid=("x=@v",), variables={"v": ["\x1b[31m" * 99]}).label(0)[:8] == (
        "x=[31m[3"
    )


def test_a_problem_that_many_share_is_said_once() -> None:
    """With the first item that has it, unless all have it."""
    one, two = InvalidRequest("bad seed"), InvalidRequest("bad seed\nbad size")
    assert str(merge_problems([("a=1", one), ("a=2", two)], 3)) == (
        "a=1 and 1 more: bad seed\na=2: bad size"
    )
    assert str(merge_problems([("a=1", one), ("a=2", two)], 2)) == "bad seed\na=2: bad size"
    assert str(merge_problems([("", two)], 1)) == "bad seed\nbad size"
    many = [(f"a={number}", InvalidRequest(f"bad {number}")) for number in range(1000)]
    lines = str(merge_problems(many, 1000)).split("\n")
    assert (len(lines), lines[0], lines[-1]) == (21, "a=0: bad 0", "… and 980 more problems.")
    cause = LookupError()
    one.__cause__ = cause
    assert merge_problems([("a", two), ("b", one)], 2).__cause__ is cause
