"""The contact sheet of a batch: which request is where, its labels, and what is drawn."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from mountsea_magic.errors import Interrupted, InvalidRequest, TaskFailed
from mountsea_magic.generation.batch import Batch
from mountsea_magic.generation.batch_sheet import plan_sheet, tile_of
from mountsea_magic.generation.handle import Generation
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.request.axes import Axis
from mountsea_magic.request.request import build_request

TIMES, RATIOS, SEEDS = ["dawn", "noon"], ["1:1", "16:9"], range(1, 4)
AXES = [Axis("aspect_ratio", RATIOS), Axis("time", TIMES), Axis("seed", SEEDS)]
COLORS = [(20 * number, 200 - 10 * number, 120) for number in range(12)]


def _generation(seed: int, ratio: str = "1:1", time: str = "dawn") -> Generation:
    request = build_request(f"Sea at {time}", parameters={"seed": seed, "aspect_ratio": ratio})
    return Generation(request, variables={"time": time})


@pytest.fixture
def grid() -> Batch:
    """Return the batch of a grid, in the order of `itertools.product`."""
    combinations = product(RATIOS, TIMES, SEEDS)
    return Batch([_generation(seed, ratio, time) for ratio, time, seed in combinations], axes=AXES)


@pytest.fixture
def drawn(grid: Batch, tmp_path: Path) -> Batch:
    """Return the batch with an image of one color for each request."""
    for each, color in zip(grid, COLORS, strict=True):
        path = tmp_path / f"{color}.png"
        Image.new("RGB", (32, 32), color).save(path)
        each.images = (GeneratedImage(path, "png", 32, 32, ""),)
    return grid


def test_the_last_axis_makes_the_columns(grid: Batch) -> None:
    """The others make the rows."""
    plan = plan_sheet(grid)
    assert plan.column_labels == ("seed=1", "seed=2", "seed=3")
    assert plan.row_labels == tuple(
        f"aspect_ratio={ratio}, time={time}" for ratio, time in product(RATIOS, TIMES)
    )
    assert plan.places == tuple(product(range(4), range(3)))


@pytest.mark.parametrize(("count", "rows", "columns"), [(4, 1, 4), (6, 1, 6), (14, 3, 6)])
def test_a_single_axis_wraps_after_six(count: int, rows: int, columns: int) -> None:
    """Then each place has its label."""
    seeds = range(count)
    plan = plan_sheet(Batch([_generation(seed) for seed in seeds], axes=[Axis("seed", seeds)]))
    assert (plan.rows, plan.columns) == (rows, columns)
    assert plan.labels == tuple(f"seed={seed}" for seed in seeds) and plan.row_labels == ()
    assert plan.places == tuple(divmod(number, columns) for number in seeds)


def test_rows_and_columns_can_be_chosen(grid: Batch) -> None:
    """Axes that are named nowhere are added, so that each image has its own place."""
    plan = plan_sheet(grid, rows="seed", columns=["time", "aspect_ratio"])
    assert plan.row_labels == ("seed=1", "seed=2", "seed=3")
    assert plan.column_labels[:2] == ("time=dawn, aspect_ratio=1:1", "time=dawn, aspect_ratio=16:9")
    assert plan.places[-1] == (2, 3)
    for rows, columns in (("seed", None), (None, "seed"), ("seed", "time"), (["time"], None)):
        assert len(set(plan_sheet(grid, rows, columns).places)) == 12


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ("sed", None, "Unknown axis sed; there are: aspect_ratio"),
        (None, ["seed", "weather"], "Unknown axis weather"),
        ("seed", "seed", "The axis seed is used twice"),
        (["time", "time"], None, "The axis time is used twice"),
    ],
)
def test_unknown_and_repeated_axes_are_refused(
    grid: Batch, rows: str, columns: str, message: str
) -> None:
    """The error names the axes that there are."""
    with pytest.raises(InvalidRequest, match=message):
        grid.sheet(rows, columns)


@pytest.mark.parametrize("tile", [0, -1, 5000, True, 2.5])
def test_the_size_of_a_place_is_checked(grid: Batch, tile: int) -> None:
    """Before anything is drawn."""
    with pytest.raises(InvalidRequest, match="tile must be a whole number"):
        grid.sheet(tile=tile)


def test_an_empty_batch_has_no_sheet() -> None:
    """The error says so."""
    with pytest.raises(InvalidRequest, match="at least one request"):
        Batch().sheet()


def test_a_part_keeps_its_places(grid: Batch) -> None:
    """Rows and columns without a request are left out, in a slice and in a selection."""
    dawn = plan_sheet(grid.where(time="dawn"))
    assert dawn.row_labels == ("aspect_ratio=1:1, time=dawn", "aspect_ratio=16:9, time=dawn")
    assert dawn.places == tuple(product(range(2), range(3)))
    part = plan_sheet(grid[1:4])
    assert part.row_labels == ("aspect_ratio=1:1, time=dawn", "aspect_ratio=1:1, time=noon")
    assert part.places == ((0, 1), (0, 2), (1, 0))
    assert plan_sheet(grid[1:4].where(seed=1)).column_labels == ("seed=1",)


def test_requests_that_no_axis_tells_apart_have_places_of_their_own() -> None:
    """Such as the rows of a table, each with every seed; they are labeled by their variables."""
    made = [_generation(seed, time=time) for time in ("a", "b", "c") for seed in SEEDS]
    plan = plan_sheet(Batch(made, axes=[Axis("seed", SEEDS)]))
    assert plan.row_labels == ("a", "b", "c")
    assert len(set(plan.places)) == 9


def test_without_axes_each_request_is_labeled() -> None:
    """By its variables, else by its prompt; columns and parameters can be axes, too."""
    table = Batch([_generation(1, time="dawn"), _generation(2, time="noon")])
    assert plan_sheet(table).labels == ("dawn", "noon")
    assert plan_sheet(Batch([Generation(build_request("a dog"))])).labels == ("a dog",)
    plan = plan_sheet(table, rows="time", columns="seed")
    assert (plan.row_labels, plan.column_labels) == (
        ("time=dawn", "time=noon"),
        ("seed=1", "seed=2"),
    )
    assert plan.places == ((0, 0), (1, 1))


def test_values_that_are_no_text_are_counted() -> None:
    """An image is no label."""
    images = [Image.new("RGB", (8, 8))] * 2
    made = [_generation(seed) for _ in images for seed in SEEDS]
    plan = plan_sheet(Batch(made, axes=[Axis("image", images), Axis("seed", SEEDS)]))
    assert plan.row_labels == ("image 1", "image 2")


def test_images_are_drawn_in_their_places(drawn: Batch) -> None:
    """By default and as chosen."""
    for rows, columns in ((None, None), ("seed", ["time", "aspect_ratio"])):
        plan, sheet = plan_sheet(drawn, rows, columns), drawn.sheet(rows, columns, tile=40)
        layout = plan.sheet(40)._layout
        for (row, column), color in zip(plan.places, COLORS, strict=True):
            left, top = layout.place(row, column)
            assert sheet.getpixel((left + 20, top + 20)) == color


def test_what_is_drawn_without_images() -> None:
    """The reason of a failure, or how far the request has come."""
    generation = _generation(1)
    assert tile_of([generation]).note == "waiting"
    generation.error = TaskFailed("no dogs")
    assert (tile_of([generation]).note, tile_of([generation]).failed) == ("no dogs", True)
    generation.status = "skipped"
    assert (tile_of([generation]).note, tile_of([generation]).failed) == ("skipped", True)
    stopped = _generation(2)
    stopped.error = Interrupted("stopped")
    assert (tile_of([stopped]).note, tile_of([stopped]).failed) == ("not submitted", False)
    stopped.task_id = "hub-1"
    assert tile_of([stopped]).note == "interrupted"


def test_places_of_several_requests_show_all_their_images(drawn: Batch) -> None:
    """And a failure only if there is no image."""
    failed = _generation(9)
    failed.error = TaskFailed("no dogs")
    assert len(tile_of([failed, *drawn[:3]]).images) == 3
