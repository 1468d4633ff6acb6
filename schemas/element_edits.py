"""Changing one element of a resource in place, whatever its keys in JSON are.

A primitive's value and its id and extensions (`birthDate`, `_birthDate`) are one element, here as
in FHIRPath; where it repeats, its two lists stay aligned. A choice changes its key with its type.
https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.fhirpath.nodes import JSON_KEYS, Node, Slot, holder_of, slots_of
from schemas.outcomes import error
from schemas.structure import PRIMITIVE_TYPES, TYPES

Resource = dict[str, Any]

_QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity"})
_KINDS_OF_NUMBER = {"integer", "positiveInt", "unsignedInt"}
_OWN_JSON = {"boolean": "boolean", "decimal": "decimal"} | dict.fromkeys(
    _KINDS_OF_NUMBER, "integer"
)


@dataclass(frozen=True)
class Value:
    """A value to put in: of a FHIR type, or of an anonymous one (`parts`: name and value of each).

    `extra`: a primitive's id and extensions.
    """

    type_name: str = ""
    value: Any = None
    extra: Any = None
    parts: tuple[tuple[str, Value], ...] | None = None


def repeats(type_name: str, name: str) -> bool:
    """Whether the element `name` of a type is a list."""
    if type_name in PRIMITIVE_TYPES:
        return name == "extension"
    return TYPES[type_name].elements[name].many


def element_name(type_name: str, given: str, place: str) -> str:
    """The element that is meant by its name, or by its key in JSON (`deceasedBoolean`)."""
    slots = slots_of(type_name)
    if given in slots:
        return given
    for name, keys in slots.items():
        if any(slot[0] == given for slot in keys):
            return name
    raise error("unprocessable", f"{type_name} has no element {given[:64]!r}.", place)


def slot_for(type_name: str, name: str, value: Value, place: str) -> Slot:
    """The JSON key under which an element holds a value of this type.

    Raises FhirError `unprocessable` when it cannot.
    """
    slots = slots_of(type_name)[name]
    for slot in slots:
        if value.parts is None and slot[1] == value.type_name:
            return slot
    for slot in slots:
        if len(slots) == 1 and _fits(slot[1], value):
            return slot
    kind = value.type_name or "an anonymous type"
    raise error("unprocessable", f"{type_name}.{name} cannot hold {kind}.", place)


def _fits(kind: str, value: Value) -> bool:
    if value.parts is not None:
        return kind not in PRIMITIVE_TYPES
    if kind in PRIMITIVE_TYPES:
        wanted, given = (_OWN_JSON.get(one, "string") for one in (kind, value.type_name))
        if value.type_name not in PRIMITIVE_TYPES:
            return False
        return wanted == given or (wanted, given) == ("decimal", "integer")
    return kind == "Resource" or {kind, value.type_name} <= _QUANTITIES


def built(kind: str, value: Value, place: str) -> Any:
    """The JSON value, a copy of its own; an anonymous one is put together from its parts."""
    if value.parts is None:
        return _copied(value.value)
    made = Node({}, kind)
    for given, part in value.parts:
        name = element_name(kind, given, place)
        if not repeats(kind, name) and any(s[0] in made.value for s in slots_of(kind)[name]):
            raise error("unprocessable", f"{kind}.{name} is given twice.", place)
        add(made, name, part, place)
    return made.value


def add(node: Node, name: str, value: Value, place: str, index: int | None = None) -> None:
    """Put a value under an element of `node`: at `index` of a list, by default at its end.

    Raises FhirError `unprocessable` where the element does not repeat and is there.
    """
    key, kind, beside = slot_for(node.type, name, value, place)
    new = built(kind, value, place)
    holder = _own_holder(node)
    if not repeats(node.type, name):
        for other, _, other_beside in slots_of(node.type)[name]:
            if other in holder or (other_beside is not None and other_beside in holder):
                text = f"{node.type}.{name} is there already, and does not repeat: replace it."
                raise error("unprocessable", text, place)
        _set(holder, key, beside, new, value.extra)
        return
    values = holder.setdefault(key, [])
    length = max(len(values), len(holder.get(beside or "", ())))
    at = length if index is None else index
    if beside is not None and (value.extra is not None or beside in holder):
        _padded(holder, beside, length).insert(at, _copied(value.extra))
    _padded(holder, key, length).insert(at, new)


def remove(node: Node) -> None:
    """Take an element out, and what it leaves empty above it."""
    parent = node.parent
    assert parent is not None
    holder = holder_of(parent)
    for key in (node.key, f"_{node.key}"):
        held = holder.get(key)
        if node.index < 0:
            holder.pop(key, None)
        elif type(held) is list:
            if node.index < len(held):
                del held[node.index]
            if all(one is None for one in held):
                del holder[key]
    _drop_if_empty(parent)


def replace(node: Node, value: Value, place: str) -> None:
    """Put another value in the place of an element; of a choice it may have another type."""
    parent = node.parent
    assert parent is not None
    old: Slot = JSON_KEYS[parent.type][node.key]
    name = next(name for name, slots in slots_of(parent.type).items() if old in slots)
    key, kind, beside = slot_for(parent.type, name, value, place)
    new = built(kind, value, place)
    holder = holder_of(parent)
    if node.index >= 0:
        if beside is not None and (value.extra is not None or beside in holder):
            _padded(holder, beside, node.index + 1)[node.index] = _copied(value.extra)
            if all(one is None for one in holder[beside]):
                del holder[beside]
        _padded(holder, key, node.index + 1)[node.index] = new
        return
    renamed: Resource = {}
    for one, held in holder.items():
        if one not in (node.key, f"_{node.key}"):
            renamed[one] = held
        elif key not in renamed and (beside or "") not in renamed:
            _set(renamed, key, beside, new, value.extra)
    holder.clear()
    holder.update(renamed)


def move(node: Node, key: str, source: int, destination: int) -> None:
    """Move an item of a list of `node` to another index of it."""
    holder = holder_of(node)
    length = max(len(holder.get(one, ())) for one in (key, f"_{key}"))
    for one in (key, f"_{key}"):
        if one in holder:
            values = _padded(holder, one, length)
            values.insert(destination, values.pop(source))


def _set(holder: Resource, key: str, beside: str | None, value: Any, extra: Any) -> None:
    if value is not None:
        holder[key] = value
    if beside is not None and extra is not None:
        holder[beside] = _copied(extra)


def _padded(holder: Resource, key: str, length: int) -> list[Any]:
    """The list under a key, filled up with nulls."""
    values: list[Any] = holder.setdefault(key, [])
    values.extend([None] * (length - len(values)))
    return values


def _own_holder(node: Node) -> Resource:
    """The JSON object for elements of `node`; a new one beside a primitive that has none."""
    holder = holder_of(node)
    if holder is None:
        assert node.parent is not None
        above, key = _own_holder(node.parent), f"_{node.key}"
        holder = node.extra = {}
        if node.index < 0:
            above[key] = holder
        else:
            length = max(len(above.get(node.key, ())), node.index + 1)
            _padded(above, key, length)[node.index] = holder
    return dict_of(holder)


def dict_of(holder: Any) -> Resource:
    """The holder, known to be an object."""
    assert isinstance(holder, dict)
    return holder


def _drop_if_empty(node: Node) -> None:
    if node.parent is None or holder_of(node):
        return
    if type(node.value) is dict:
        remove(node)
        return
    # A primitive that has lost its id and extensions keeps its value.
    above, key = holder_of(node.parent), f"_{node.key}"
    if node.index < 0:
        above.pop(key, None)
    elif type(above.get(key)) is list:
        above[key][node.index] = None
        if all(one is None for one in above[key]):
            del above[key]
    if node.value is None:
        remove(node)


def _copied(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if type(value) is list else value
