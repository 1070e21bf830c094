"""Chance: a source of our own, so that a notebook which seeds `random` keeps its numbers."""

from __future__ import annotations

import random

RNG = random.Random()
"""For the jitter of pauses, and for what is drawn by lot; nothing secret comes from it."""
