"""The defaults and limits of settings, all that `%load_ext` needs of them."""

from __future__ import annotations

DEFAULT_TIMEOUT_S = 600.0
"""How long to wait for a task, in seconds."""

DEFAULT_PREVIEW_PX = 768
"""The longest side of a preview, in pixels."""

DEFAULT_CONCURRENCY = 4
"""How many tasks of a cell or batch run at the Hub at the same time."""

DEFAULT_POLLS_PER_S = 50.0
"""How many polls a second all tasks of a batch may make together."""

DEFAULT_CONFIRM_ABOVE = 16
"""How many images a cell orders without asking."""

MAX_BUDGET = 10**9
"""The largest budget, in images."""
