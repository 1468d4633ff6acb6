"""From one criterion to the index entries that meet it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.composite_values import UCUM_SUFFIX
from schemas.search_params import search_params
from storage import index
from storage.index import date, quantity, string
from storage.index.composite import CompositeTable
from storage.index.probe import Find, Probe
from storage.query.code_sets import CodeSets
from storage.query.criterion import CODE_SETS, Criterion, bad_value, unsupported
from storage.query.special_values import (
    Clause,
    age_condition,
    deceased,
    sound_clauses,
    word_clauses,
)


@dataclass(frozen=True, slots=True)
class Alternatives:
    """The probes of one criterion (any may match), and whether a match excludes."""

    probes: list[Probe]
    excludes: bool = False


@dataclass(frozen=True, slots=True)
class _Names:
    """What the parameters of a type are indexed as."""

    find: Find
    resource_type: str

    def number(self, param: str) -> int | None:
        """The `p` of a parameter's entries; None when it has none."""
        return self.find(index.param_key(self.resource_type, param))

    def indexed_as(self, param: str) -> tuple[str, ...]:
        """The parameters under whose names the values of one are."""
        # What a modifier adds to the name (`:text`) is added to those.
        name, colon, suffix = param.partition(":")
        defined = search_params(self.resource_type).get(name)
        if defined is None or not defined.indexed_as:
            return (param,)
        return tuple(other + colon + suffix for other in defined.indexed_as)


def alternatives(
    find: Find, resource_type: str, criterion: Criterion, codes: CodeSets | None = None
) -> list[Alternatives]:
    """What the index is asked for one criterion: a version must meet each of them.

    `find` gives the number of a text, `codes` the codes of value sets and hierarchies. Raises
    FhirError for bad values.
    """
    names = _Names(find, resource_type)
    if criterion.modifier == "missing":
        return [_missing(criterion, names)]
    if criterion.kind == "token" and criterion.modifier in CODE_SETS:
        if codes is None:
            raise unsupported(criterion.given, "value sets and hierarchies are not looked up here")
        meant = [
            probe
            for param in names.indexed_as(criterion.param)
            for probe in codes.probes(criterion, names.number(param), find)
        ]
        return [Alternatives(meant, excludes=criterion.modifier == "not-in")]
    try:
        if criterion.kind == "words":
            return _strings(names, criterion.param, word_clauses(criterion.values))
        if criterion.kind == "phonetic":
            return _strings(names, criterion.param, sound_clauses(criterion.values))
        if criterion.kind == "age":
            return _age(criterion, names)
        return [Alternatives(list(_probes(criterion, names)), criterion.modifier == "not")]
    except ValueError as failure:
        raise bad_value(criterion.given, str(failure)) from None


def _missing(criterion: Criterion, names: _Names) -> Alternatives:
    tables = [(criterion.kind, param) for param in names.indexed_as(criterion.param)]
    if criterion.kind in ("words", "phonetic"):
        tables = [("string", criterion.param)]
    elif criterion.kind == "age":
        tables = [("date", "birthdate")]
    elif criterion.kind == "reference":
        tables.append(("token", criterion.param + ":identifier"))
    found = [(kind, names.number(param)) for kind, param in tables]
    present = [index.BY_TYPE[kind].present(p) for kind, p in found if p is not None]
    return Alternatives(present, excludes=criterion.values == ("true",))


def _probes(criterion: Criterion, names: _Names) -> Iterable[Probe]:
    """The probes of all values. Bad ones are refused also where there is nothing to search."""
    table = index.BY_TYPE[criterion.kind]
    arguments: dict[str, str] = {}
    if criterion.kind == "reference" and criterion.modifier not in ("", "above", "below"):
        arguments["resource_type"] = criterion.modifier
    elif criterion.modifier and criterion.modifier != "not":
        arguments["modifier"] = criterion.modifier
    for value in criterion.values:
        suffix, probes = _of_value(table, value, names.find, arguments)
        for param in names.indexed_as(criterion.param):
            p = names.number(param + suffix)
            if p is not None:
                yield from (probe.of(p) for probe in probes)


def _of_value(
    table: Any, value: str, find: Find, arguments: dict[str, str]
) -> tuple[str, list[Probe]]:
    """The probes of one value, and what follows the name of the parameter that they are of."""
    if table is quantity:
        converted = quantity.in_base_units(value)
        if converted is not None:
            return UCUM_SUFFIX, [quantity.probe(0, converted)]
    if isinstance(table, CompositeTable):
        found = table.in_base_units(0, value, find)
        if found is not None:
            return UCUM_SUFFIX, found
    return "", table.probes(0, value, find, **arguments)


def _strings(names: _Names, param: str, clauses: Iterable[Clause]) -> list[Alternatives]:
    p = names.number(param)
    return [
        Alternatives([string.equal(p, one) for one in texts] if p is not None else [], excludes)
        for texts, excludes in clauses
    ]


def _age(criterion: Criterion, names: _Names) -> list[Alternatives]:
    """By the birth date, as of today; the deceased have no age."""
    conditions = [age_condition(value) for value in criterion.values]
    born, dead = names.number("birthdate"), names.number("deceased")
    probes = [] if born is None else [date.probe(born, one) for one in conditions]
    return [Alternatives(probes), Alternatives([] if dead is None else [deceased(dead)], True)]
