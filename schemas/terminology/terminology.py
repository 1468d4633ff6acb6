"""Questions about codes, answered from the definitions that `find` gives.

terminology = Terminology(find)
terminology.contains("http://hl7.org/fhir/ValueSet/administrative-gender", None, "female")   # True

What is not known is told apart from what is not so: an answer of None, with a reason to be had.
https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from schemas.terminology import implicit, structured
from schemas.terminology.code_system import CodeSystem
from schemas.terminology.compile import compiled
from schemas.terminology.elements import Json, dicts, text
from schemas.terminology.parts import Entry, Prefixed, of_concept
from schemas.terminology.unknown import Unknown, no_code_system, no_value_set
from schemas.terminology.value_set import ValueSet

Find = Callable[[str, str], Json | None]
"""A definition by resource type and canonical URL (`url|version`), always the same one."""

_MAX_IMPORT_DEPTH = 32
_MAX_KEPT = 2_000
_MAX_KEPT_CODES = 1_000_000


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a code is in a value set: yes, no, or None for the `reason`.

    `entry` is what is known of the code where it is in it; `known` false where the value set itself
    is not here.
    """

    result: bool | None
    reason: str = ""
    entry: Entry | None = None
    known: bool = True


class TooDeep(Exception):
    """A value set with more imports of imports than are followed; its text says so."""


class Terminology:
    """The terminology of one state of affairs; safe to use from many threads.

    What is worked out of definitions is kept, so `find` has to give the same for ever.
    """

    def __init__(self, find: Find, maps: Callable[[], Iterable[Json]] = tuple) -> None:
        """`maps` gives all ConceptMaps that a translation may draw on without naming one."""
        self.find = find
        self.maps = maps
        self._value_sets: _Kept[ValueSet] = _Kept(lambda one: len(one.kept))
        self._systems: _Kept[CodeSystem | None] = _Kept(
            lambda one: len(one.concepts) if one is not None else 0
        )

    # Value sets

    def value_set(self, canonical: str) -> ValueSet:
        """The value set of a canonical URL, or `ValueSet/id`; `unknown` where it is not here."""
        try:
            return self._value_set(canonical, ())
        except TooDeep as reason:
            return ValueSet({"url": canonical}, unknown=str(reason))

    def compile(self, resource: Json) -> ValueSet:
        """A value set that is given as a resource."""
        url = text(resource, "url")
        path = (url,) if url else ()
        try:
            return compiled(resource, self._system, lambda other: self._value_set(other, path))
        except TooDeep as reason:
            return ValueSet(resource, unknown=str(reason))

    def membership(self, value_set: str | ValueSet, system: str | None, code: str) -> Membership:
        """Whether a code is in a value set, with the reason where that cannot be told.

        Without a `system` it is asked of the code in whichever system the value set has.
        """
        one = self.value_set(value_set) if isinstance(value_set, str) else value_set
        result = one.test(system, code)
        if result is None:
            reason = next(iter(one.reasons()), "it cannot be told which codes are in it")
            return Membership(None, reason, known=not one.unknown)
        return Membership(result, entry=one.entry(system, code) if result else None)

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in a value set; None where that cannot be told (see `membership`)."""
        return self.value_set(value_set).test(system, code)

    def member_of(
        self, value: Any, value_set: str, system_of_code: str | None = None
    ) -> bool | None:
        """Whether a code, Coding, Quantity or CodeableConcept is in a value set.

        It is what FHIRPath's `memberOf` says, and what a binding asks for. A concept is when any
        of its codings is. None where it cannot be told, or where the value is none of those.
        """
        one = self.value_set(value_set)
        if isinstance(value, str):
            return one.test(system_of_code, value)
        if not isinstance(value, dict):
            return None
        if "coding" not in value:
            code, system = value.get("code"), value.get("system")
            if isinstance(code, str):
                return one.test(system if isinstance(system, str) else system_of_code, code)
            return None if one.unknown else False
        answers = [
            one.test(text(coding, "system") or system_of_code, coding["code"])
            for coding in dicts(value, "coding")
            if isinstance(coding.get("code"), str)
        ]
        if True in answers:
            return True
        return None if None in answers or one.unknown else False

    # Code systems

    def code_system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """The code system of a URL, with its concepts as far as they are here; None without any."""
        found = self._system(url, version, ())
        return found if found is not None and found.concepts else None

    def validate_code(self, system: str, code: str, version: str | None = None) -> Membership:
        """Whether a code is one of a code system."""
        found = self.code_system(system, version)
        if found is not None:
            concept = found.find(code)
            if concept is not None:
                return Membership(True, entry=of_concept(found, concept))
            if found.complete:
                return Membership(False)
            return Membership(None, f"of the code system {system[:200]} only a part is here")
        known = structured.find(system)
        result = known.test(code) if known is not None else None
        if result is None:
            return Membership(None, no_code_system(system, version), known=known is not None)
        return Membership(result, entry=Entry(system, code) if result else None)

    def subsumes(
        self, system: str, code_a: str, code_b: str, version: str | None = None
    ) -> str | None:
        """`equivalent`, `subsumes` (A is above B), `subsumed-by` or `not-subsumed`.

        None where it cannot be told: a code system that is not here or whose hierarchy is no is-a,
        a code that it does not have.
        """
        found = self.code_system(system, version)
        if found is None:
            return _by_structure(system, code_a, code_b)
        a, b = found.find(code_a), found.find(code_b)
        if a is None or b is None:
            return None
        if a.code == b.code:
            return "equivalent"
        if not found.is_a:
            return None
        if a.code in found.ancestors(b.code):
            return "subsumes"
        if b.code in found.ancestors(a.code):
            return "subsumed-by"
        return "not-subsumed" if found.complete else None

    def coding_subsumes(self, a: Any, b: Any) -> bool | None:
        """Whether Coding A is B, or above it (FHIRPath's `subsumes`).

        None where it cannot be told; False for codings of two code systems.
        """
        if not isinstance(a, dict) or not isinstance(b, dict):
            return None
        system, codes = a.get("system"), (a.get("code"), b.get("code"))
        if not isinstance(system, str) or not all(isinstance(code, str) for code in codes):
            return None
        if system != b.get("system"):
            return False if isinstance(b.get("system"), str) else None
        found = self.subsumes(system, str(codes[0]), str(codes[1]))
        return None if found is None else found in ("equivalent", "subsumes")

    def descendants(self, system: str, code: str) -> frozenset[str] | Prefixed | None:
        """The codes below one, not itself; as a prefix where the structure of codes tells.

        None where it cannot be told.
        """
        found = self.code_system(system)
        if found is not None:
            concept = found.find(code)
            if concept is None or not found.is_a or not found.complete:
                return None
            return found.descendants(concept.code)
        known = structured.find(system)
        if known is None or not known.prefixed or not known.well_formed(code):
            return None
        return Prefixed(system, code, but=True)

    def ancestors(self, system: str, code: str) -> frozenset[str] | None:
        """The codes above one, not itself; None where it cannot be told."""
        found = self.code_system(system)
        if found is not None:
            concept = found.find(code)
            if concept is None or not found.is_a or not found.complete:
                return None
            return found.ancestors(concept.code)
        known = structured.find(system)
        above = known.ancestors(code) if known is not None else None
        return frozenset(above) if above is not None else None

    def _value_set(self, canonical: str, importing: tuple[str, ...]) -> ValueSet:
        kept = self._value_sets.get(canonical)
        if kept is not None:
            return kept
        if canonical in importing:
            return ValueSet({}, unknown="the value set imports itself")
        if len(importing) >= _MAX_IMPORT_DEPTH:
            return ValueSet(
                {}, unknown=f"value sets import over {_MAX_IMPORT_DEPTH} others in turn"
            )
        resource = self.find("ValueSet", canonical) or implicit.value_set(canonical)
        if resource is None:
            return ValueSet({}, unknown=no_value_set(canonical))
        path = (*importing, canonical)
        found = compiled(resource, self._system, lambda other: self._value_set(other, path))
        # Also within a circle: all that is in it cannot be told, whichever was asked for first.
        if not found.unknown or not importing:
            self._value_sets.put(canonical, found)
        return found

    def _system(
        self, url: str, version: str | None, supplements: tuple[str, ...]
    ) -> CodeSystem | None:
        key = "\n".join((f"{url}|{version}" if version else url, *supplements))
        if self._systems.has(key):
            return self._systems.get(key)
        canonical = f"{url}|{version}" if version and "|" not in url else url
        resource = self.find("CodeSystem", canonical)
        found = None
        if resource is not None and resource.get("content") not in ("supplement", "not-present"):
            found = CodeSystem(resource)
        for supplement in supplements:
            added = self.find("CodeSystem", supplement)
            if added is None:
                raise Unknown(no_code_system(supplement))
            supplemented = (text(added, "supplements") or "").partition("|")[0]
            if found is not None and supplemented == url:
                found = found.supplemented(added)
        self._systems.put(key, found)
        return found


def _by_structure(system: str, code_a: str, code_b: str) -> str | None:
    known = structured.find(system)
    if known is None or not known.well_formed(code_a) or not known.well_formed(code_b):
        return None
    if code_a == code_b:
        return "equivalent"
    if not known.prefixed:
        return None
    if code_b.startswith(code_a):
        return "subsumes"
    return "subsumed-by" if code_a.startswith(code_b) else "not-subsumed"


T = TypeVar("T")


class _Kept(Generic[T]):
    """What was worked out lately; bounded by the number of things and of codes in them."""

    def __init__(self, weight: Callable[[T], int]) -> None:
        self._weight = weight
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, T] = OrderedDict()

    def has(self, key: str) -> bool:
        return key in self._kept

    def get(self, key: str) -> T | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: str, value: T) -> None:
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > 1 and (
                len(self._kept) > _MAX_KEPT
                # What is in a value set may be listed later, so it is counted anew.
                or sum(self._weight(one) for one in self._kept.values()) > _MAX_KEPT_CODES
            ):
                self._kept.popitem(last=False)
