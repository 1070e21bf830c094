"""The style that puts the images of a cell side by side, where a front end applies styles."""

from __future__ import annotations

import base64

_SIDE_BY_SIDE_CSS = (
    ".jp-OutputArea-output .mountsea-row{display:none}"
    ".jp-OutputArea:has(> .jp-OutputArea-child .mountsea-row){display:flex;flex-wrap:wrap}"
    ".jp-OutputArea:has(> .jp-OutputArea-child .mountsea-row) > .jp-OutputArea-child"
    "{flex:1 1 100%;width:auto}"
    ".jp-OutputArea:has(> .jp-OutputArea-child .mountsea-row) > .jp-OutputArea-child:has(img)"
    "{flex:0 1 auto;max-width:49%}"
)

# a link, not a style element: in Markdown made by nbconvert GitHub shows the style as text
SIDE_BY_SIDE = (
    '<link rel="stylesheet" href="data:text/css;base64,'
    f'{base64.b64encode(_SIDE_BY_SIDE_CSS.encode()).decode()}"><span class="mountsea-row"></span>'
)
"""Puts the images of a cell side by side in JupyterLab, Notebook and nbconvert's HTML; elsewhere
they appear one below the other."""
