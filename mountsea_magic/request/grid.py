"""`grid`: every combination of some values, as mappings for `generate_many`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex, overload

from ..errors import InvalidRequest
from ..runtime.text import listed, sanitize
from .axes import Axis, Product, axis_values
from .templates import names_used, render


class GridItem(dict[str, Any]):
    """One request of a grid: its prompt and parameters.

    It is a dict, equal to a plain one with the same items; a changed copy, such as
    ``item | {"num_images": 2}``, is a plain one without the variables.

    Attributes:
        variables: The values that filled the prompt.
    """

    def __init__(self, items: dict[str, Any], variables: dict[str, Any]) -> None:
        super().__init__(items)
        self.variables = variables


class Grid(Sequence[GridItem]):
    """The combinations of `grid`, each made when it is asked for.

    Attributes:
        axes: The axes, for a contact sheet; several prompts are the first.

    Args:
        prompts: The prompts; the first axis.
        axes: The values of each name.
        fills: The names that fill the prompts.
    """

    def __init__(
        self, prompts: Sequence[str], axes: dict[str, Sequence[Any]], fills: frozenset[str]
    ) -> None:
        self._names, self._fills = tuple(axes), fills
        self.axes = tuple(Axis(name, values) for name, values in axes.items())
        if len(prompts) > 1:
            self.axes = (Axis("prompt", prompts), *self.axes)
        self._product = Product(prompts, *axes.values())

    def __len__(self) -> int:
        return len(self._product)

    @overload
    def __getitem__(self, index: SupportsIndex) -> GridItem: ...

    @overload
    def __getitem__(self, index: slice) -> list[GridItem]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        prompt, *values = self._product[index]
        given = dict(zip(self._names, values, strict=True))
        variables = {name: value for name, value in given.items() if name in self._fills}
        parameters = {name: value for name, value in given.items() if name not in self._fills}
        return GridItem({"prompt": render(prompt, variables), **parameters}, variables)

    def __iter__(self) -> Iterator[GridItem]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<grid of {len(self):,} requests: {', '.join(['prompt', *self._names])}>"


def grid(prompt: str | Sequence[str], /, **axes: Any) -> Grid:
    """Return every combination of some values as mappings, for `generate_many`.

    Args:
        prompt: The prompt, or several, which are the first axis. ``{{ name }}`` in it is filled in.
        **axes: The values of each name: a list, range, Series, array or other iterable. A name
            that the prompt uses only fills it; others are parameters, ``model`` or ``image``.

    Returns:
        A sequence of mappings in the order of `itertools.product`. They are made when they are
        asked for, so that it needs no memory for them.

    Raises:
        InvalidRequest: If an axis is empty or not iterable, or the prompt uses another name.

    Example:
        >>> cats_and_dogs = grid("A {{ animal }}", animal=["cat", "dog"], seed=range(3))
        >>> len(cats_and_dogs), cats_and_dogs[4]
        (6, {'prompt': 'A dog', 'seed': 1})
        >>> cats_and_dogs[4].variables
        {'animal': 'dog'}
    """
    prompts = [prompt] if isinstance(prompt, str) else axis_values(prompt, "prompt")
    if wrong := [text for text in prompts if not isinstance(text, str)]:
        kind = sanitize(type(wrong[0]).__name__, limit=60)
        raise InvalidRequest(f"A prompt must be text (got {kind}).")
    used = frozenset[str]().union(*(names_used(text) for text in prompts))
    cause: BaseException | None = None
    problems = []
    if unknown := sorted(used.difference(axes)):
        problems.append(f"The prompt uses {listed(unknown)}; pass {unknown[0]}=[…].")
    if "prompt" in axes and "prompt" not in used:
        problems.append("prompt is the first argument; pass a list for several prompts.")
    read: dict[str, Sequence[Any]] = {}
    for name, values in axes.items():
        try:
            read[name] = axis_values(values, name, cure=f"pass {name}=[…]")
        except InvalidRequest as error:
            problems.append(str(error))
            cause = cause or error.__cause__
    if problems:
        raise InvalidRequest("\n".join(problems)) from cause
    return Grid(prompts, read, used)
