"""The painter: what the demo Hub draws in place of a model, from a prompt and a seed."""

from .paint import paint

__all__ = ["paint"]
