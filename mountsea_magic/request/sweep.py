"""A sweep: every prompt, row of a table and combination of axes is one request to build."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, SupportsIndex, overload

from ..errors import InvalidRequest
from ..runtime.text import is_pasteable, listed, quoted, sanitize
from .axes import Axis, Product
from .catalog import IMAGES, Model, bundled_catalog
from .request import DEFAULT_MODEL, MAX_PROBLEMS, ImageRequest, recorded
from .tables import Table
from .templates import names_used, render

MAX_REQUESTS = 10_000
"""The limit of requests of one cell: all are validated before the first is submitted."""


@dataclass(frozen=True, slots=True)
class Item:
    """One request to be built: what a sweep, a table or a mapping sets.

    Attributes:
        prompt: The prompt as it is sent.
        parameters: The parameters that are set, as typed or Python values; not yet validated.
        variables: What filled the prompt, and other columns: kept with the result, never sent.
        model: The model, or None for the default.
        images: The input images: each an `ImageWord`, or what `to_urls` accepts.
        request: The validated request, if the user passed one; then only the prompt is set too.
    """

    prompt: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    images: tuple[Any, ...] = ()
    request: ImageRequest | None = None


class Sweep(Sequence[Item]):
    """The requests of a cell, each made when it is asked for.

    Prompts are the first axis, then the rows of the table, then the axes, in the order of
    `itertools.product`. A name that the prompt uses fills it; a parameter of the model, ``model``
    and ``image`` are set; other columns of the table are kept with the item, and never sent.

    Args:
        prompts: The prompts, as typed.
        axes: The axes.
        table: The table, or None.
        model: The model of items that name none.
        find_model: Returns the model with an id, or raises `InvalidRequest`.
        names: The caller's names, for the prompts' ``{{ }}``.
        options: The parameters that are set by options; ``model`` and ``image`` count as such.
        raw: Take the prompts literally.

    Raises:
        InvalidRequest: With all problems of the names, one per line. Problems of a single request,
            such as an empty cell that its prompt uses, are raised when the item is asked for.

    Example:
        >>> from mountsea_magic.request.catalog import bundled_catalog
        >>> axes = [Axis("time", ("dawn", "noon")), Axis("seed", range(2))]
        >>> sweep = Sweep(["A bay at {{ time }}"], axes=axes, find_model=bundled_catalog().model)
        >>> len(sweep), sweep[2].prompt, sweep[2].parameters
        (4, 'A bay at noon', {'seed': 0})
    """

    def __init__(
        self,
        prompts: Sequence[str],
        *,
        axes: Sequence[Axis] = (),
        table: Table | None = None,
        model: str = DEFAULT_MODEL,
        find_model: Callable[[str], Model],
        names: Mapping[str, Any] | None = None,
        options: Collection[str] = (),
        raw: bool = False,
    ) -> None:
        self.prompts, self.axes, self.table = tuple(prompts), tuple(axes), table
        self._model = model
        self._names = {} if names is None else names
        self._raw = raw
        self._rows: Sequence[Mapping[str, Any]] = [{}] if table is None else table.rows
        self._columns = () if table is None else table.columns
        self._product = Product(self.prompts, self._rows, *(axis.values for axis in self.axes))
        self._used, problems = self._names_used()
        self._all_used = frozenset[str]().union(*self._used.values())
        self._models, unknown = self._find_models(find_model)
        problems += unknown
        if not problems:  # otherwise what a name means is not known
            problems += [*self._meaningless_axes(), *self._meaningless_table()]
        problems += self._conflicts(options)
        if not problems and len(self) > MAX_REQUESTS:
            problems.append(
                f"This cell has {len(self):,} requests; at most {MAX_REQUESTS:,} are possible. "
                "Use mountsea_magic.agenerate_many for more."
            )
        if problems:
            raise InvalidRequest("\n".join([*dict.fromkeys(problems)][:MAX_PROBLEMS]))

    def __len__(self) -> int:
        return len(self._product)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        prompt, row, *values = self._product[index]
        on_axes = {axis.name: value for axis, value in zip(self.axes, values, strict=True)}
        given = {**row, **on_axes}
        model = self._models[given.get("model", self._model)]
        used = self._used[prompt]
        parameters = {
            name: value
            for name, value in given.items()
            if name not in ("model", "image") and self._sets(model, name, name in on_axes)
        }
        # otherwise `image` is just a name in a prompt
        sets_images = "image" not in self._all_used or model.image_parameter is not None
        sent = {"model", *parameters, *(["image"] if sets_images else [])}
        images = {"image": given["image"]} if "image" in given and sets_images else {}
        return Item(
            self._filled(prompt, given),
            parameters=parameters,
            variables=names_of_images(images)
            | {name: value for name, value in given.items() if name in used or name not in sent},
            model=given.get("model"),
            images=as_images(given["image"]) if images else (),
        )

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))

    def label(self, index: SupportsIndex) -> str:
        """Return what distinguishes an item from the others, for error messages.

        Args:
            index: The item's index.

        Returns:
            Such as ``Prompt 2, row 3, seed=7``; empty if there is a single prompt and no axis.
        """
        prompt, row, *positions = self._product.positions(index)
        parts = [f"prompt {prompt + 1}"] if len(self.prompts) > 1 else []
        parts += [f"row {row + 1}"] if self.table is not None else []
        if parts:
            parts[0] = parts[0].capitalize()
        for axis, position in zip(self.axes, positions, strict=True):
            parts.append(f"{axis.name}={sanitize(axis.values[position], limit=40)}")
        return ", ".join(parts)

    def _sets(self, model: Model, name: str, is_axis: bool) -> bool:
        """Whether a name sets a parameter.

        A model without a schema accepts any name: an axis that fills no prompt can only be a
        parameter, but a column may be a remark.
        """
        return name in model.parameters or (is_axis and name not in self._all_used)

    def _filled(self, prompt: str, given: Mapping[str, Any]) -> str:
        """Fill in a prompt; an empty cell hides the caller's variable of that name."""
        if self._raw:
            return prompt
        used = self._used[prompt]
        empty = [name for name in self._columns if name in used and name not in given]
        others = used.difference(given, empty)
        known = {name: self._names[name] for name in others if name in self._names}
        try:
            return render(prompt, {**known, **given})
        except InvalidRequest as error:
            if not empty:
                raise
            raise InvalidRequest(
                f"The prompt uses {listed(empty)}, which is empty in this row of --table."
            ) from error

    def _names_used(self) -> tuple[dict[str, frozenset[str]], list[str]]:
        """Return the names that each prompt uses, and the prompts' syntax errors."""
        used: dict[str, frozenset[str]] = {}
        problems = []
        for number, prompt in enumerate(self.prompts, start=1):
            try:
                used[prompt] = frozenset() if self._raw else names_used(prompt)
            except InvalidRequest as error:
                label = f"Prompt {number}: " if len(self.prompts) > 1 else ""
                problems.append(f"{label}{error}")
        return used, problems

    def _find_models(
        self, find_model: Callable[[str], Model]
    ) -> tuple[dict[Any, Model], list[str]]:
        """Return the models that items name, and what is wrong with the others."""
        named = [value for axis in self.axes if axis.name == "model" for value in axis.values]
        if not named:
            named = [row.get("model", self._model) for row in self._rows]
        models: dict[str, Model] = {}
        problems = []
        for value in named:
            try:
                if not isinstance(value, str):
                    raise InvalidRequest(f"model must be text (got {sanitize(value, limit=60)}).")
                if value not in models:
                    models[value] = find_model(value)
            except InvalidRequest as error:
                problems.append(str(error))
        return models, problems

    def _conflicts(self, options: Collection[str]) -> Iterator[str]:
        """Say what is set twice: by two axes, an option, or a column."""
        names = [axis.name for axis in self.axes]
        for name in dict.fromkeys(names):
            shown = sanitize(name, limit=60)
            if names.count(name) > 1:
                yield f"--grid {shown} is given twice; put all its values on one axis."
            if any(_sets_same(name, option) for option in options):
                yield f"{shown} is set by an option and by --grid; remove one of them."
            if any(_sets_same(name, column) for column in self._columns):
                yield f"{shown} is set by --grid and by a column of --table; remove one of them."
            if any(_sets_same(name, other) and other < name for other in names):
                yield f"--grid {shown} and another axis both set the input images; remove one."

    def _meaningless_axes(self) -> Iterator[str]:
        """Say which axes set nothing and fill nothing."""
        models = list(self._models.values())
        for axis in self.axes:
            if not axis.values:
                yield f"--grid {sanitize(axis.name, limit=60)} has no values."
            if axis.name == "model" or axis.name in self._all_used:
                continue
            if axis.name in IMAGES and not any(_takes_images(model) for model in models):
                yield _no_images(axis.name, models[0])
            elif axis.name != "image" and not any(model.takes(axis.name) for model in models):
                yield self._unknown_axis(axis.name, models)

    def _unknown_axis(self, name: str, models: Sequence[Model]) -> str:
        """Return the message for an axis that neither a model nor a prompt knows."""
        shown = sanitize(name, limit=60)
        message = (
            f"--grid {shown}: neither a parameter of {listed(model.id for model in models)} nor a "
            "name that the prompt uses."
        )
        known = {*self._all_used, "model"}.union(*(model.parameters for model in models))
        close = get_close_matches(name, sorted(filter(is_pasteable, known)), n=2)
        if name == "prompt":
            return f"{message} Separate prompts by a line of only ---."
        if close:
            return f"{message} Did you mean {' or '.join(close)}?"
        if self._raw or not name.isidentifier():
            return message
        return f"{message} Write {{{{ {shown} }}}} in the prompt to fill it in."

    def _meaningless_table(self) -> Iterator[str]:
        """Say if no column sets or fills anything, which would submit one request many times."""
        known = {"model", "image"}.union(
            self._all_used, *(model.parameters for model in self._models.values())
        )
        if self._columns and known.isdisjoint(self._columns):
            yield (
                f"No column of --table is used ({listed(self._columns, max_items=8)}). Name one in "
                "the prompt, such as {{ animal }}, or like a parameter of the model."
            )


def merge_problems(found: Iterable[tuple[str, InvalidRequest]], count: int) -> InvalidRequest:
    """Merge the errors of several items into one, which says once what many share.

    Args:
        found: The label and the error of each wrong item; there is at least one.
        count: The number of all items, with those that are not wrong.

    Example:
        >>> wrong = InvalidRequest("seed must be a whole number.")
        >>> print(merge_problems([("seed=a", wrong), ("seed=b", wrong)], count=3))
        seed=a and 1 more: seed must be a whole number.
    """
    labels: dict[str, list[str]] = {}
    cause: BaseException | None = None
    for label, error in found:
        cause = cause or error.__cause__
        for line in dict.fromkeys(str(error).split("\n")):
            labels.setdefault(line, []).append(label)
    lines = []
    for line, where in labels.items():
        others = f" and {len(where) - 1:,} more" if len(where) > 1 else ""
        is_shared_by_all = len(where) == count or not where[0]
        lines.append(line if is_shared_by_all else f"{where[0]}{others}: {line}")
    if len(lines) > MAX_PROBLEMS:
        lines[MAX_PROBLEMS:] = [f"… and {len(lines) - MAX_PROBLEMS:,} more problems."]
    merged = InvalidRequest("\n".join(lines))
    merged.__cause__ = cause
    return merged


def as_images(value: Any) -> tuple[Any, ...]:
    """Return the input images of one item: those of a list, or the one image.

    Args:
        value: An image, or a list or tuple of images.

    Example:
        >>> as_images("dog.png"), as_images(["a.png", "b.png"])
        (('dog.png',), ('a.png', 'b.png'))
    """
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def names_of_images(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input image of one item as a variable: what the user called it.

    The request has only its content. An image that is a value, such as a PIL image, has no name.

    Args:
        given: What an item sets, with ``image`` or without.

    Example:
        >>> names_of_images({"image": "dog.png", "seed": 7}), names_of_images({"seed": 7})
        ({'image': 'dog.png'}, {})
    """
    image = given.get("image")
    if not isinstance(image, str):
        return {}
    return {"image": recorded(str(image))}


def _takes_images(model: Model) -> bool:
    """Whether a model accepts input images; one without a schema may."""
    return model.image_parameter is not None or model.takes(IMAGES[0])


def _no_images(name: str, model: Model) -> str:
    """Return the message for an axis of images, with an edit model to use instead."""
    sibling = f"{model.id}-edit"
    edit = sibling if sibling in bundled_catalog().models else "nano-banana-edit"
    return f"--grid {name}: {quoted(model.id)} does not accept images. Use --model {edit}."


def _sets_same(name: str, other: str) -> bool:
    """Whether two names set the same parameter: all names for input images do."""
    return name == other or (name in IMAGES and other in IMAGES)
