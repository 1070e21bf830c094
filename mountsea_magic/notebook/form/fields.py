"""The fields of the form: for each parameter of a model's schema the control that fits it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...request.catalog import Model
from ...request.coercion import read_value
from ...request.request import problems_by_parameter
from ...runtime.text import escape_html, json_text
from .layout import look_of
from .schema import (
    Schema,
    alternatives,
    as_typed,
    default_text,
    enum_of,
    has_parts,
    help_html,
    is_bounded,
    is_same,
    kind_of,
    label_of,
    note_html,
    value_text,
    without_null,
)

UNSET: Any = object()
"""The value of a field that sends nothing."""

MAX_FIELDS = 40
"""The maximum number of fields of a form; the parameters beyond are named."""


class Field(ABC):
    """A parameter's field: its control, its help, and what is wrong with its value.

    Attributes:
        name: The parameter's name.
        schema: Its schema.
        controls: The widgets that the user changes.
        box: The widget that shows all of it.
        is_required: Whether a request must have the parameter.

    Args:
        name: The parameter's name.
        schema: Its schema.
        controls: The widgets.
    """

    is_required = False

    def __init__(self, name: str, schema: Schema, *controls: Any) -> None:
        import ipywidgets

        self.name, self.schema, self.controls = name, schema, controls
        self._help = help_html(schema, name)
        self._note = ipywidgets.HTML(note_html(self._help))
        self._note.add_class("mountsea-note")
        self.box = ipywidgets.VBox([*controls, self._note])
        self.box.add_class("mountsea-field")

    @abstractmethod
    def typed(self) -> Any:
        """Return the value as it would be typed on a cell's line, or `UNSET`."""

    @abstractmethod
    def fill(self, typed: Any) -> None:
        """Show a value that `typed` of a field with this name has returned, if this control can.

        Args:
            typed: The value.
        """

    def on_change(self, changed: Callable[[Any], None]) -> None:
        """Call a function when the user changes the value.

        Args:
            changed: Takes traitlets' description of the change.
        """
        for control in self.controls:
            control.observe(changed, "value")

    def show_problems(self, problems: Sequence[str]) -> None:
        """Show what is wrong with the value beside it.

        Args:
            problems: The messages; none if the value is right.
        """
        self._note.value = note_html(self._help, problems)

    def leave_out_option(self) -> None:
        """Describe the value only: a property of an object has no option of its own."""
        self._help = help_html(self.schema, required=self.is_required)
        self._note.value = note_html(self._help)

    def add_help(self, text: str) -> None:
        """Say more about what can be filled in.

        Args:
            text: A sentence.
        """
        self._help += f" {escape_html(text)}"
        self._note.value = note_html(self._help)

    def require(self) -> None:
        """Begin with the default, and send it too: a request must have the parameter."""
        self.is_required = True
        self._help = help_html(self.schema, self.name, required=True)
        self._note.value = note_html(self._help)
        default = self.schema.get("default")
        if default is not None:
            self.fill(as_typed(default, self.schema))

    def changed(self) -> Any:
        """Return what the user has set, or `UNSET`, also for a default that is sent."""
        value = self.typed()
        is_default = is_same(read_value(value, self.schema), self.schema.get("default"))
        return UNSET if self.is_required and is_default else value

    def own_problems(self, model: Model) -> list[str]:
        """Return what is wrong with parts of the value, in more detail than the schema's message.

        Args:
            model: The model.
        """
        return []


class ChoiceField(Field):
    """A closed list of values; the first entry sends nothing."""

    def __init__(self, name: str, schema: Schema, values: Sequence[Any]) -> None:
        import ipywidgets

        self._values = [as_typed(value, schema) for value in values]
        entries = [default_text(schema), *map(value_text, values)]
        control = ipywidgets.Dropdown(
            options=[(text, index) for index, text in enumerate(entries)],
            value=0,
            **look_of(label_of(name)),
        )
        super().__init__(name, schema, control)

    def typed(self) -> Any:
        """Return the value of the entry, or `UNSET`."""
        index = self.controls[0].value
        return self._values[index - 1] if index else UNSET

    def require(self) -> None:
        """Begin with the default, or ask for a choice."""
        options = self.controls[0].options
        self.controls[0].options = [("choose one", 0), *options[1:]]
        super().require()

    def fill(self, typed: Any) -> None:
        """Select the entry with a value."""
        for index, value in enumerate(self._values, start=1):
            if is_same(value, typed):
                self.controls[0].value = index


class FlagField(Field):
    """A checkbox, for a boolean with a default; sent only if it differs from that."""

    def __init__(self, name: str, schema: Schema) -> None:
        import ipywidgets

        self._default = bool(schema["default"])
        super().__init__(
            name, schema, ipywidgets.Checkbox(value=self._default, **look_of(label_of(name)))
        )

    def typed(self) -> Any:
        """Return True or False, or `UNSET` for the default."""
        value = bool(self.controls[0].value)
        return UNSET if value == self._default and not self.is_required else value

    def fill(self, typed: Any) -> None:
        """Set the checkbox."""
        if isinstance(typed, bool):
            self.controls[0].value = typed


class NumberField(Field):
    """A number between bounds; sent only if it differs from the default.

    No slider: the handles of ipywidgets' sliders have no accessible name. No `BoundedIntText`: it
    changes 9 to the maximum without a word, and Generate would order that.
    """

    def __init__(self, name: str, schema: Schema) -> None:
        import ipywidgets

        self._default = schema["default"]
        step = 1 if schema["type"] == "integer" else None
        control = ipywidgets.FloatText(value=self._default, step=step, **look_of(label_of(name)))
        super().__init__(name, schema, control)

    def typed(self) -> Any:
        """Return the number, or `UNSET` for the default."""
        number = self.controls[0].value
        if number == self._default:
            return self._default if self.is_required else UNSET
        return read_value(number, self.schema)

    def fill(self, typed: Any) -> None:
        """Set the number."""
        number = read_value(typed, self.schema)
        if isinstance(number, int | float) and not isinstance(number, bool):
            self.controls[0].value = number


class TextField(Field):
    """Text, or a value that is read by the schema as on a cell's line; empty sends nothing."""

    def __init__(self, name: str, schema: Schema) -> None:
        import ipywidgets

        placeholder = default_text(schema)
        control = ipywidgets.Text(value="", placeholder=placeholder, **look_of(label_of(name)))
        super().__init__(name, schema, control)

    def typed(self) -> Any:
        """Return the text, or `UNSET` if it is blank."""
        text: str = self.controls[0].value
        return text if text.strip() else UNSET

    def fill(self, typed: Any) -> None:
        """Set the text."""
        self.controls[0].value = typed if isinstance(typed, str) else json_text(typed)


class ChoicesField(Field):
    """Several of a closed list of values; none of them sends nothing."""

    def __init__(self, name: str, schema: Schema, values: Sequence[Any]) -> None:
        import ipywidgets

        self._values = list(values)
        control = ipywidgets.SelectMultiple(
            options=[(value_text(value), index) for index, value in enumerate(values)],
            rows=min(6, len(values)),
            **look_of(label_of(name)),
        )
        super().__init__(name, schema, control)

    def typed(self) -> Any:
        """Return the list of the selected values, or `UNSET`."""
        chosen = self.controls[0].value
        return [self._values[index] for index in chosen] if chosen else UNSET

    def fill(self, typed: Any) -> None:
        """Select the values of a list."""
        wanted = typed if isinstance(typed, list) else []
        self.controls[0].value = [
            index
            for index, value in enumerate(self._values)
            if any(is_same(value, item) for item in wanted)
        ]


class CustomField(Field):
    """Presets, and an entry for a value of the user's own, such as a width and a height.

    Args:
        name: The parameter's name.
        schema: Its schema.
        presets: The values of the closed list.
        own: The schema of an object, with a field for each property; None for a text field.
    """

    def __init__(
        self, name: str, schema: Schema, presets: Sequence[Any], own: Schema | None
    ) -> None:
        import ipywidgets

        self._presets = [as_typed(value, schema) for value in presets]
        self._own = own
        self._parts: list[Field] = [
            make_field(part, rule, nested=True, required=part in (own or {}).get("required", ()))
            for part, rule in (own or {}).get("properties", {}).items()
        ] or [TextField("own value", {**schema, "description": ""})]
        entries = [default_text(schema), *map(value_text, presets), "custom"]
        self._choice = ipywidgets.Dropdown(
            options=[(text, index) for index, text in enumerate(entries)],
            value=0,
            **look_of(label_of(name)),
        )
        for part in self._parts:
            part.leave_out_option()
        self._box = ipywidgets.VBox([part.box for part in self._parts])
        self._box.add_class("mountsea-parts")
        super().__init__(name, schema, self._choice, self._box)
        self._choice.observe(self._show_parts, "value")
        self._show_parts()

    @property
    def _is_custom(self) -> bool:
        return bool(self._choice.value == len(self._presets) + 1)

    def typed(self) -> Any:
        """Return the preset, or the value made of the parts, or `UNSET`."""
        if not self._is_custom:
            index = self._choice.value
            return self._presets[index - 1] if index else UNSET
        if self._own is None:
            return self._parts[0].typed()
        given = {part.name: part.typed() for part in self._parts}
        return {
            part.name: read_value(given[part.name], part.schema)
            for part in self._parts
            if given[part.name] is not UNSET
        }

    def fill(self, typed: Any) -> None:
        """Select the preset, or fill the parts."""
        for index, value in enumerate(self._presets, start=1):
            if is_same(value, typed):
                self._choice.value = index
                return
        if self._own is None:
            self._parts[0].fill(typed)
        elif isinstance(typed, dict):
            for part in self._parts:
                if part.name in typed:
                    part.fill(as_typed(typed[part.name], part.schema))
        else:
            return
        self._choice.value = len(self._presets) + 1

    def on_change(self, changed: Callable[[Any], None]) -> None:
        """Call a function when the user changes the entry, or one of the parts."""
        self._choice.observe(changed, "value")
        for part in self._parts:
            part.on_change(changed)

    def own_problems(self, model: Model) -> list[str]:
        """Return what is wrong with each part of an object."""
        value = self.typed()
        if self._own is None or not self._is_custom or not isinstance(value, dict):
            return []
        found = problems_by_parameter(replace(model, input_schema=self._own), value, label_of)
        return list(dict.fromkeys(text for texts in found.values() for text in texts))

    def _show_parts(self, _: object = None) -> None:
        self._box.layout.display = "" if self._is_custom else "none"


def make_field(name: str, schema: Any, *, nested: bool = False, required: bool = False) -> Field:
    """Make the field of a parameter.

    Args:
        name: The parameter's name.
        schema: Its schema, which may be of a Hub: any schema gets a field.
        nested: Whether it is a property of an object: an object in it gets a text field for JSON.
        required: Whether a request must have it; it then begins with its default.

    Example:
        >>> type(make_field("quality", {"enum": ["low", "high"]})).__name__
        'ChoiceField'
        >>> type(make_field("seed", {"type": "integer"})).__name__
        'TextField'
    """
    field = _field_of(name, without_null(schema) if isinstance(schema, dict) else {}, nested)
    if required:
        field.require()
    return field


def _field_of(name: str, schema: Schema, nested: bool) -> Field:
    """Return the field whose control fits a schema."""
    options = alternatives(schema)
    presets = enum_of(schema) or [value for option in options for value in enum_of(option)]
    others = [option for option in options if not enum_of(option) and option.get("type") != "null"]
    candidates: list[Schema] = [*others] or [schema]
    own = next((option for option in candidates if has_parts(option)), None)
    if enum_of(schema) or (presets and not others):
        return ChoiceField(name, schema, presets)
    if not nested and (own is not None or presets):
        return CustomField(name, schema, presets, own)
    if kind_of(schema) == "boolean":
        is_flag = isinstance(schema.get("default"), bool)
        return FlagField(name, schema) if is_flag else ChoiceField(name, schema, [True, False])
    if is_bounded(schema):
        return NumberField(name, schema)
    items = schema.get("items")
    if kind_of(schema) == "array" and isinstance(items, dict) and enum_of(items):
        return ChoicesField(name, schema, enum_of(items))
    return TextField(name, schema)
