"""The look of the form: its style, its texts as HTML, and the note that replaces it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...request.catalog import Catalog, Model
from ...runtime.text import escape_html, sanitize
from ...settings import Settings
from ..comparison_output import EMPTY_IMAGE
from ..outputs import DEMO_NOTE
from ..progress import TEXT_ONLY

STYLE = """<style>
.mountsea-form { border: 1px solid var(--jp-border-color1, #bdbdbd); border-radius: 6px;
  padding: 12px 16px; max-width: 1080px; box-sizing: border-box; margin: 4px 2px; }
.mountsea-form, .mountsea-form .widget-box, .mountsea-form .widget-gridbox { overflow: visible; }
.mountsea-form .widget-html, .mountsea-form .widget-html-content { height: auto;
  line-height: 1.4; min-width: 0; }
.mountsea-form .widget-label { text-align: left; }
.mountsea-form .mountsea-title { font-size: 115%; margin-bottom: 6px; }
.mountsea-form .mountsea-demo { border-left: 4px solid var(--jp-warn-color1, #f57c00);
  padding-left: 8px; }
.mountsea-form .mountsea-heading { font-weight: 600; margin-top: 10px; }
.mountsea-form .mountsea-field { margin-bottom: 4px; }
.mountsea-form .mountsea-note { margin: 0 2px 4px 142px; }
.mountsea-form .mountsea-images .mountsea-note { margin-left: 2px; }
.mountsea-form .mountsea-parts { margin-left: 24px; }
.mountsea-form .mountsea-help { font-size: 88%; color: var(--jp-ui-font-color1, #424242); }
.mountsea-form .mountsea-help code { font-size: 100%; background: none; padding: 0; }
.mountsea-form .mountsea-problem { font-weight: 600; color: var(--jp-ui-font-color0, #000);
  border-left: 4px solid var(--jp-error-color1, #d32f2f); padding-left: 6px; margin: 2px 0; }
.mountsea-form .mountsea-problem pre { white-space: pre-wrap; margin: 0; font-weight: 400; }
.mountsea-form .mountsea-cell { flex-wrap: wrap; }
.mountsea-form textarea { font-family: inherit; resize: vertical; }
.mountsea-form .mountsea-cell textarea { font-family: var(--jp-code-font-family, monospace);
  font-size: var(--jp-code-font-size, 13px); white-space: pre; overflow-x: auto; }
.mountsea-form .mountsea-buttons { margin: 8px 0 4px 0; flex-wrap: wrap; align-items: center; }
.mountsea-form .mountsea-progress .widget-hbox { align-items: center; }
.mountsea-form .mountsea-add-image { flex-wrap: wrap; align-items: center; }
.mountsea-form .mountsea-images .widget-hbox { align-items: center; }
.mountsea-form .mountsea-source { overflow-wrap: anywhere; }
.mountsea-form .mountsea-source img { vertical-align: middle; margin: 2px 6px 2px 0; }
.mountsea-form .mountsea-row-of-images { flex-flow: row wrap; gap: 8px 16px;
  align-items: flex-end; }
.mountsea-form .mountsea-row-of-images .jupyter-button { width: auto; align-self: flex-start; }
.mountsea-form .mountsea-several > * { max-width: calc(50% - 8px); }
.mountsea-form .mountsea-result { border-top: 1px solid var(--jp-border-color2, #e0e0e0);
  margin-top: 10px; padding-top: 8px; }
.mountsea-form small code { font-size: 100%; background: none; }
.mountsea-form figure { margin: 6px 0 0 0; }
.mountsea-form figure img { max-width: 100%; height: auto; display: block; }
.mountsea-form .mountsea-copy { padding: 4px 12px; cursor: pointer; }
.mountsea-form .jupyter-button:focus-visible, .mountsea-form .mountsea-copy:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
</style>"""
"""Colors come from JupyterLab's theme; the fallbacks are for front ends without one."""

_COPY = (
    "const form=this.closest('.mountsea-form'),text=form.querySelector('.mountsea-cell textarea'),"
    "done=()=>{this.textContent='Copied';setTimeout(()=>{this.textContent='Copy'},2000)},"
    "old=()=>{text.focus();text.select();if(document.execCommand('copy'))done()};"
    # pages that are not served securely have no clipboard
    "navigator.clipboard?navigator.clipboard.writeText(text.value).then(done,old):old()"
)

COPY_HTML = (
    f'<button type="button" class="mountsea-copy jupyter-button" onclick="{_COPY}" '
    'aria-live="polite">Copy</button>'
)
"""A button that copies the cell's text: it needs no kernel."""


LABEL_WIDTH = "132px"
"""The width of the labels, so that all controls of a column begin at the same place."""

MAX_UPLOAD_BYTES = 10_000_000
"""Jupyter's server closes the connection to the kernel at a larger message."""

_GUARD = (
    "const message=this.nextElementSibling,proto=HTMLInputElement.prototype,click=proto.click,"
    "check=event=>{const input=event.target;"
    "const size=[...input.files].reduce((sum,file)=>sum+file.size,0);"
    f"message.hidden=size<={MAX_UPLOAD_BYTES};"
    "if(!message.hidden){event.stopImmediatePropagation();input.value=''}},"
    # the input of ipywidgets is not in the page: it is seen only as the button's click opens it
    "watch=event=>{if(!event.target.closest('.widget-upload'))return;"
    "proto.click=function(){proto.click=click;"
    "this.removeEventListener('change',check,true);this.addEventListener('change',check,true);"
    "click.call(this)};setTimeout(()=>{proto.click=click})},"
    "begin=tries=>{const box=this.closest('.mountsea-images');"
    "if(box)box.addEventListener('click',watch,true);"
    "else if(tries)setTimeout(begin,200,tries-1)};begin(100)"
)

UPLOAD_GUARD_HTML = (
    f'<img alt="" style="display:none" src="{EMPTY_IMAGE}" onload="{_GUARD}">'
    '<div class="mountsea-problem" role="alert" hidden>⚠ Not uploaded: at most 10 MB at a time. '
    "Make the image smaller, or read the file in a cell and choose the variable.</div>"
)
"""Refuses an upload in the browser that is too large: it would be lost, and all later ones too."""

_TITLE = '<b role="heading" aria-level="3">New images</b>'

IMAGE_AS_TEXT = "An image: a path, a URL, or @ and the name of a variable."
ONLY_A_URL = "The URL of an image."
CLOSED = "The form was closed. This cell submits what was filled in:"
NO_WIDGETS = "A form, whose widgets can't be shown here. This cell submits what was filled in:"


def look_of(label: str) -> dict[str, Any]:
    """Return label and layout of a control, as arguments of its widget.

    Args:
        label: The label.
    """
    return {
        "description": label,
        "style": {"description_width": LABEL_WIDTH},
        "layout": {"width": "auto"},
    }


def heading_html(settings: Settings, note: str = "") -> str:
    """Return the heading, which names the Hub, and says so if it is the demo.

    Args:
        settings: The settings.
        note: A sentence below the title, or an empty text.
    """
    more = f'<div class="mountsea-help">{escape_html(note)}</div>' if note else ""
    if settings.is_demo:
        what = escape_html(DEMO_NOTE.partition(":")[2].strip())
        return (
            f'<div class="mountsea-title mountsea-demo">{_TITLE} · '
            f"<b>Demo Hub</b>: {what}{more}</div>"
        )
    hub = escape_html(settings.base_url)
    return f'<div class="mountsea-title {TEXT_ONLY}">{_TITLE} · Hub: {hub}{more}</div>'


def model_options(catalog: Catalog) -> list[tuple[str, str]]:
    """Return the entries of the list of models: name and mode, and the id.

    Args:
        catalog: The models.

    Example:
        >>> from mountsea_magic.request.catalog import bundled_catalog
        >>> model_options(bundled_catalog())[0]
        ('Nano Banana · text-to-image', 'nano-banana')
    """
    entries: dict[str, str] = {}
    for model in catalog:
        label = " · ".join(sanitize(text, limit=60) for text in (model.name, model.mode) if text)
        if not label or label in entries:
            label = f"{label} · {sanitize(model.id, limit=60)}"
        entries[label] = model.id
    return list(entries.items())


def model_note(model: Model, left_out: Sequence[str]) -> str:
    """Return what a model is good at, and its parameters that have no field.

    Args:
        model: The model.
        left_out: The parameters without a field.
    """
    text = sanitize(model.summary, limit=300)
    if left_out:
        names = ", ".join(sanitize(name, limit=40) for name in left_out[:20])
        text += f" Without a field here: {names}; a cell sets them with -p NAME=VALUE."
    return f'<div class="mountsea-help {TEXT_ONLY}">{escape_html(text)}</div>'


def note_of(cell: str, message: str = "", *, title: str) -> dict[str, str]:
    """Return the mimebundle of a plain note with the text of a cell.

    Args:
        cell: The cell's text.
        message: A sentence below the cell, or an empty text.
        title: The line above the cell.
    """
    html = (
        f'<div class="{TEXT_ONLY}"><small>{title}</small><pre>{escape_html(cell)}</pre>'
        + (f"<small>{escape_html(message)}</small>" if message else "")
        + "</div>"
    )
    return {"text/html": html, "text/plain": "\n".join(filter(None, (title, cell, message)))}


def widgets_bundle(root: Any, note: dict[str, str]) -> dict[str, Any]:
    """Return the mimebundle of a widget, with a note for where no widgets are shown.

    Args:
        root: The widget.
        note: The mimebundle of the note.
    """
    # as ipywidgets 8 does it: widgets of ipywidgets 7 can't be displayed with a display id; no
    # HTML, which a front end could prefer to the widget
    view = {"version_major": 2, "version_minor": 0, "model_id": root.model_id}
    return {
        "application/vnd.jupyter.widget-view+json": view,
        "text/plain": note["text/plain"],
    }
