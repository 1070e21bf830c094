"""Pictures in notebooks: an IPython magic for the Mountsea Hub's image API."""

__version__ = "0.1.0.dev0"
