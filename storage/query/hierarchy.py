"""`:below` and `:above` of references to types with a hierarchy: `Procedure?location:below=42`.

https://hl7.org/fhir/R4/search.html#recursive: what refers to a location, or to one that is part of
it, however many steps down; `:above`, to it or to what it is part of. The hierarchy of a type is
that of its parameter `partof` (or `part-of`), where that leads to its own type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from schemas.ids import is_id, parse_reference
from schemas.search_params import SearchParam
from schemas.structure import RESOURCE_TYPES
from storage.query.criterion import Criterion, Known, bad_value
from storage.query.escapes import unescape
from storage.query.tree import AnyOf, Chain, InHierarchy, Link, Node

_PART_OF = ("partof", "part-of")


def hierarchies(param: SearchParam, known: Known) -> Iterator[tuple[str, str]]:
    """The types with a hierarchy that a reference parameter leads to, and its parameter."""
    wide = not param.targets or "Resource" in param.targets
    for target in sorted(RESOURCE_TYPES) if wide else param.targets:
        for code in _PART_OF:
            found = known(target).get(code)
            if found is not None and target in found.targets and found.pending is None:
                yield target, code


def in_hierarchy(criterion: Criterion, param: SearchParam, known: Known) -> Node:
    """The node of a criterion with `:below` or `:above`. Raises FhirError for bad values."""
    ids: dict[str, list[str]] = {}
    parts = dict(hierarchies(param, known))
    for text in criterion.values:
        value = unescape(text)
        parsed = parse_reference(value)
        if is_id(value):
            for target in parts:
                ids.setdefault(target, []).append(value)
        elif parsed.kind == "relative" and parsed.id and parsed.resource_type in parts:
            ids.setdefault(parsed.resource_type or "", []).append(parsed.id)
        else:
            raise bad_value(
                criterion.given,
                f"an id, or Type/id of a type with a hierarchy is needed ({', '.join(parts)})",
            )
    above = criterion.modifier == "above"
    links = tuple(
        Link(
            criterion.param,
            target,
            InHierarchy(criterion.given, parts[target], tuple(dict.fromkeys(found)), above),
        )
        for target, found in sorted(ids.items())
    )
    # What refers to the resource itself does so whether that is there or not.
    return AnyOf((replace(criterion, modifier=""), Chain(criterion.given, links)))
