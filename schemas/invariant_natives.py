"""Invariants of R4 that are checked in Python: they are on every second element, or FHIRPath as R4
writes it does not say what the rule's text says (docs/spec_clarifications.md).

Each function takes the element (or the value of a primitive) and says whether the rule holds; None
leaves it to the rule's expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from schemas.xhtml import formatting_problem, has_content

Native = Callable[[Any], bool | None]


def _period_in_order(period: Any) -> bool | None:
    """per-1. Two texts of the same form in the same zone are in order as texts are."""
    start, end = period.get("start"), period.get("end")
    if type(start) is not str or type(end) is not str:
        return True
    if start == end:
        return True
    same = len(start) == len(end) and (len(start) < 11 or start[19:] == end[19:])
    return start < end if same else None


def _contained_are_referred_to(resource: Any) -> bool | None:
    """dom-3: something refers to each contained resource that has an id, or it refers to its
    container (`#`)."""
    contained = resource.get("contained")
    if type(contained) is not list:
        return True
    inside = [set(_local_references(one)) for one in contained]
    outer = {key: value for key, value in resource.items() if key != "contained"}
    known = set(_local_references(outer)).union(*inside)
    return all(
        "#" in own or type(one) is not dict or "id" not in one or f"#{one['id']}" in known
        for one, own in zip(contained, inside, strict=True)
    )


def _local_references(node: Any) -> Iterator[str]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if type(one) is dict:
            waiting += one.values()
        elif type(one) is list:
            waiting += one
        elif type(one) is str and one[:1] == "#":
            yield one


def _codes_are_distinct(system: Any) -> bool | None:
    """csd-1, for code systems of any size."""
    seen: set[str] = set()
    waiting = [system.get("concept")]
    while waiting:
        concepts = waiting.pop()
        for concept in concepts if type(concepts) is list else ():
            code = concept.get("code") if type(concept) is dict else None
            if type(code) is str:
                if code in seen:
                    return False
                seen.add(code)
            if type(concept) is dict and "concept" in concept:
                waiting.append(concept["concept"])
    return True


def _formatting(div: Any) -> bool | None:
    return type(div) is not str or formatting_problem(div) is None


def _content(div: Any) -> bool | None:
    return type(div) is not str or has_content(div)


NATIVES: Mapping[str, Native] = MappingProxyType(
    {
        "per-1": _period_in_order,
        "dom-3": _contained_are_referred_to,
        "csd-1": _codes_are_distinct,
        "txt-1": _formatting,
        "txt-2": _content,
    }
)
"""Key → check."""

COVERED = frozenset({"ref-1"})
"""Rules that `schemas.validate` checks, `#` (the container itself) included."""

REWRITTEN: Mapping[str, str] = MappingProxyType(
    {
        # R4 compares the concept with a text, which is never equal.
        "con-3": "clinicalStatus.exists() or verificationStatus.coding.where(system = "
        "'http://terminology.hl7.org/CodeSystem/condition-ver-status' and code = "
        "'entered-in-error').exists() or category.coding.where(code = "
        "'problem-list-item').empty()",
        # `Boolean` is a type of System; an answer is one of FHIR.
        "que-7": "operator = 'exists' implies (answer is boolean)",
        # `in` takes one item, and there may be several.
        "tim-9": "offset.empty() or (when.exists() and when.where($this in ('C' | 'CM' | 'CD' | "
        "'CV')).empty())",
    }
)
"""Key → the expression that says what the rule's text says, where R4's does not."""

SOFTENED = frozenset({"txt-2", "sdf-4"})
"""Errors that are warnings here: HL7 published R4 with examples of blank narratives, and with
logical models that have no base."""

IDENTIFIER_NAME = "name.matches('[A-Z]([A-Za-z0-9_]){0,254}')"
"""The expression of the `…-0` rules of conformance resources, which is meant for the whole name."""

WHOLE_NAME = "name.matches('^[A-Z]([A-Za-z0-9_]){0,254}$')"
