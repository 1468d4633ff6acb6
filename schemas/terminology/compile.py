"""From a ValueSet resource to a compiled value set, with the code systems that it draws on.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.terminology import structured
from schemas.terminology.code_system import CodeSystem
from schemas.terminology.elements import Json, dicts, text, texts
from schemas.terminology.filters import parts, selected
from schemas.terminology.parts import (
    Described,
    Entry,
    Listed,
    NotKnown,
    Part,
    Prefixed,
    Whole,
    of_concept,
)
from schemas.terminology.unknown import Unknown, no_code_system
from schemas.terminology.value_set import Clause, ValueSet

_SUPPLEMENT = "http://hl7.org/fhir/StructureDefinition/valueset-supplement"
_INCOMPLETE = frozenset({
    "http://hl7.org/fhir/StructureDefinition/valueset-unclosed",
    "http://hl7.org/fhir/StructureDefinition/valueset-toocostly",
})  # fmt: skip
_MAX_CONTAINS_DEPTH = 100

FindSystem = Callable[[str, str | None, tuple[str, ...]], CodeSystem | None]
"""The code system of a URL and version with supplements, None when it is not here."""

FindValueSet = Callable[[str], ValueSet]
"""A value set by its canonical URL, one that is `unknown` when it is not here."""


def compiled(resource: Json, find_system: FindSystem, find_value_set: FindValueSet) -> ValueSet:
    """The compiled value set of a resource.

    Its definition (`compose`) counts; where it draws on what is not here, an expansion that came
    with the resource does, if it is complete.
    """
    reader = _Reader(find_system, find_value_set, _supplements(resource))
    compose, expansion = resource.get("compose"), resource.get("expansion")
    if not isinstance(compose, dict):
        if isinstance(expansion, dict):
            return _expanded(resource, expansion)
        return ValueSet(resource, unknown="the value set has neither a compose nor an expansion")
    try:
        found = ValueSet(
            resource,
            tuple(reader.clause(one) for one in dicts(compose, "include")),
            tuple(reader.clause(one) for one in dicts(compose, "exclude")),
            compose.get("inactive") is False,
        )
    except Unknown as reason:
        found = ValueSet(resource, unknown=str(reason))
    if isinstance(expansion, dict) and next(iter(found.reasons()), ""):
        given = _expanded(resource, expansion)
        if not given.open_reason:
            return given
    return found


class _Reader:
    def __init__(
        self, find_system: FindSystem, find_value_set: FindValueSet, supplements: tuple[str, ...]
    ) -> None:
        self._find_system = find_system
        self._find_value_set = find_value_set
        self._supplements = supplements

    def clause(self, described: Json) -> Clause:
        """One include or exclude. Raises `Unknown` for one that says nothing."""
        value_sets = tuple(self._find_value_set(url) for url in texts(described, "valueSet"))
        url = text(described, "system")
        if url is None:
            if not value_sets:
                raise Unknown("an include of the value set names neither a system nor a value set")
            return Clause(None, value_sets)
        version = text(described, "version")
        return Clause(self._part(url, version, described), value_sets)

    def _part(self, url: str, version: str | None, described: Json) -> Part:
        # `*` is how some value sets say: whichever version.
        system = self._find_system(url, None if version == "*" else version, self._supplements)
        concepts = described.get("concept")
        if isinstance(concepts, list) and concepts:
            return _listed(url, version, system, concepts)
        given = described.get("filter")
        filters: list[Any] = given if isinstance(given, list) else []
        if system is None:
            return _without_list(url, version, filters)
        open_reason = ""
        if not system.complete:
            open_reason = f"of the code system {url[:200]} only a part is here"
        if not filters:
            return Whole(system, open_reason)
        try:
            found = selected(system, filters)
        except Unknown as reason:
            return NotKnown(url, str(reason))
        codes = {concept.code: of_concept(system, concept) for concept in found}
        return Listed(url, codes, system.folds, open_reason)


def _listed(url: str, version: str | None, system: CodeSystem | None, concepts: list[Any]) -> Part:
    codes: dict[str, Entry] = {}
    for one in concepts:
        if isinstance(one, dict) and isinstance(one.get("code"), str):
            concept = system.find(one["code"]) if system is not None else None
            codes.setdefault(
                one["code"],
                Entry(
                    url,
                    one["code"],
                    version or (system.version if system is not None else None),
                    text(one, "display"),
                    tuple(dicts(one, "designation")),
                    system if concept is not None else None,
                    concept,
                ),
            )
    return Listed(url, codes, system is not None and system.folds)


def _without_list(url: str, version: str | None, filters: list[Any]) -> Part:
    """A part of a code system of which no list of concepts is here."""
    known = structured.find(url)
    reason = no_code_system(url, version)
    if known is None:
        return NotKnown(url, reason)
    if known.by_form:
        reason = f"the codes of {known.name} are too many to be listed"
    if not filters:
        return Described(url, known.test, reason)
    if len(filters) > 1:
        return NotKnown(url, reason)
    name, operator, value = parts(filters[0])
    of_code = name in ("concept", "code") and operator in ("is-a", "descendent-of")
    if of_code and known.prefixed and known.well_formed(value):
        prefixed = Prefixed(url, value, but=operator == "descendent-of")
        return Described(
            url,
            lambda code: known.test(code) if prefixed.holds(code) else False,
            reason,
            prefixed,
        )
    if name == "canonical" and operator == "=":
        same = known.same_unit(value)
        if same is not None:
            return Described(url, same, reason)
    return NotKnown(url, reason)


def _expanded(resource: Json, expansion: Json) -> ValueSet:
    """A value set as the expansion says that came with it."""
    systems: dict[str, dict[str, Entry]] = {}
    count = 0
    waiting = [(one, 0) for one in dicts(expansion, "contains")][::-1]
    while waiting:
        one, depth = waiting.pop()
        if depth < _MAX_CONTAINS_DEPTH:
            waiting += [(inner, depth + 1) for inner in dicts(one, "contains")][::-1]
        system, code = one.get("system"), one.get("code")
        if isinstance(system, str) and isinstance(code, str):
            count += 1
            systems.setdefault(system, {})[code] = Entry(
                system,
                code,
                text(one, "version"),
                text(one, "display"),
                tuple(dicts(one, "designation")),
                said_abstract=one.get("abstract") is True,
                said_inactive=one.get("inactive") is True,
            )
    total = expansion.get("total", count)
    partial = any(one.get("url") in _INCOMPLETE for one in dicts(expansion, "extension"))
    open_reason = ""
    if partial or expansion.get("offset") or (isinstance(total, int) and total > count):
        open_reason = "the expansion that the value set came with is incomplete"
    if open_reason and not systems:
        return ValueSet(resource, unknown=open_reason)
    clauses = (
        Clause(Listed(url, codes, open_reason=open_reason)) for url, codes in systems.items()
    )
    return ValueSet(resource, tuple(clauses))


def _supplements(resource: Json) -> tuple[str, ...]:
    return tuple(
        str(one["valueCanonical"])
        for one in dicts(resource, "extension")
        if one.get("url") == _SUPPLEMENT and isinstance(one.get("valueCanonical"), str)
    )
