"""The element tables, compiled for the validator: one slot for each JSON key of each type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from schemas.known_concepts import KEYS, KeyOf
from schemas.primitives import CHECKS, Check, text_check
from schemas.structure import PRIMITIVE_TYPES, TYPES, Element
from schemas.value_sets import VALUE_SETS

_LOOKED_AT_AS_A_WHOLE = frozenset({"Extension", "Reference", "Resource"})
_BINDABLE = frozenset({"code", "Coding", "CodeableConcept"})


@dataclass(slots=True)
class Slot:
    """What a JSON key of a type may hold.

    `check` is set for primitives (`text_check`: the same for what is known to be a text),
    `type_name` for everything else; `codes` for an element with a required binding; `choice` names
    the element when the key is one of a choice. `plain`: an object, and there is nothing to check
    but its own elements; `key_of`: what tells objects here apart that recur.
    """

    element: Element
    many: bool
    type_name: str
    check: Check | None
    codes: Mapping[str, frozenset[str]] | None
    choice: str | None
    targets: frozenset[str] | None
    holds_resource: bool
    text_check: Check | None
    plain: bool
    key_of: KeyOf | None
    object_type: ObjectType | None = None

    def of(self) -> ObjectType:
        """The type of the objects here."""
        found = self.object_type
        if found is None:
            found = self.object_type = object_type(self.type_name)
        return found


@dataclass(slots=True)
class ObjectType:
    """A type whose JSON is an object. `required` has (element, keys of which one must be there)."""

    name: str
    is_resource: bool
    slots: dict[str, Slot]
    required: tuple[tuple[str, tuple[str, ...]], ...]


@cache
def object_type(name: str) -> ObjectType:
    """The compiled type. Raises KeyError for one that R4 does not have."""
    table = TYPES[name]
    slots = {}
    required = []
    for element in table.elements.values():
        keys = element.json_names
        for key, kind in keys.items():
            slots[key] = _slot(element, kind)
        if element.required:
            siblings = [f"_{key}" for key, kind in keys.items() if kind in PRIMITIVE_TYPES]
            required.append((element.name, (*keys, *siblings)))
    return ObjectType(name, table.kind == "resource", slots, tuple(required))


def _slot(element: Element, kind: str) -> Slot:
    bound = element.binding is not None and kind in _BINDABLE
    check = CHECKS.get(kind)
    codes = VALUE_SETS.get(str(element.binding)) if bound else None
    plain = check is None and codes is None and kind not in _LOOKED_AT_AS_A_WHOLE
    return Slot(
        element=element,
        many=element.many,
        type_name=kind,
        check=check,
        codes=codes,
        choice=element.name if element.choice else None,
        targets=element.targets if kind == "Reference" else None,
        holds_resource=kind == "Resource",
        text_check=text_check(check) if check is not None else None,
        plain=plain,
        key_of=KEYS.get(kind) if plain else None,
    )
