"""A code system as a CodeSystem resource defines it: its concepts and their hierarchy.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.terminology.elements import Json, dicts, text

_PROPERTIES = "http://hl7.org/fhir/concept-properties#"
_INACTIVE = frozenset({"inactive", "retired"})


@dataclass(slots=True)
class Concept:
    """One concept; `described` is its element of the resource, not to be changed."""

    code: str
    described: Json
    parents: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)

    @property
    def display(self) -> str | None:
        """The words for it, where the code system gives some."""
        return text(self.described, "display")

    @property
    def designations(self) -> list[Json]:
        """Other words for it: `language`, `use`, `value`."""
        return dicts(self.described, "designation")


class CodeSystem:
    """The concepts of one CodeSystem resource, by code and in their order.

    A concept that is nested, or has properties `parent` and `child`, is below others. That is read
    as `is-a` where the resource says so or says nothing (`hierarchyMeaning`); else `is_a` is false
    and nothing is subsumed by anything but itself.
    """

    def __init__(self, resource: Json) -> None:
        self.resource = resource
        self.url = text(resource, "url") or ""
        self.version = text(resource, "version")
        self.content = text(resource, "content") or ""
        self.is_a = resource.get("hierarchyMeaning", "is-a") == "is-a"
        self.concepts: dict[str, Concept] = {}
        self._names = _property_names(resource)
        self._read(dicts(resource, "concept"))
        # Where it is not said that case matters, a code is accepted in any (the element's rule).
        self.folds = resource.get("caseSensitive") is not True
        self._folded: dict[str, str | None] | None = None

    @property
    def complete(self) -> bool:
        """Whether a code that is not here is none of the code system."""
        return self.content == "complete"

    @property
    def properties(self) -> frozenset[str]:
        """The properties that the resource declares, or some concept has."""
        return frozenset(self._names)

    def find(self, code: str) -> Concept | None:
        """The concept of a code; in any case of letters where the code system has no case."""
        found = self.concepts.get(code)
        if found is None and self.folds:
            exact = self._by_folded().get(code.casefold())
            found = self.concepts[exact] if exact is not None else None
        return found

    def values(self, concept: Concept, name: str) -> list[Any]:
        """The values of a property, as they are in JSON: text, number, boolean or Coding."""
        return [
            next((v for k, v in one.items() if k.startswith("value") and k != "value"), None)
            for one in dicts(concept.described, "property")
            if one.get("code") == name
        ]

    def is_abstract(self, concept: Concept) -> bool:
        """Whether it only groups others and is not to be used in a record (`notSelectable`)."""
        return any(
            value is True
            for name in ("notSelectable", "abstract")
            for value in self._standard(concept, name)
        )

    def is_inactive(self, concept: Concept) -> bool:
        """Whether it is not to be used any more (property `inactive`, or a status that says so)."""
        if any(value is True for value in self._standard(concept, "inactive")):
            return True
        return any(value in _INACTIVE for value in self._standard(concept, "status"))

    def descendants(self, code: str) -> frozenset[str]:
        """The codes of all concepts below one; nothing where the hierarchy is no `is-a`."""
        return self._closure(code, "children")

    def ancestors(self, code: str) -> frozenset[str]:
        """The codes of all concepts above one; nothing where the hierarchy is no `is-a`."""
        return self._closure(code, "parents")

    def supplemented(self, supplement: Json) -> CodeSystem:
        """This code system with the designations and properties that a supplement adds.

        https://hl7.org/fhir/R4/codesystem.html#supplements
        """
        found = copy.copy(self)
        found.concepts = dict(self.concepts)
        found._names = {**_property_names(supplement), **self._names}
        extra = list(dicts(supplement, "concept"))
        while extra:
            added = extra.pop()
            extra += dicts(added, "concept")
            known = self.find(str(added.get("code")))
            if known is not None:
                more = {
                    name: [*dicts(known.described, name), *dicts(added, name)]
                    for name in ("designation", "property")
                }
                described = {
                    **known.described,
                    **{name: every for name, every in more.items() if every},
                }
                found.concepts[known.code] = Concept(
                    known.code, described, known.parents, known.children
                )
        return found

    def _closure(self, code: str, direction: str) -> frozenset[str]:
        start = self.find(code)
        if start is None or not self.is_a:
            return frozenset()
        found: set[str] = set()
        waiting = list(getattr(start, direction))
        while waiting:
            one = waiting.pop()
            if one not in found and one in self.concepts:
                found.add(one)
                waiting += getattr(self.concepts[one], direction)
        # A hierarchy that goes round in a circle puts nothing below itself.
        found.discard(start.code)
        return frozenset(found)

    def _read(self, top: Iterable[Json]) -> None:
        waiting: list[tuple[Json, str | None]] = []
        waiting += [(one, None) for one in top][::-1]
        while waiting:
            described, parent = waiting.pop()
            code = text(described, "code")
            if code is None:
                continue
            concept = self.concepts.setdefault(code, Concept(code, described))
            if parent is not None:
                concept.parents.append(parent)
            waiting += [(one, code) for one in dicts(described, "concept")][::-1]
        for concept in self.concepts.values():
            for code in _codes(self._standard(concept, "parent")):
                concept.parents.append(code)
            for code in _codes(self._standard(concept, "child")):
                if code in self.concepts:
                    self.concepts[code].parents.append(concept.code)
        for concept in self.concepts.values():
            concept.parents = list(dict.fromkeys(concept.parents))
            for code in concept.parents:
                if code in self.concepts:
                    self.concepts[code].children.append(concept.code)

    def _standard(self, concept: Concept, name: str) -> Iterator[Any]:
        """Values of a property by HL7's name for it, whatever the code system calls it."""
        if "property" in concept.described:
            for own in self._names:
                if own == name or self._names[own] == _PROPERTIES + name:
                    yield from self.values(concept, own)

    def _by_folded(self) -> dict[str, str | None]:
        if self._folded is None:
            found: dict[str, str | None] = {}
            for code in self.concepts:
                key = code.casefold()
                found[key] = None if key in found else code
            self._folded = found
        return self._folded


def _property_names(resource: Json) -> dict[str, str | None]:
    """Property → its URI: those that are declared, then those that are used all the same."""
    found: dict[str, str | None] = {}
    for one in dicts(resource, "property"):
        if isinstance(one.get("code"), str):
            found.setdefault(one["code"], text(one, "uri"))
    waiting = list(dicts(resource, "concept"))
    while waiting:
        concept = waiting.pop()
        for one in dicts(concept, "property"):
            if isinstance(one.get("code"), str):
                found.setdefault(one["code"], None)
        waiting += dicts(concept, "concept")
    return found


def _codes(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict) and isinstance(value.get("code"), str):
            yield value["code"]
