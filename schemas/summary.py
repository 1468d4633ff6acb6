"""Parts of resources: `_summary` and `_elements`, each part marked as one.

A part keeps the elements without which the resource would be invalid or misread: the mandatory
ones, the modifiers where `_elements` chooses, and contained resources that what is left refers to.
It carries the tag SUBSETTED, by which a server knows not to store it over the whole resource.
https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from schemas.outcomes import FhirError, Issue, error
from schemas.structure import PRIMITIVE_TYPES, RESOURCE_TYPES, TYPES, load_definitions, suggestion

Resource = dict[str, Any]
Keep = Callable[[Resource], Resource]
"""What is left of a resource; the resource itself stays as it is."""

SUBSETTED: Mapping[str, str] = MappingProxyType(
    {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
        "display": "subsetted",
    }
)
SUMMARIES = ("true", "text", "data", "count", "false")
"""The values of `_summary`; `count` is for searches only."""

_FLAGS: Mapping[str, Mapping[str, list[str]]] = load_definitions("element_flags.json.gz")
_BASE = ("resourceType", "id", "meta")
# Elements of every backbone element; they say nothing about which of its own are in a summary.
_COMMON = frozenset({"id", "modifierExtension"})


def is_subsetted(resource: Resource) -> bool:
    """Whether the resource says of itself, by a tag, that it is only a part of one."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return any(
        isinstance(tag, dict)
        and tag.get("code") == SUBSETTED["code"]
        and tag.get("system") == SUBSETTED["system"]
        for tag in (tags if isinstance(tags, list) else ())
    )


def subset_issues(resource: Resource) -> list[Issue]:
    """What is wrong with storing it: one issue for a part of a resource, else nothing."""
    if not is_subsetted(resource):
        return []
    place = f"{resource['resourceType']}.meta.tag"
    text = (
        f"{place} marks this as a part of a resource (SUBSETTED, as `_summary` and `_elements` "
        "give it); storing it would lose what it lacks. Send the whole resource, or leave the tag "
        "out if it is whole."
    )
    return [Issue("error", "business-rule", text, (place,))]


def summary(kind: str) -> Keep | None:
    """What `_summary=kind` leaves of a resource; None where that is everything (`false`).

    Raises FhirError `value` for what is no value of `_summary`.
    """
    if kind not in SUMMARIES:
        raise error("value", f"_summary is one of: {', '.join(SUMMARIES)}.", "_summary")
    return {"true": _summarized, "text": _text_only, "data": _without_text}.get(kind)


def _summarized(resource: Resource) -> Resource:
    kept = _pruned(resource["resourceType"], resource)
    return _marked({**kept, **_referenced_contained(resource, kept)}, resource)


def _text_only(resource: Resource) -> Resource:
    wanted = {*_BASE, "text", *_required_keys(resource["resourceType"])}
    return _only(resource, wanted)


def _without_text(resource: Resource) -> Resource:
    return _marked({key: value for key, value in resource.items() if key != "text"}, resource)


@dataclass(frozen=True)
class Elements:
    """The names in `_elements`: `own` for the resources asked for, `typed` by type (`Patient.name`)
    for those of that type, included ones too (R4 search.html#elements)."""

    own: frozenset[str]
    typed: Mapping[str, frozenset[str]]

    def keep(self, resource: Resource, *, included: bool = False) -> Resource:
        """The part of a resource. `included`: it is in the answer because another refers to it."""
        kind = resource["resourceType"]
        names = self.typed.get(kind, frozenset())
        if not included:
            names |= self.own
        if not names and (included or not self.own):
            return resource  # Nothing was said of its type.
        wanted = {*_BASE, *_needed_keys(kind)}
        for name in names:
            wanted |= _keys_of(kind, name)
        return _only(resource, wanted)


def parse_elements(text: str, resource_type: str | None = None) -> Elements:
    """`_elements` as it was given, for resources of `resource_type` (None: of any type).

    Raises FhirError `value` for a name that is no element of the type, or a path below one.
    """
    own: set[str] = set()
    typed: dict[str, frozenset[str]] = {}
    for part in text.split(","):
        name = part.strip()
        if not name:
            raise error("value", "_elements is a list of names, separated by commas.", "_elements")
        prefix, dot, rest = name.partition(".")
        if dot and prefix in RESOURCE_TYPES:
            if not _keys_of(prefix, rest):
                raise _unknown(rest, [prefix])
            typed[prefix] = typed.get(prefix, frozenset()) | {rest}
            continue
        types = [resource_type] if resource_type else RESOURCE_TYPES
        if not any(_keys_of(kind, name) for kind in types):
            raise _unknown(name, types)
        own.add(name)
    return Elements(frozenset(own), MappingProxyType(typed))


def _unknown(name: str, types: Iterable[str]) -> FhirError:
    kinds = list(types)
    of = kinds[0] if len(kinds) == 1 else "any resource type"
    near = suggestion(name, TYPES[kinds[0]].elements) if len(kinds) == 1 else ""
    below = " Only elements of the resource itself can be chosen." if "." in name else ""
    return error(
        "value", f"_elements: {name[:64]!r} is no element of {of}.{below}{near}", "_elements"
    )


@cache
def _keys_of(kind: str, name: str) -> frozenset[str]:
    """The JSON keys of an element of a resource type, by its name or, for a choice, one type's."""
    if name == "resourceType":
        return frozenset({name})
    table = TYPES[kind]
    element = table.elements.get(name.removesuffix("[x]"))
    if element is not None and (element.choice or not name.endswith("[x]")):
        return frozenset(element.json_names)
    return frozenset({name}) if name in table.json_names else frozenset()


@cache
def _required_keys(kind: str) -> frozenset[str]:
    elements = TYPES[kind].elements.values()
    return frozenset(key for one in elements if one.required for key in one.json_names)


@cache
def _needed_keys(kind: str) -> frozenset[str]:
    """Keys of the mandatory elements of a resource type, and of those that modify others."""
    modifiers = _FLAGS.get(kind, {}).get("modifier", [])
    keys = (_keys_of(kind, name) for name in modifiers)
    return _required_keys(kind).union(*keys)


def _only(resource: Resource, wanted: set[str]) -> Resource:
    kept = {key: value for key, value in resource.items() if key.removeprefix("_") in wanted}
    return _marked({**kept, **_referenced_contained(resource, kept)}, resource)


def _referenced_contained(resource: Resource, kept: Resource) -> Resource:
    """`contained` with those that the part refers to, and what these refer to themselves."""
    contained = resource.get("contained")
    if not isinstance(contained, list) or "contained" in kept:
        return {}
    by_id = {
        one["id"]: one
        for one in contained
        if isinstance(one, dict) and isinstance(one.get("id"), str)
    }
    needed: set[str] = set()
    ahead: list[Resource] = [kept]
    while ahead:
        for id in _local_ids(ahead.pop()):
            if id in by_id and id not in needed:
                needed.add(id)
                ahead.append(by_id[id])
    return {"contained": [one for id, one in by_id.items() if id in needed]} if needed else {}


def _local_ids(node: Any) -> Iterator[str]:
    """The ids that texts `#id` name: references and canonicals alike."""
    if isinstance(node, str):
        if node.startswith("#"):
            yield node[1:]
    elif isinstance(node, (dict, list)):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _local_ids(value)


def _marked(kept: Resource, resource: Resource) -> Resource:
    """The part in the order of the whole, with the tag SUBSETTED."""
    told = kept.get("meta")
    meta = dict(told) if isinstance(told, dict) else {}
    if not is_subsetted(kept):
        tags = meta.get("tag")
        meta["tag"] = [*(tags if isinstance(tags, list) else ()), dict(SUBSETTED)]
    marked = {key: kept[key] for key in resource if key in kept}
    if "meta" in marked:
        marked["meta"] = meta
        return marked
    first: Resource = {key: marked.pop(key) for key in ("resourceType", "id") if key in marked}
    return {**first, "meta": meta, **marked}


@cache
def _summary_keys(kind: str) -> Mapping[str, str] | None:
    """JSON key → type, of what a summary has; None: the type has none and is kept whole."""
    flagged = set(_FLAGS.get(kind, {}).get("summary", ()))
    if not flagged - _COMMON:
        return None
    keys: dict[str, str] = {}
    for element in TYPES[kind].elements.values():
        label = element.name + ("[x]" if element.choice else "")
        if label in flagged or element.required:
            for key, of in element.json_names.items():
                keys[key] = of
    return MappingProxyType(keys)


def _pruned(kind: str, node: Resource) -> Resource:
    """The elements of a node that are in a summary, by the flags of its type, all the way down."""
    keys = _summary_keys(kind)
    if keys is None:
        return node
    kept: Resource = {}
    for key, value in node.items():
        if key == "resourceType":
            kept[key] = value
        elif key.startswith("_"):
            # The value of a primitive may be in its extension alone (data-absent-reason).
            own = node.get(key[1:])
            if key[1:] in keys and (own is None or (isinstance(own, list) and None in own)):
                kept[key] = value
        elif (of := keys.get(key)) is not None:
            part = _part(of, value)
            if part or part is False or part == 0:
                kept[key] = part
            elif key in _required_keys(kind):
                kept[key] = value
    return kept


def _part(kind: str, value: Any) -> Any:
    if kind in PRIMITIVE_TYPES:
        return value
    if isinstance(value, list):
        return [_node_part(kind, item) for item in value]
    return _node_part(kind, value)


def _node_part(kind: str, node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if kind == "Resource":
        return _summarized(node) if node.get("resourceType") in TYPES else node
    # An item of which nothing would be left (only an extension) stays whole: an empty object is
    # not valid, and one less would change what the others mean.
    return _pruned(kind, node) or node
