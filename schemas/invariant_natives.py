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
    same = len(start) == len(end) and (
        len(start) < 11 or (start[16:17] == ":" and start[19:] == end[19:])
    )
    return start < end if same else None


def _contained_are_referred_to(resource: Any) -> bool | None:
    """dom-3: something refers to each contained resource that has an id, or it refers to its
    container (`#`)."""
    missing = {f"#{one['id']}": one for one in _contained(resource) if "id" in one}
    for reference in _local_references(resource):
        if missing.pop(reference, None) is not None and not missing:
            return True
    return all("#" in _local_references(one) for one in missing.values())


def _contained(resource: Any) -> list[dict[str, Any]]:
    contained = resource.get("contained")
    return [one for one in contained if type(one) is dict] if type(contained) is list else []


def _metas(resource: Any) -> list[dict[str, Any]]:
    metas = [one.get("meta") for one in _contained(resource)]
    return [meta for meta in metas if type(meta) is dict]


def _nothing_is_contained_twice(resource: Any) -> bool | None:
    """dom-2."""
    return not any("contained" in one for one in _contained(resource))


def _contained_have_no_version(resource: Any) -> bool | None:
    """dom-4. The keys of primitives without a value count too."""
    keys = ("versionId", "_versionId", "lastUpdated", "_lastUpdated")
    return not any(key in meta for meta in _metas(resource) for key in keys)


def _contained_have_no_label(resource: Any) -> bool | None:
    """dom-5."""
    return not any("security" in meta for meta in _metas(resource))


def _local_references(node: Any) -> Iterator[str]:
    """All texts that begin with `#`, in the order of the document, what is contained at the end."""
    contained = node.get("contained")
    waiting = [iter((contained,)), iter(value for value in node.values() if value is not contained)]
    while waiting:
        for child in waiting[-1]:
            kind = type(child)
            if kind is str:
                if child[:1] == "#":
                    yield child
            elif kind is dict:
                waiting.append(iter(child.values()))
                break
            elif kind is list:
                waiting.append(iter(child))
                break
        else:
            waiting.pop()


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


def _entries(bundle: Any) -> list[dict[str, Any]]:
    entries = bundle.get("entry")
    return [one for one in entries if type(one) is dict] if type(entries) is list else []


def _entries_have(key: str, *types: str) -> Native:
    """bdl-3, bdl-4: each entry of a Bundle of these types has the key, none of another type."""

    def check(bundle: Any) -> bool | None:
        wanted = bundle.get("type") in types
        return all((key in entry) is wanted for entry in _entries(bundle))

    return check


def _full_urls_are_distinct(bundle: Any) -> bool | None:
    """bdl-7, for Bundles of thousands of entries."""
    if bundle.get("type") == "history":
        return True
    seen: set[tuple[str, str]] = set()
    for entry in _entries(bundle):
        url, resource = entry.get("fullUrl"), entry.get("resource")
        if type(url) is not str:
            continue
        meta = resource.get("meta") if type(resource) is dict else None
        version = str(meta.get("versionId", "")) if type(meta) is dict else ""
        if (url, version) in seen:
            return False
        seen.add((url, version))
    return True


def _formatting(div: Any) -> bool | None:
    return type(div) is not str or formatting_problem(div) is None


def _content(div: Any) -> bool | None:
    return type(div) is not str or has_content(div)


NATIVES: Mapping[str, Native] = MappingProxyType(
    {
        "per-1": _period_in_order,
        "dom-2": _nothing_is_contained_twice,
        "dom-3": _contained_are_referred_to,
        "dom-4": _contained_have_no_version,
        "dom-5": _contained_have_no_label,
        "bdl-3": _entries_have("request", "batch", "transaction", "history"),
        "bdl-4": _entries_have("response", "batch-response", "transaction-response", "history"),
        "bdl-7": _full_urls_are_distinct,
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
