"""`$translate`: what a code is in another code system, by ConceptMaps.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.terminology.elements import Json, dicts, text
from schemas.terminology.unknown import Unknown

FindMap = Callable[[str], Json | None]
"""A ConceptMap by its canonical URL."""

_MAX_OTHER_MAPS = 8

# https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html: how a relation reads backwards.
_REVERSED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
NO_MATCH = frozenset({"unmatched", "disjoint"})


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another element's code that a mapping may depend on: `element` is the property's URI."""

    element: str
    system: str
    value: str


@dataclass(frozen=True, slots=True)
class Question:
    """A code to be translated, and where to. With `reverse`, maps are read from target to source.

    `source` and `target` are value sets, `target_system` a code system; empty: whichever.
    """

    system: str
    code: str
    version: str = ""
    source: str = ""
    target: str = ""
    target_system: str = ""
    reverse: bool = False
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """One concept that a code is mapped to.

    `equivalence` is that of the concept found to the one asked for, empty where the map says none
    (codes that it has no entry for); `products` are further elements that the map yields with it,
    `source` is the map. `open_dependencies` names what decides about it and was not given.
    """

    equivalence: str
    system: str | None
    code: str | None
    display: str | None = None
    version: str | None = None
    products: tuple[Json, ...] = ()
    comment: str | None = None
    source: str = ""
    open_dependencies: tuple[str, ...] = ()

    @property
    def is_match(self) -> bool:
        """Whether it says what the code is, not that there is nothing."""
        return self.equivalence not in NO_MATCH


def translate(maps: Iterable[Json], question: Question, find: FindMap) -> list[Match]:
    """The matches of a code in the maps, each once. Raises `Unknown` for a map it needs."""
    found: dict[tuple[Any, ...], Match] = {}
    for resource in maps:
        if not _concerns(resource, question):
            continue
        for match in _in_map(resource, question, find, ()):
            key = (match.equivalence, match.system, match.code, match.source)
            found.setdefault((*key, str(match.products)), match)
    return list(found.values())


def _concerns(resource: Json, question: Question) -> bool:
    """Whether a map is between the value sets asked for, as far as it says between which it is."""
    source, target = _value_set(resource, "source"), _value_set(resource, "target")
    if question.reverse:
        source, target = target, source
    return all(
        not wanted or _same_canonical(own, wanted)
        for own, wanted in ((source, question.source), (target, question.target))
    )


def _value_set(resource: Json, side: str) -> str:
    return text(resource, f"{side}Canonical") or text(resource, f"{side}Uri") or ""


def _same_canonical(own: str, wanted: str) -> bool:
    if "|" in own and "|" in wanted:
        return own == wanted
    return own.partition("|")[0] == wanted.partition("|")[0]


def _in_map(
    resource: Json, question: Question, find: FindMap, through: tuple[str, ...]
) -> Iterator[Match]:
    url = text(resource, "url") or ""
    for group in dicts(resource, "group"):
        source, target = text(group, "source") or "", text(group, "target") or ""
        if question.reverse:
            if target == question.system and _wants(source, question):
                yield from _backwards(group, question, url)
            continue
        if source != question.system or not _wants(target, question):
            continue
        version = text(group, "sourceVersion")
        if question.version and version is not None and version != question.version:
            continue
        elements = [e for e in dicts(group, "element") if e.get("code") == question.code]
        for element in elements:
            yield from _forwards(group, element, question, url)
        if not elements:
            yield from _unmapped(group, question, find, url, through)


def _wants(system: str, question: Question) -> bool:
    return not question.target_system or system == question.target_system


def _forwards(group: Json, element: Json, question: Question, url: str) -> Iterator[Match]:
    for target in dicts(element, "target"):
        open_dependencies = _undecided(target, question)
        if open_dependencies is None:
            continue
        code = text(target, "code")
        yield Match(
            text(target, "equivalence") or "",
            text(group, "target") if code is not None else None,
            code,
            text(target, "display"),
            text(group, "targetVersion"),
            tuple(dicts(target, "product")),
            text(target, "comment"),
            url,
            open_dependencies,
        )


def _backwards(group: Json, question: Question, url: str) -> Iterator[Match]:
    for element in dicts(group, "element"):
        for target in dicts(element, "target"):
            if target.get("code") != question.code:
                continue
            open_dependencies = _undecided(target, question)
            if open_dependencies is None:
                continue
            equivalence = text(target, "equivalence") or ""
            yield Match(
                _REVERSED.get(equivalence, equivalence),
                text(group, "source"),
                text(element, "code"),
                text(element, "display"),
                text(group, "sourceVersion"),
                (),
                text(target, "comment"),
                url,
                open_dependencies,
            )


def _undecided(target: Json, question: Question) -> tuple[str, ...] | None:
    """What a mapping depends on and was not given; None where something else was given."""
    missing = []
    for needed in dicts(target, "dependsOn"):
        name = text(needed, "property") or ""
        given = [one for one in question.dependencies if one.element == name]
        if not given:
            missing.append(name)
        elif not any(
            one.value == needed.get("value") and needed.get("system", one.system) == one.system
            for one in given
        ):
            return None
    return tuple(missing)


def _unmapped(
    group: Json, question: Question, find: FindMap, url: str, through: tuple[str, ...]
) -> Iterator[Match]:
    """What a group says of codes that it has no entry for."""
    unmapped = group.get("unmapped")
    if not isinstance(unmapped, dict):
        return
    mode = unmapped.get("mode")
    target, version = text(group, "target"), text(group, "targetVersion")
    if mode == "provided":
        yield Match("", target, question.code, None, version, source=url)
    elif mode == "fixed":
        code, display = text(unmapped, "code"), text(unmapped, "display")
        yield Match("", target, code, display, version, source=url)
    elif mode == "other-map":
        other = text(unmapped, "url") or ""
        if other in through or len(through) >= _MAX_OTHER_MAPS:
            raise Unknown("its maps refer to one another in a circle, or over too many")
        resource = find(other)
        if resource is None:
            raise Unknown(f"the concept map {other[:200]} that it goes on with is not known")
        yield from _in_map(resource, question, find, (*through, other))
