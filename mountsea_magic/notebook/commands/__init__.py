"""The ``%mountsea`` commands."""
