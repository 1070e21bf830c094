"""IPython and ipywidgets: the magics, their options, progress and outputs."""
