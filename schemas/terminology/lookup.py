"""`$lookup`: all that is known of a code.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.outcomes import error
from schemas.terminology import structured
from schemas.terminology.code_system import CodeSystem, Concept
from schemas.terminology.elements import dicts, text
from schemas.terminology.parts import Entry, of_concept
from schemas.terminology.terminology import Terminology


@dataclass(frozen=True, slots=True)
class Property:
    """One property: `value` under the JSON `key` (`valueCode`), `words` for people."""

    code: str
    key: str
    value: Any
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """A code with the name of its code system."""

    name: str
    entry: Entry
    properties: tuple[Property, ...] = ()


def details(terminology: Terminology, system: str, code: str, version: str | None) -> Details:
    """What is known of a code. Raises FhirError `not-found` (code or code system)."""
    found = terminology.code_system(system, version)
    if found is None:
        known = structured.find(system)
        if known is None or not known.by_form:
            raise error("not-found", f"The code system {system[:200]} is not loaded.", "system")
        if not known.test(code):
            raise error("not-found", "It has no such code.", "code")
        return Details(known.name, Entry(system, code, own_display=code))
    concept = found.find(code)
    if concept is None:
        part = "" if found.complete else ", of which only a part is here"
        raise error("not-found", f"{system[:200]}{part} has no such code.", "code")
    name = text(found.resource, "title") or text(found.resource, "name") or found.url
    return Details(name, of_concept(found, concept), tuple(_properties(found, concept)))


def _properties(system: CodeSystem, concept: Concept) -> list[Property]:
    found = []
    definition = text(concept.described, "definition")
    if definition is not None:
        found.append(Property("definition", "valueString", definition))
    entry = of_concept(system, concept)
    found.append(Property("inactive", "valueBoolean", entry.inactive))
    for name, codes in (("parent", concept.parents), ("child", concept.children)):
        for code in codes:
            related = system.find(code)
            words = related.display if related is not None else None
            found.append(Property(name, "valueCode", code, words))
    for one in dicts(concept.described, "property"):
        named = text(one, "code")
        key = next((key for key in one if key.startswith("value")), None)
        if key is not None and named not in (None, "inactive", "parent", "child"):
            found.append(Property(str(named), key, one[key]))
    return found
