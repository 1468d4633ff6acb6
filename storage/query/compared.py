"""Comparisons of `_filter` that no value of a search parameter says, as entries of the index."""

from __future__ import annotations

from dataclasses import replace

from schemas.dates import date_range
from schemas.search_values import normalized
from storage import index
from storage.index.condition import All, Compare, Condition, Contains, Prefix
from storage.index.membership import Differs, EndsWith
from storage.index.probe import Find, Probe
from storage.query.alternatives import Alternatives, alternatives
from storage.query.criterion import Criterion, bad_value
from storage.query.tree import Compared

_STRING_COMPARE = {"gt": ">", "lt": "<", "ge": ">=", "le": "<="}


def compared(find: Find, resource_type: str, node: Compared) -> Alternatives:
    """The entries that a comparison asks for. Raises FhirError `value`."""
    p = find(index.param_key(resource_type, node.param))
    if node.kind == "string":
        condition: Condition = _of_strings(node)
    elif node.operator == "po":
        condition = _overlaps(node)
    else:
        given = Criterion(node.given, node.param, node.kind, "", (node.value,))
        probes = [
            replace(probe, condition=Differs(probe.condition), by_version=False, seekable=False)
            for one in alternatives(find, resource_type, given)
            for probe in one.probes
        ]
        if not probes and p is not None:
            # A system or type that nothing has: every value is another.
            probes = [index.BY_TYPE[node.kind].present(p)]
        return Alternatives(probes)
    if p is None:
        return Alternatives([])
    return Alternatives(
        [Probe(node.kind, p, condition, version_first=True, seekable=node.operator == "sw")]
    )


def _of_strings(node: Compared) -> Condition:
    text = normalized(node.value)
    if not text:
        raise bad_value(node.given, "some text is needed")
    if node.operator == "co":
        return Contains("normalized", text)
    if node.operator == "sw":
        return Prefix("normalized", text)
    if node.operator == "ew":
        return EndsWith("normalized", text)
    same = Compare("normalized", _STRING_COMPARE.get(node.operator, "="), text)
    return Differs(same) if node.operator == "ne" else same


def _overlaps(node: Compared) -> Condition:
    try:
        low, high = date_range(node.value)
    except ValueError as failure:
        raise bad_value(node.given, str(failure)) from None
    return All((Compare("low", "<", high), Compare("high", ">", low)))
