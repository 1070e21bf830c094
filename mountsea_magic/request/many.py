"""What `generate_many` accepts: prompts, mappings, requests and tables, read into items."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from ..errors import InvalidRequest
from ..runtime.text import sanitize
from .catalog import Model
from .grid import GridItem
from .request import DEFAULT_MODEL, ImageRequest
from .sweep import Item, as_images, names_of_images
from .tables import read_table
from .values import is_data_frame, is_missing, python_value


def read_requests(
    requests: Any, *, model: str = DEFAULT_MODEL, find_model: Callable[[str], Model]
) -> Iterator[Item | InvalidRequest]:
    """Read the argument of `generate_many`, one item at a time.

    Args:
        requests: A DataFrame, or an iterable of prompts, mappings, `ImageRequest`s and DataFrames.
        model: The model of rows that name none.
        find_model: Returns the model with an id, or raises `InvalidRequest`; its parameters
            decide which columns of a DataFrame are set.

    Returns:
        An iterator over the items; a wrong one is yielded as its error, so that those after it can
        still be drawn. What an iterator of the user raises passes through.

    Raises:
        InvalidRequest: If the argument is neither a DataFrame nor an iterable of requests.

    Example:
        >>> from mountsea_magic.request.catalog import bundled_catalog
        >>> requests = ["a dog", {"prompt": "a cat", "seed": 7}]
        >>> [item.prompt for item in read_requests(requests, find_model=bundled_catalog().model)]
        ['a dog', 'a cat']
    """
    if is_data_frame(requests):
        return iter(items_of_table(requests, "requests", model=model, find_model=find_model))
    kind = sanitize(type(requests).__name__, limit=60)
    is_single = isinstance(requests, str | Mapping | ImageRequest)
    if is_single or isinstance(requests, bytes | bytearray) or not isinstance(requests, Iterable):
        cure = "put it in a list" if is_single else "pass prompts or mappings"
        raise InvalidRequest(f"requests must be a list or another iterable (got {kind}); {cure}.")
    return _each(requests, model, find_model)


def _each(
    requests: Iterable[Any], model: str, find_model: Callable[[str], Model]
) -> Iterator[Item | InvalidRequest]:
    """Read the requests as they are drawn; a DataFrame among them counts as its rows."""
    number = 0
    for request in requests:
        items = read_drawn(request, number + 1, model=model, find_model=find_model)
        number += len(items)
        yield from items


def read_drawn(
    request: Any, number: int, *, model: str = DEFAULT_MODEL, find_model: Callable[[str], Model]
) -> list[Item | InvalidRequest]:
    """Read what was drawn from an iterator: one request, or a DataFrame, which counts as its rows.

    Args:
        request: As for `read_request`; or a DataFrame.
        number: The number of the request, or of the first row, from 1.
        model: The model of rows that name none.
        find_model: Returns the model with an id, or raises `InvalidRequest`.

    Returns:
        The items; a wrong one is its error.

    Example:
        >>> from mountsea_magic.request.catalog import bundled_catalog
        >>> len(read_drawn("a dog", 1, find_model=bundled_catalog().model))
        1
    """
    try:
        if is_data_frame(request):
            label = f"request {number}"
            return items_of_table(request, label, model=model, find_model=find_model)
        return [read_request(request, number)]
    except InvalidRequest as error:
        return [error]


def read_request(request: Any, number: int) -> Item:
    """Read one request; its parameters are validated when it is built.

    Args:
        request: A prompt, a mapping, an item of `grid`, or an `ImageRequest`. None and NaN in a
            mapping set nothing.
        number: Its number, from 1, for error messages.

    Raises:
        InvalidRequest: If it is of another type, or has no prompt.

    Example:
        >>> read_request({"prompt": "a cat", "model": "gpt-image-2", "seed": None}, 1)
        Item(prompt='a cat', parameters={}, variables={}, model='gpt-image-2', images=(), \
request=None)
    """
    label = f"Request {number}"
    if isinstance(request, str):
        return Item(str(request))
    if isinstance(request, ImageRequest):
        return Item(request.prompt, model=request.model, request=request)
    if not isinstance(request, Mapping):
        kind = sanitize(type(request).__name__, limit=60)
        raise InvalidRequest(
            f"{label}: expected a prompt, a mapping with a prompt, or an ImageRequest (got {kind})."
        )
    if wrong := [name for name in request if not isinstance(name, str)]:
        raise InvalidRequest(f"{label}: names must be text (got {sanitize(wrong[0], limit=60)}).")
    given = {name: python_value(value) for name, value in request.items()}
    given = {name: value for name, value in given.items() if not is_missing(value)}
    variables = {}
    if isinstance(request, GridItem):
        variables = names_of_images(given) | request.variables
    return _item(given, variables, label)


def is_sequence(requests: Any) -> bool:
    """Return whether requests can be validated before the first is sent: a list or a table.

    Args:
        requests: The argument of `generate_many`.

    Example:
        >>> is_sequence(["a dog"]), is_sequence(iter(["a dog"]))
        (True, False)
    """
    return isinstance(requests, Collection) or is_data_frame(requests)


def items_of_table(
    table: Any, label: str, *, model: str, find_model: Callable[[str], Model]
) -> list[Item | InvalidRequest]:
    """Read the rows of a DataFrame; columns that the row's model does not know are variables.

    Args:
        table: The DataFrame, with a column ``prompt``.
        label: How the user referred to it, for error messages.
        model: The model of rows that name none.
        find_model: Returns the model with an id, or raises `InvalidRequest`.

    Returns:
        Each row's item, or its error.

    Raises:
        InvalidRequest: If the table can't be read, or has no column ``prompt``.
    """
    read = read_table(table, label=label)
    if "prompt" not in read.columns:
        raise InvalidRequest(f"{label}: the table needs a column prompt.")
    items: list[Item | InvalidRequest] = []
    for number, row in enumerate(read.rows, start=1):
        try:
            named = row.get("model", model)
            known = find_model(named) if isinstance(named, str) else None
            sets = {"prompt", "model", "image", *(known.parameters if known else ())}
            given = {name: value for name, value in row.items() if name in sets}
            variables = names_of_images(row)
            variables |= {name: value for name, value in row.items() if name not in sets}
            items.append(_item(given, variables, f"{label}, row {number}"))
        except InvalidRequest as error:
            items.append(error)
    return items


def _item(given: dict[str, Any], variables: dict[str, Any], label: str) -> Item:
    """Make an item of its prompt, model, images and parameters."""
    prompt, model = given.pop("prompt", None), given.pop("model", None)
    images = as_images(given.pop("image")) if "image" in given else ()
    for name, text in (("prompt", prompt), ("model", model)):
        if text is None and name == "prompt":
            raise InvalidRequest(f"{label} has no prompt.")
        if text is not None and not isinstance(text, str):
            kind = sanitize(type(text).__name__, limit=60)
            raise InvalidRequest(f"{label}: {name} must be text (got {kind}).")
    return Item(str(prompt), given, variables, model, images)
