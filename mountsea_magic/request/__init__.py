"""Requests: the model catalog, JSON Schema validation, and the validated request."""
