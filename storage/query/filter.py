"""`_filter`: comparisons joined by and, or, not, as nodes of a search's tree.

https://hl7.org/fhir/R4/search_filter.html. A comparison becomes the search parameter that says the
same (`birthdate ge 1980` is `birthdate=ge1980`), so it finds the same; what no parameter says
(`name ew "son"`) is compared with the index's values directly. Texts compare without case and
accents, as string parameters do.
"""

from __future__ import annotations

from schemas.structure import RESOURCE_TYPES
from storage.query.chains import HAS, Reading, may_name, node
from storage.query.criterion import require_ready, unsupported
from storage.query.filter_text import Comparison, Filter, malformed, read
from storage.query.limits import beyond
from storage.query.tree import AllOf, AnyOf, Chain, Compared, Link, Node, NotOf

FILTER = "_filter"

_ORDERED = frozenset({"gt", "lt", "ge", "le", "ap", "sa", "eb"})
_OF_KIND = {
    "string": frozenset({"eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le"}),
    "token": frozenset({"eq", "ne", "ss", "sb", "in", "ni"}),
    "reference": frozenset({"eq", "ne", "re"}),
    "uri": frozenset({"eq", "ne", "sb", "ss"}),
    "date": _ORDERED | {"eq", "ne", "po"},
    "number": _ORDERED | {"eq", "ne"},
    "quantity": _ORDERED | {"eq", "ne"},
}
# `ss`: the value subsumes a concept of the resource, which then is below it; `sb` the reverse.
_MODIFIER = {"in": ":in", "ni": ":not-in", "ss": ":below", "sb": ":above"}


def filter_node(reading: Reading, resource_type: str, text: str) -> Node:
    """The tree of a `_filter` on resources of a type. Raises FhirError; values are not repeated."""
    return _node(reading, resource_type, read(text, reading.limits.max_filter_terms))


def _node(reading: Reading, resource_type: str, found: Filter) -> Node:
    if isinstance(found, Comparison):
        return _compared(reading, resource_type, found.path, found, 0)
    parts = tuple(_node(reading, resource_type, part) for part in found.parts)
    if found.word == "not":
        return NotOf(parts[0])
    return AllOf(parts) if found.word == "and" else AnyOf(parts)


def _compared(
    reading: Reading, resource_type: str, path: str, asked: Comparison, depth: int
) -> Node:
    if depth > reading.limits.max_chain_depth:
        raise beyond(
            path, "is too deep a chain", reading.limits.max_chain_depth, "search_max_chain_depth"
        )
    head, dot, rest = path.partition(".")
    if head.startswith(HAS):
        raise malformed("_has is not written in a filter")
    if dot:
        return _chained(reading, resource_type, head, rest, asked, depth)
    if head in ("_id", "_lastUpdated"):
        return _parameter(reading, resource_type, head, asked, "token" if head == "_id" else "date")
    defined = reading.known(resource_type).get(head)
    if defined is None:
        raise unsupported(asked.path, f"{resource_type} has no such search parameter (_filter)")
    return _parameter(reading, resource_type, head, asked, defined.kind)


def _chained(
    reading: Reading, resource_type: str, head: str, rest: str, asked: Comparison, depth: int
) -> Node:
    name, colon, written = head.partition(":")
    defined = reading.known(resource_type).get(name)
    if defined is None or defined.type != "reference":
        raise unsupported(asked.path, f"{name[:64]!r} is no reference of {resource_type} (_filter)")
    if colon and (written not in RESOURCE_TYPES or not may_name(defined, written)):
        raise unsupported(asked.path, f"{name[:64]!r} does not refer to such a type (_filter)")
    require_ready(asked.path, defined)
    wide = not defined.targets or "Resource" in defined.targets
    types = [written] if colon else sorted(RESOURCE_TYPES) if wide else list(defined.targets)
    first = rest.partition(".")[0].partition(":")[0]
    having = [
        one for one in types if first in reading.known(one) or first in ("_id", "_lastUpdated")
    ]
    if not having:
        raise unsupported(asked.path, "no type that it leads to has the parameter (_filter)")
    return Chain(
        asked.path,
        tuple(Link(name, one, _compared(reading, one, rest, asked, depth + 1)) for one in having),
    )


def _parameter(
    reading: Reading, resource_type: str, name: str, asked: Comparison, kind: str
) -> Node:
    operator = asked.operator
    if operator == "pr":
        if asked.value not in ("true", "false"):
            raise malformed("pr takes true or false")
        return _search(reading, resource_type, f"{name}:missing", _opposite(asked.value))
    if operator not in _OF_KIND.get(kind, frozenset()):
        raise unsupported(asked.path, f"a {kind} parameter is not compared by {operator} (_filter)")
    if kind == "string" or operator == "po":
        return Compared(asked.path, name, kind, operator, asked.value)
    if kind in ("date", "number", "quantity"):
        prefix = "" if operator == "eq" else operator
        return _search(reading, resource_type, name, prefix + _escaped(asked, kind))
    if operator == "ne":
        if name == "_id":
            return NotOf(_search(reading, resource_type, name, _escaped(asked, kind)))
        # Checks the value's form, too.
        _search(reading, resource_type, name, _escaped(asked, kind))
        return Compared(asked.path, name, kind, operator, _escaped(asked, kind))
    return _search(
        reading, resource_type, name + _MODIFIER.get(operator, ""), _escaped(asked, kind)
    )


def _search(reading: Reading, resource_type: str, given: str, value: str) -> Node:
    found = node(reading, resource_type, given, value)
    if found is None:
        raise unsupported(given, f"{resource_type} has no such search parameter (_filter)")
    return found


def _escaped(asked: Comparison, kind: str) -> str:
    """The value as a search parameter takes it: one alternative."""
    text = asked.value.replace("\\", "\\\\").replace(",", "\\,")
    return text.replace("$", "\\$") if kind in ("token", "string") else text


def _opposite(text: str) -> str:
    return "false" if text == "true" else "true"
