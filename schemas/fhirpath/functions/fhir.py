"""Functions that FHIR adds. https://hl7.org/fhir/R4/fhirpath.html#functions"""

from __future__ import annotations

from typing import Any

from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.functions.signature import Function
from schemas.fhirpath.nodes import Node, add_slot, holder_of, resource_node, slots_of
from schemas.fhirpath.run import Run, Step
from schemas.fhirpath.types import TypeInfo, type_of
from schemas.fhirpath.values import Items, is_a, plain, system_value, text
from schemas.ids import parse_reference
from schemas.structure import PRIMITIVE_TYPES, TYPES
from schemas.xhtml import formatting_problem, has_content

_DEFINITIONS = "http://hl7.org/fhir/StructureDefinition/"


def _extension(run: Run, items: Items, focus: Items, url: Step) -> Items:
    wanted = text(url(run, focus), "extension()")
    out: Items = []
    for item in items:
        holder = holder_of(item) if isinstance(item, Node) else None
        if holder is None or "extension" not in holder:
            continue
        found: list[Node] = []
        for slot in slots_of(item.type).get("extension", ()):
            add_slot(found, item, holder, slot)
        out += [one for one in found if type(one.value) is dict and one.value.get("url") == wanted]
    return out


def _has_value(run: Run, items: Items, focus: Items) -> Items:
    item = items[0] if len(items) == 1 else None
    if isinstance(item, Node):
        return [item.type in PRIMITIVE_TYPES and item.value is not None]
    return [item is not None]


def _get_value(run: Run, items: Items, focus: Items) -> Items:
    if len(items) != 1 or not isinstance(items[0], Node):
        return []
    node = items[0]
    return [system_value(node)] if node.type in PRIMITIVE_TYPES and node.value is not None else []


def _type(run: Run, items: Items, focus: Items) -> Items:
    return [TypeInfo(one.namespace, one.name) for one in map(type_of, items)]


def _resolve(run: Run, items: Items, focus: Items) -> Items:
    out: Items = []
    for item in items:
        value: Any = None
        if is_a(item, "Reference") and type(item.value) is dict:
            value = item.value.get("reference")
        elif type(item) is str or (type(item) is Node and type(item.value) is str):
            value = getattr(item, "value", item)
        if type(value) is str:
            found = _resolved(run, value)
            if found is not None:
                out.append(found)
    return out


def _resolved(run: Run, reference: str) -> Node | None:
    root = run.root
    held = root.value if root is not None and type(root.value) is dict else {}
    if reference.startswith("#"):
        if reference == "#":
            return root
        nodes: list[Any] = []
        if root is not None:
            for slot in slots_of(root.type).get("contained", ()):
                add_slot(nodes, root, held, slot)
        return next((one for one in nodes if one.value.get("id") == reference[1:]), None)
    entries = held.get("entry") if held.get("resourceType") == "Bundle" else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and _is_at(entry, reference):
            return resource_node(entry["resource"])
    environment = run.environment
    found = environment.resolve(reference) if environment.resolve is not None else None
    if found is not None:
        return resource_node(found)
    if environment.references_have_types:
        kind = parse_reference(reference).resource_type
        if kind is not None:
            return resource_node({"resourceType": kind})
    return None


def _is_at(entry: dict[str, Any], reference: str) -> bool:
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if not isinstance(resource, dict):
        return False
    if url == reference:
        return True
    return reference == f"{resource.get('resourceType')}/{resource.get('id')}" and (
        not isinstance(url, str) or url.endswith("/" + reference)
    )


def _conforms_to(run: Run, items: Items, focus: Items, url: Step) -> Items:
    wanted = text(url(run, focus), "conformsTo()")
    if not items or wanted is None:
        return []
    item = items[0]
    if len(items) > 1 or not isinstance(item, Node):
        raise FhirPathError("conformsTo() takes one element.")
    kind = wanted.removeprefix(_DEFINITIONS)
    if kind != wanted and kind in TYPES:
        return [is_a(item, kind)]
    hook = run.environment.conforms_to
    found = hook(item.value, wanted) if hook is not None else None
    if found is None:
        named = f" {wanted[:200]}" if wanted.startswith(("http://", "https://", "urn:")) else ""
        raise FhirPathError(f"The profile{named} of conformsTo() is not known.")
    return [found]


def _member_of(run: Run, items: Items, focus: Items, url: Step) -> Items:
    wanted = text(url(run, focus), "memberOf()")
    if not items or wanted is None:
        return []
    if len(items) > 1:
        raise FhirPathError(f"memberOf() takes one item, not {len(items)}.")
    hook = run.environment.member_of
    if hook is None:
        raise FhirPathError("memberOf() needs a terminology, and there is none here.")
    found = hook(plain(items[0]), wanted)
    return [] if found is None else [found]


def _subsumes(run: Run, items: Items, focus: Items, other: Step) -> Items:
    return _subsumption(run, items, other(run, focus))


def _subsumed_by(run: Run, items: Items, focus: Items, other: Step) -> Items:
    return _subsumption(run, other(run, focus), items)


def _subsumption(run: Run, above: Items, below: Items) -> Items:
    if not above or not below:
        return []
    if len(above) > 1 or len(below) > 1:
        raise FhirPathError("subsumes() and subsumedBy() take one item on either side.")
    hook = run.environment.subsumes
    if hook is None:
        raise FhirPathError("subsumes() needs a terminology, and there is none here.")
    found = hook(plain(above[0]), plain(below[0]))
    return [] if found is None else [found]


def _html_checks(run: Run, items: Items, focus: Items) -> Items:
    if len(items) != 1 or not isinstance(items[0], Node) or type(items[0].value) is not str:
        return []
    div = items[0].value
    return [formatting_problem(div) is None and has_content(div)]


def _pathname(run: Run, items: Items, focus: Items, short: Step | None = None) -> Items:
    return [item.place for item in items if isinstance(item, Node)]


def _unsupported(name: str, most: int) -> Function:
    def apply(run: Run, items: Items, focus: Items, *arguments: Step) -> Items:
        raise FhirPathError(f"{name}() is not supported here: it needs the profile at hand.")

    return Function(apply, 0, most)


FUNCTIONS = {
    "extension": Function(_extension, 1, 1),
    "hasValue": Function(_has_value),
    "getValue": Function(_get_value),
    "type": Function(_type),
    "resolve": Function(_resolve),
    "conformsTo": Function(_conforms_to, 1, 1),
    "memberOf": Function(_member_of, 1, 1),
    "subsumes": Function(_subsumes, 1, 1),
    "subsumedBy": Function(_subsumed_by, 1, 1),
    "htmlChecks": Function(_html_checks),
    "pathname": Function(_pathname, 0, 1),
    "elementDefinition": _unsupported("elementDefinition", 0),
    "slice": _unsupported("slice", 2),
    "checkModifiers": _unsupported("checkModifiers", 64),
}
