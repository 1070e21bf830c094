"""A separate random number generator: notebooks that seed `random` get unchanged numbers."""

from __future__ import annotations

import random

RNG = random.Random()
"""For the jitter of pauses and for random choices; not for secrets."""
