"""The ElementDefinitions of a profile as a tree: elements, their children, their slices.

A snapshot is such a tree as it stands. A differential is laid over the tree of the profile that it
derives from (over nothing for one that derives from a type of R4, whose own rules are checked by
`schemas.validate`): an element states what it changes, everything else stays.
https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.structure import TYPES, Element

MAX_ELEMENTS = 20_000
MAX_DERIVATIONS = 20

CORE = "http://hl7.org/fhir/StructureDefinition/"
FIND = Callable[[str], "dict[str, Any] | None"]


class ProfileError(ValueError):
    """A profile cannot be applied; the text says why, without content of any resource."""


@dataclass(slots=True)
class ElementTree:
    """One element of a profile.

    `name` is its last name without `[x]`; `element` what R4's own table says of it (None for the
    root); `type_name` the type whose elements its children are (a backbone element's is its path),
    None where there may be several; `definition` the ElementDefinition.
    """

    name: str
    label: str
    element: Element | None
    type_name: str | None
    definition: dict[str, Any] = field(default_factory=dict)
    children: dict[str, ElementTree] = field(default_factory=dict)
    slices: dict[str, ElementTree] = field(default_factory=dict)

    def types(self) -> list[dict[str, Any]]:
        """The types that the profile names for it; empty where it leaves them to R4."""
        return [t for t in self.definition.get("type", ()) if isinstance(t, dict)]

    def type_codes(self) -> list[str]:
        """Codes of the types that it may have, by the profile or by R4."""
        if found := [str(t.get("code", "")) for t in self.types()]:
            return found
        return list(self.element.types) if self.element is not None else [str(self.type_name)]


def build_tree(definition: dict[str, Any], find: FIND) -> ElementTree:
    """The tree of a StructureDefinition.

    `find` gives a StructureDefinition by its canonical. Raises ProfileError.
    """
    return _build(definition, find, 0)


def base_type_of(canonical: object) -> str | None:
    """The R4 type that a canonical of R4's own StructureDefinitions names; None for others."""
    url = str(canonical).partition("|")[0]
    name = url.removeprefix(CORE) if url.startswith(CORE) else ""
    return name if name in TYPES and TYPES[name].kind != "backbone" else None


def _build(definition: dict[str, Any], find: FIND, depth: int) -> ElementTree:
    kind = definition.get("type")
    if not isinstance(kind, str) or kind not in TYPES or TYPES[kind].kind == "backbone":
        raise ProfileError(f"its type {str(kind)[:64]} is not a type of FHIR R4")
    if elements := _elements(definition, "snapshot"):
        root = ElementTree(kind, kind, None, kind)
        _lay_over(root, elements)
        return root
    elements = _elements(definition, "differential")
    base = definition.get("baseDefinition")
    if base is None or base_type_of(base) is not None:
        root = ElementTree(kind, kind, None, kind)
    else:
        found = find(str(base)) if depth < MAX_DERIVATIONS else None
        if found is None:
            raise ProfileError(
                f"it has no snapshot, and the profile it derives from is not known: {base}"
                if depth < MAX_DERIVATIONS
                else f"it derives from more than {MAX_DERIVATIONS} profiles, one from the other"
            )
        root = _build(found, find, depth + 1)
        if root.name != kind:
            raise ProfileError(f"it is for {kind}, but derives from a profile of {root.name}")
    _lay_over(root, elements)
    return root


def _elements(definition: dict[str, Any], view: str) -> list[dict[str, Any]]:
    found = (definition.get(view) or {}).get("element") or []
    if len(found) > MAX_ELEMENTS:
        raise ProfileError(f"it has more than {MAX_ELEMENTS:,} elements")
    return list(found)


def _lay_over(root: ElementTree, elements: list[dict[str, Any]]) -> None:
    for steps, definition in _addressed(elements):
        if steps[0][0] != root.name:
            raise ProfileError(f"it has an element outside of {root.name}: {steps[0][0][:64]}")
        node = root
        for name, slice_name in steps[1:]:
            node = _child(node, name, slice_name)
        _merge(node, definition)


def _addressed(
    elements: list[dict[str, Any]],
) -> Iterator[tuple[list[tuple[str, str]], dict[str, Any]]]:
    """Each element with its steps `(name, slice)`: by its id, or by path and slice names so far."""
    open_slices: dict[str, str] = {}
    for definition in elements:
        path = str(definition.get("path", ""))
        id = definition.get("id")
        if isinstance(id, str) and id.count(".") == path.count("."):
            steps = [(part.partition(":")[0], part.partition(":")[2]) for part in id.split(".")]
        else:
            for known in [p for p in open_slices if p == path or p.startswith(f"{path}.")]:
                del open_slices[known]
            if name := definition.get("sliceName"):
                open_slices[path] = str(name)
            parts = path.split(".")
            prefixes = [".".join(parts[: i + 1]) for i in range(len(parts))]
            steps = [(p, open_slices.get(q, "")) for p, q in zip(parts, prefixes, strict=True)]
        yield steps, definition


def _child(parent: ElementTree, name: str, slice_name: str) -> ElementTree:
    plain = name.removesuffix("[x]")
    known = parent.children.get(plain)
    if known is None:
        element, shorthand = _element_of(parent, plain)
        if shorthand and not slice_name:  # `valueQuantity` means the slice of `value[x]`.
            slice_name = plain
        plain = element.name
        known = parent.children.get(plain)
        if known is None:
            label = f"{parent.label}.{plain}{'[x]' if element.choice else ''}"
            known = ElementTree(plain, label, element, _only_type(element, None))
            parent.children[plain] = known
    node = known
    for part in slice_name.split("/") if slice_name else ():
        inner = node.slices.get(part)
        if inner is None:
            type_name = _choice_type(known, part) or node.type_name
            inner = ElementTree(node.name, f"{node.label}:{part}", node.element, type_name)
            if type_name is not None and node.type_name is None:
                inner.definition = {"type": [{"code": type_name}]}
            node.slices[part] = inner
        node = inner
    return node


def _element_of(parent: ElementTree, name: str) -> tuple[Element, bool]:
    """R4's element of that name, and whether the name is one key of a choice."""
    kind = parent.type_name
    if kind is None:
        raise ProfileError(f"{parent.label} has several types, so nothing can be said of its parts")
    table = TYPES[kind]
    if (element := table.elements.get(name)) is not None:
        return element, False
    if (found := table.json_names.get(name)) is not None:
        return found[0], True
    if table.kind == "primitive-type" and name == "value":
        return Element("value", False, False, False, (kind,), None, None), False
    if kind in ("Resource", "DomainResource"):
        raise ProfileError(f"{parent.label} may be any resource, so {name[:64]} cannot be told")
    raise ProfileError(f"{parent.label}.{name[:64]} is not an element of {kind}")


def _choice_type(tree: ElementTree, slice_name: str) -> str | None:
    """The type that a slice of a choice has by its name: `valueQuantity`."""
    if tree.element is None or not tree.element.choice:
        return None
    return tree.element.json_names.get(slice_name)


def _only_type(element: Element | None, definition: dict[str, Any] | None) -> str | None:
    """The type whose elements are its children: R4's, unless the profile leaves one of several."""
    stated = [str(t.get("code")) for t in (definition or {}).get("type", ())]
    if element is None:
        return None
    if len(element.types) == 1 and element.types[0] != "Resource":
        return element.types[0]
    return stated[0] if len(set(stated)) == 1 and stated[0] in TYPES else (
        element.types[0] if len(element.types) == 1 else None
    )  # fmt: skip


def _merge(node: ElementTree, stated: dict[str, Any]) -> None:
    """What the differential states of the element takes the place of what was there."""
    constraints = [*node.definition.get("constraint", ()), *stated.get("constraint", ())]
    merged = {**node.definition, **copy.copy(stated)}
    if constraints:
        by_key = {str(one.get("key")): one for one in constraints if isinstance(one, dict)}
        merged["constraint"] = list(by_key.values())
    node.definition = merged
    if stated.get("type") and node.element is not None:
        node.type_name = _only_type(node.element, stated) or node.type_name
