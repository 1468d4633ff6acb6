"""The elements of a resource as FHIRPath sees them: each knows its type and where it is.

A primitive's id and extensions (JSON's `_birthDate`) belong to the same node as its value.
https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.structure import PRIMITIVE_TYPES, RESOURCE_TYPES, TYPES

# (JSON key, type, key of a primitive's id and extensions or None for a complex type)
Slot = tuple[str, str, str | None]

ELEMENT_KEYS: dict[str, dict[str, tuple[Slot, ...]]] = {}
"""Type → element name → where its values are; filled as types are met."""

JSON_KEYS: dict[str, dict[str, Slot]] = {}
"""Type → JSON key → the slot it is."""


class Node:
    """One element or resource.

    `value` is the JSON value (None for a primitive that has extensions only), `type` the FHIR type
    (a backbone element's is its path, `Patient.contact`), `extra` a primitive's id and extensions;
    `parent`, `key` and `index` (-1 outside an array) say where it is.
    """

    __slots__ = ("extra", "index", "key", "parent", "type", "value")

    def __init__(
        self,
        value: Any,
        type_name: str,
        extra: Any = None,
        parent: Node | None = None,
        key: str = "",
        index: int = -1,
    ) -> None:
        self.value = value
        self.type = type_name
        self.extra = extra
        self.parent = parent
        self.key = key
        self.index = index

    @property
    def place(self) -> str:
        """Where it is, as in `Patient.name[0].given[1]`."""
        parts: list[str] = []
        node: Node | None = self
        while node is not None:
            above = node.parent
            name = node.key or node.type
            parts.append(f"{name}[{node.index}]" if node.index >= 0 else name)
            node = above
        return ".".join(reversed(parts))

    def __repr__(self) -> str:
        return f"<{self.type} {self.place}>"


def slots_of(type_name: str) -> dict[str, tuple[Slot, ...]]:
    """Element name → JSON keys of a type; empty for one that R4 does not have."""
    found = ELEMENT_KEYS.get(type_name)
    if found is None:
        found = {}
        if type_name in PRIMITIVE_TYPES:
            found = {
                "id": (("id", "string", "_id"),),
                "extension": (("extension", "Extension", None),),
            }
        elif type_name in TYPES:
            for element in TYPES[type_name].elements.values():
                found[element.name] = tuple(
                    (key, kind, f"_{key}" if kind in PRIMITIVE_TYPES else None)
                    for key, kind in element.json_names.items()
                )
        ELEMENT_KEYS[type_name] = found
        JSON_KEYS[type_name] = {slot[0]: slot for slots in found.values() for slot in slots}
    return found


def resource_node(resource: Any) -> Node:
    """The node of a resource."""
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return Node(resource, kind if isinstance(kind, str) and kind in RESOURCE_TYPES else "Resource")


def add_slot(out: list[Any], node: Node, holder: dict[str, Any], slot: Slot) -> None:
    """Appends the nodes at one JSON key of a node, whose elements `holder` has."""
    key, kind, beside = slot
    value = holder.get(key)
    if beside is None:
        if value is None:
            return
        if type(value) is list:
            for index, one in enumerate(value):
                if one is not None:
                    out.append(Node(one, _actual(one, kind), None, node, key, index))
        else:
            out.append(Node(value, _actual(value, kind), None, node, key))
        return
    extra = holder.get(beside)
    if type(value) is list or type(extra) is list:
        values = value if type(value) is list else []
        extras = extra if type(extra) is list else []
        for index in range(max(len(values), len(extras))):
            one = values[index] if index < len(values) else None
            more = extras[index] if index < len(extras) else None
            if one is not None or more is not None:
                out.append(Node(one, kind, more, node, key, index))
    elif value is not None or extra is not None:
        out.append(Node(value, kind, extra, node, key))


def _actual(value: Any, kind: str) -> str:
    if kind != "Resource" or type(value) is not dict:
        return kind
    named = value.get("resourceType")
    return named if isinstance(named, str) and named in RESOURCE_TYPES else kind


def holder_of(node: Node) -> Any:
    """The JSON object that has the node's elements; None when it has none."""
    value = node.value
    return value if type(value) is dict else node.extra if type(node.extra) is dict else None


def children(node: Node) -> list[Node]:
    """All children, in the order of the JSON keys."""
    holder = holder_of(node)
    out: list[Node] = []
    if holder is None:
        return out
    slots_of(node.type)
    slots = JSON_KEYS[node.type]
    for key in holder:
        slot = slots.get(key)
        if slot is not None or (
            key[:1] == "_" and key[1:] not in holder and (slot := slots.get(key[1:]))
        ):
            add_slot(out, node, holder, slot)
    return out


def descendants(node: Node) -> Iterator[Node]:
    """All nodes below, each before what is below it."""
    waiting = children(node)[::-1]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += children(one)[::-1]
