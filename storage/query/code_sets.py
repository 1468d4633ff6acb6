"""Token parameters by value sets and hierarchies: `:in`, `:not-in`, `:below`, `:above`.

https://hl7.org/fhir/R4/search.html#token. The codes that are meant are worked out as of the
search's commit and looked up in the index as they are; what cannot be told, or is too large, is
refused and never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import apsw
import numpy as np

from schemas.codes import ICD10CM
from schemas.terminology import Terminology
from schemas.terminology.parts import Prefixed
from schemas.terminology.structured import find as structured
from schemas.terminology.unknown import Unknown
from storage.index.condition import (
    All,
    Bounds,
    Columns,
    Compare,
    Condition,
    Prefix,
    Sql,
    after_prefix,
)
from storage.index.membership import Among, TextSet
from storage.index.probe import Find, Probe
from storage.index.texts import Texts
from storage.query.criterion import Criterion, bad_value, unsupported
from storage.query.escapes import split, unescape

MAX_CODES = 200_000
"""Codes that a value set of a search may have."""

# Each is a probe, which SQLite may be asked for in one statement with others.
_MAX_SYSTEMS = 100

# Sets beyond this are narrowed to the codes that hot rows have, unless those are many, too.
_NARROWED = 500
_MAX_DISTINCT = 20_000

_DISTINCT = """
WITH RECURSIVE present (code) AS (
  SELECT min(code) FROM token_index WHERE p = ?1
  UNION ALL
  SELECT (SELECT min(code) FROM token_index WHERE p = ?1 AND code > present.code)
  FROM present WHERE present.code IS NOT NULL
)
SELECT code FROM present WHERE code IS NOT NULL LIMIT ?2
"""


class Selection:
    """Codes by their system, and those that a prefix describes."""

    def __init__(self, codes: Mapping[str, TextSet], prefixes: tuple[Prefixed, ...] = ()) -> None:
        self.codes = codes
        self.prefixes = prefixes


class CodeSets:
    """Works out the codes that the criteria of one search mean."""

    def __init__(self, connection: apsw.Connection, terminology: Callable[[], Terminology]) -> None:
        """`terminology` gives what was known of codes as of the search's commit."""
        self._connection = connection
        self._terminology = terminology

    def probes(self, criterion: Criterion, p: int | None, find: Find) -> list[Probe]:
        """The entries of a parameter (None: it has none) that a criterion asks for.

        Raises FhirError, also where there is nothing to search.
        """
        selections = [self._selection(criterion, value) for value in criterion.values]
        if p is None:
            return []
        found: list[Probe] = []
        for selection in selections:
            for system, codes in selection.codes.items():
                number = find(system)
                if number is not None:
                    found.append(_probe(p, number, self._among(p, codes)))
            for prefix in selection.prefixes:
                number = find(prefix.system)
                if number is not None:
                    found.append(_probe(p, number, _begins(prefix)))
        return found

    def _among(self, p: int, codes: TextSet) -> Condition:
        if len(codes) <= _NARROWED:
            return Among("code", codes)
        rows: list[Any] = self._connection.execute(_DISTINCT, (p, _MAX_DISTINCT)).fetchall()
        if len(rows) == _MAX_DISTINCT:
            return Among("code", codes)
        return AmongMany(codes, TextSet.of(code for (code,) in rows if code in codes))

    def _selection(self, criterion: Criterion, value: str) -> Selection:
        try:
            if criterion.modifier in ("in", "not-in"):
                return _of_value_set(self._terminology(), criterion, unescape(value))
            return _related(self._terminology(), criterion, value)
        except Unknown as reason:
            raise unsupported(criterion.given, str(reason)) from None


@dataclass(frozen=True, slots=True)
class AmongMany:
    """`code` is one of many; `hot` are those of them that any hot row has."""

    codes: TextSet
    hot: TextSet

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL."""
        return Among("code", self.hot).sql(names) if len(self.hot) else ("0", ())

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        column = columns["code"]
        assert isinstance(column, Texts)
        if len(column) * 4 > len(self.codes):
            return self.codes.mask(column)
        return np.fromiter((text in self.codes.known for text in column), bool, len(column))

    def possible(self, bounds: Bounds) -> bool:
        """Whether a value within the bounds could meet it."""
        return Among("code", self.codes).possible(bounds)


def _probe(p: int, system: int, condition: Condition) -> Probe:
    of_system = All((condition, Compare("system", "=", system)))
    return Probe("token", p, of_system, by_version=False)


def _begins(prefix: Prefixed) -> Condition:
    if not prefix.but:
        return Prefix("code", prefix.prefix)
    end = after_prefix(prefix.prefix)
    assert end is not None
    return All((Compare("code", ">", prefix.prefix), Compare("code", "<", end)))


def _of_value_set(terminology: Terminology, criterion: Criterion, canonical: str) -> Selection:
    value_set = terminology.value_set(canonical)
    if not value_set.resource:
        raise Unknown("the value set is not known")
    kept = value_set.worked_out.get(Selection)
    if isinstance(kept, Selection):
        return kept
    listed, prefixes = value_set.rules()
    if len(listed) > MAX_CODES:
        raise Unknown(f"the value set has {len(listed):,} codes, and at most {MAX_CODES:,} can be")
    systems: dict[str, list[str]] = {}
    for entry in listed:
        systems.setdefault(entry.system, []).append(entry.code)
    if len(systems) + len(prefixes) > _MAX_SYSTEMS:
        raise Unknown(f"the value set has codes of over {_MAX_SYSTEMS} code systems")
    codes = {system: TextSet.of(found) for system, found in systems.items()}
    found = Selection(codes, tuple(prefixes))
    value_set.worked_out[Selection] = found
    return found


def _related(terminology: Terminology, criterion: Criterion, value: str) -> Selection:
    """A code and those below or above it."""
    parts = [unescape(part) for part in split(value, "|", 1)]
    if len(parts) == 1:
        # What is written like a code of ICD-10-CM is one; any other could be of any system.
        system, code = ICD10CM, parts[0]
        known = structured(ICD10CM)
        if known is None or not known.well_formed(code):
            raise bad_value(criterion.given, "system|code is needed: a hierarchy is of one system")
    else:
        system, code = parts
    if not system or not code:
        raise bad_value(criterion.given, "system|code is needed: a hierarchy is of one system")
    if terminology.validate_code(system, code).result is False:
        raise bad_value(criterion.given, "its code system has no such code")
    if criterion.modifier == "above":
        above = terminology.ancestors(system, code)
        if above is None:
            raise Unknown(_not_told(terminology, system))
        return Selection({system: TextSet.of({code, *above})})
    below = terminology.descendants(system, code)
    if below is None:
        raise Unknown(_not_told(terminology, system))
    if isinstance(below, Prefixed):
        return Selection({}, (Prefixed(system, code),))
    return Selection({system: TextSet.of({code, *below})})


def _not_told(terminology: Terminology, system: str) -> str:
    if terminology.code_system(system) is None:
        return "the code system is not loaded"
    return "the hierarchy of the code system is not here as a whole, or is no is-a"
