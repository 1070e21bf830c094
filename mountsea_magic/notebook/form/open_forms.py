"""The open forms of this kernel: one for each cell; all become plain notes before it ends."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol

from ...runtime.exit_hook import call_at_exit


class OpenForm(Protocol):
    """A form that can be closed."""

    def close(self) -> None:
        """Replace the form by a plain note."""


class OpenForms:
    """The open forms, by the cell that showed them.

    Example:
        >>> OpenForms().close_all()
    """

    def __init__(self) -> None:
        self._forms: list[tuple[str, OpenForm]] = []
        self._pid = os.getpid()

    def add(self, form: OpenForm, cell_id: str) -> None:
        """Add a form; one that the same cell has shown before is closed.

        Args:
            form: The form.
            cell_id: The id of its cell, or an empty text where the front end gives none.
        """
        former = [each for known, each in self._forms if cell_id and known == cell_id]
        self._forms.append((cell_id, form))
        self._pid = os.getpid()
        call_at_exit(self.close_all)
        for each in former:
            each.close()

    def remove(self, form: OpenForm) -> None:
        """Forget a form that was closed.

        Args:
            form: The form.
        """
        self._forms = [item for item in self._forms if item[1] is not form]

    def close_all(self) -> None:
        """Close all forms, when the extension is unloaded or the kernel ends."""
        if os.getpid() != self._pid:
            return  # a forked child that ends: the forms are its parent's
        for _, form in list(self._forms):
            with suppress(Exception):  # one that can't be closed must not keep the others open
                form.close()


OPEN_FORMS = OpenForms()
"""The open forms of this process."""
