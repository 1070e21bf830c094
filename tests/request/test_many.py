"""What `generate_many` accepts is read into items, one at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.request.grid import grid
from mountsea_magic.request.many import read_request, read_requests
from mountsea_magic.request.request import build_request
from mountsea_magic.request.sweep import Item

FIND_MODEL = bundled_catalog().model


def read(requests: Any) -> list[Item | str]:
    """Return the items, and the messages of the wrong ones."""
    items = read_requests(requests, find_model=FIND_MODEL)
    return [str(item) if isinstance(item, InvalidRequest) else item for item in items]


def refused(requests: Any) -> str:
    """Return the message that refuses the argument."""
    with pytest.raises(InvalidRequest) as caught:
        read_requests(requests, find_model=FIND_MODEL)
    return str(caught.value)


def test_prompts_mappings_and_requests() -> None:
    """In one list; braces in a prompt are literal."""
    request = build_request("a horse", model="nano-banana-2", parameters={"seed": 1})
    assert read(
        ["a {{ dog }}", {"prompt": "a cat", "seed": 7, "model": "gpt-image-2"}, request]
    ) == [
        Item("a {{ dog }}"),
        Item("a cat", {"seed": 7}, model="gpt-image-2"),
        Item("a horse", model="nano-banana-2", request=request),
    ]


def test_items_of_a_grid_keep_their_variables() -> None:
    """A plain copy has none."""
    items = grid("A {{ animal }}", animal=["cat"], seed=[7])
    assert read(items) == [Item("A cat", {"seed": 7}, {"animal": "cat"})]
    assert read([dict(items[0])]) == [Item("A cat", {"seed": 7})]


def test_unknown_names_of_a_mapping_stay_parameters() -> None:
    """So that the validation refuses them, with a hint."""
    mapping = MappingProxyType({"prompt": "a", "sede": 7})
    assert read([mapping]) == [Item("a", {"sede": 7})]


def test_missing_values_of_a_mapping_set_nothing() -> None:
    """As `DataFrame.to_dict("records")` has them; an empty text is a value."""
    mapping = {"prompt": "a", "seed": float("nan"), "model": None, "output_format": ""}
    assert read([mapping]) == [Item("a", {"output_format": ""})]


def test_images_of_a_mapping() -> None:
    """`image` is one or several; other names are the model's own."""
    images = {"image": "a.png"}, {"image": ("a", "b")}, {"image_urls": ["a"]}
    assert read({"prompt": "x", **image} for image in images) == [
        Item("x", images=("a.png",)),
        Item("x", images=("a", "b")),
        Item("x", {"image_urls": ["a"]}),
    ]


def test_wrong_items_do_not_end_the_others() -> None:
    """Each has a message with its number."""
    wrong = [7, None, ["a"], {}, {"prompt": 7}, {"prompt": "a", "model": 7}, {"prompt": "a", 1: 2}]
    assert read(["first", *wrong, "last"]) == [
        Item("first"),
        *(
            f"Request {number}: expected a prompt, a mapping with a prompt, or an ImageRequest "
            f"(got {kind})."
            for number, kind in [(2, "int"), (3, "NoneType"), (4, "list")]
        ),
        "Request 5 has no prompt.",
        "Request 6: prompt must be text (got int).",
        "Request 7: model must be text (got int).",
        "Request 8: names must be text (got 1).",
        Item("last"),
    ]


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ("a dog", "requests must be a list or another iterable (got str); put it in a list."),
        ({"prompt": "a"}, "(got dict); put it in a list."),
        (build_request("a"), "(got ImageRequest); put it in a list."),
        (b"a", "(got bytes); pass prompts or mappings."),
        (7, "(got int)"),
        (None, "(got NoneType)"),
    ],
)
def test_what_is_no_iterable_of_requests_is_refused(requests: Any, message: str) -> None:
    """A text would otherwise be one request for each letter."""
    assert message in refused(requests)


def test_an_iterator_is_read_lazily() -> None:
    """It may never end, and what it raises passes through."""
    drawn = itertools.count()
    items = read_requests((f"dog {next(drawn)}" for _ in itertools.count()), find_model=FIND_MODEL)
    assert [next(items), next(items)] == [Item("dog 0"), Item("dog 1")]
    assert next(drawn) == 2

    def failing() -> Iterator[str]:
        yield "a"
        raise OSError("disk gone")

    items = read_requests(failing(), find_model=FIND_MODEL)
    assert next(items) == Item("a")
    with pytest.raises(OSError, match="disk gone"):
        next(items)


def test_a_data_frame() -> None:
    """Columns that the row's model does not know are kept; empty cells set nothing."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "prompt": ["a", "b", None, "d"],
            "seed": [1, None, 3, 4],
            "model": [None, "gpt-image-2", None, "nope"],
            "quality": ["low"] * 4,
            "price": [1.5, 2.5, 3.5, 4.5],
        }
    )
    items = read(frame)
    assert items[:3] == [
        Item("a", {"seed": 1}, {"quality": "low", "price": 1.5}),
        Item("b", {"quality": "low"}, {"price": 2.5}, model="gpt-image-2"),
        "requests, row 3 has no prompt.",
    ]
    assert str(items[3]).startswith("Unknown model 'nope'.")
    assert "requests: the table needs a column prompt" in refused(frame[["seed"]])
    assert "several columns" in refused(pandas.DataFrame([["a", "b"]], columns=["prompt"] * 2))


def test_data_frames_among_requests() -> None:
    """Such as the chunks of a large file: each counts as its rows."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"prompt": ["a", "b"]})
    assert read(["x", frame, frame[:0], 7]) == [
        *(Item("x"), Item("a"), Item("b")),
        "request 4 has no rows.",
        "Request 5: expected a prompt, a mapping with a prompt, or an ImageRequest (got int).",
    ]


def test_a_data_frame_of_polars() -> None:
    """As one of pandas."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"prompt": ["a", "b"], "seed": [1, None], "price": [3, 4]})
    assert read(frame) == [Item("a", {"seed": 1}, {"price": 3}), Item("b", {}, {"price": 4})]


def test_scalars_of_numpy_become_python_values() -> None:
    """Also a prompt."""
    numpy = pytest.importorskip("numpy")
    item = read_request({"prompt": numpy.str_("a"), "seed": numpy.int64(7)}, 1)
    assert type(item.prompt) is str and type(item.parameters["seed"]) is int
    assert type(read_request(numpy.str_("a"), 1).prompt) is str


def test_images_of_tables_and_grids_keep_their_names() -> None:
    """As what the user called them, which the request does not have."""
    pandas = pytest.importorskip("pandas")
    items = [
        *read(pandas.DataFrame({"prompt": ["x", "y"], "image": ["a.png", None]})),
        *read(grid("z", image=["b.png"])),
    ]
    variables = [item.variables for item in items if isinstance(item, Item)]
    assert variables == [{"image": "a.png"}, {}, {"image": "b.png"}]
