"""The caller of a magic: which variables it sees, and where a result is bound."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any

from ..errors import InvalidRequest
from ..runtime.text import sanitize

_SKIPPED_PACKAGES = frozenset({"IPython", "decorator", __name__.partition(".")[0]})
"""The packages whose frames lie between a magic and the code that calls it."""


class CallerNames(Mapping[str, Any]):
    """The names that a magic's caller sees: its locals, then its globals, then the notebook's.

    As in Python, an unassigned local hides a global of the same name. The repr shows no values, so
    that no traceback prints the user's variables.

    Args:
        frame: The frame of the calling code; None if there is none.
        notebook: The notebook's namespace.

    Example:
        >>> CallerNames(None, {"animal": "dog"})["animal"]
        'dog'
    """

    def __init__(self, frame: FrameType | None, notebook: Mapping[str, Any]) -> None:
        scopes: list[Mapping[str, Any]] = []
        unbound: set[str] = set()
        for scope in _function_scopes(frame):
            code = scope.f_code
            # a copy: since Python 3.13 `f_locals` is a view that keeps the frame alive
            scopes.append(dict(scope.f_locals))
            unbound.update(code.co_varnames, code.co_cellvars, code.co_freevars)
        unbound.difference_update(*scopes)
        self._lost = frozenset(_enclosing_locals(frame)).difference(*scopes)
        if frame is not None:
            scopes.append(frame.f_globals)
        self._scopes = [*scopes, notebook]
        self._unbound = unbound

    @classmethod
    def of_caller(cls, notebook: Mapping[str, Any]) -> CallerNames:
        """Return the names visible to the code that calls the magic.

        Args:
            notebook: The notebook's namespace.
        """
        return cls(_calling_frame(), notebook)

    def __getitem__(self, name: str) -> Any:
        if name in self._lost:
            raise InvalidRequest(
                f"'{sanitize(name, limit=60)}' is a variable of an enclosing function, which is "
                "not available in the function that runs the cell. Pass it as an argument."
            )
        if name not in self._unbound:
            for scope in self._scopes:
                if name in scope:
                    return scope[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys(name for scope in self._scopes for name in scope)
        return (name for name in names if name not in self._unbound)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<CallerNames, {len(self)} names>"


def bind(notebook: dict[str, Any], name: str, value: Any) -> None:
    """Bind a result in the notebook, and in the calling script or module if it uses the name.

    Args:
        notebook: The notebook's namespace.
        name: The variable's name.
        value: The result.
    """
    notebook[name] = value
    frame = _calling_frame()
    if frame is None:
        return
    # no new variable in a module that only forwards the call, such as a thread pool
    if frame.f_globals.get("__name__") == "__main__" or name in frame.f_code.co_names:
        frame.f_globals[name] = value


def _calling_frame() -> FrameType | None:
    """Return the innermost frame outside of this package and IPython."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _package(frame) in _SKIPPED_PACKAGES:
        frame = frame.f_back
    return frame


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _function_scopes(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frame if it has its own locals and, for a comprehension, the enclosing function.

    Up to Python 3.11 a comprehension runs in its own frame.
    """
    while frame is not None and frame.f_locals is not frame.f_globals:
        yield frame
        outer = frame.f_back
        frame = outer if outer and frame.f_code in outer.f_code.co_consts else None


def _enclosing_locals(frame: FrameType | None) -> Iterator[str]:
    """Yield the variables of the functions that enclose the caller's, as far as they can be found.

    A callback or a thread pool job runs after these have returned. Without this check a name would
    silently resolve to the notebook's variable.
    """
    if frame is None:
        return
    outermost, *inner = frame.f_code.co_qualname.split(".<locals>.")
    found: Any = frame.f_globals.get(outermost.partition(".")[0])
    for name in outermost.split(".")[1:]:
        found = inspect.getattr_static(found, name, None)
    code = getattr(inspect.unwrap(found), "__code__", None) if inner and callable(found) else None
    for name in inner:
        if code is None:
            return
        yield from (*code.co_varnames, *code.co_cellvars)
        last = name.rpartition(".")[2]
        parts = (part for part in code.co_consts if isinstance(part, CodeType))
        code = next((part for part in parts if part.co_name == last), None)
