"""From one criterion to the index entries that meet it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from schemas.composite_values import UCUM_SUFFIX
from storage import index
from storage.index import date, quantity, string
from storage.index.composite import CompositeTable
from storage.index.probe import Find, Probe
from storage.query.criterion import Criterion, bad_value
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


def alternatives(find: Find, resource_type: str, criterion: Criterion) -> list[Alternatives]:
    """What the index is asked for one criterion: a version must meet each of them.

    `find` gives the number of a text. Raises FhirError for bad values.
    """

    def number(param: str) -> int | None:
        return find(index.param_key(resource_type, param))

    if criterion.modifier == "missing":
        return [_missing(criterion, number)]
    try:
        if criterion.kind == "words":
            return _words(criterion, number)
        if criterion.kind == "age":
            return _age(criterion, number)
        if criterion.kind == "phonetic":
            return _sounds(criterion, number)
        excludes = criterion.modifier == "not"
        return [Alternatives(list(_probes(criterion, number, find)), excludes)]
    except ValueError as failure:
        raise bad_value(criterion.given, str(failure)) from None


def _missing(criterion: Criterion, number: Callable[[str], int | None]) -> Alternatives:
    names = [(criterion.kind, param) for param in _indexed_as(criterion)]
    if criterion.kind in ("words", "phonetic"):
        names = [("string", criterion.param)]
    elif criterion.kind == "age":
        names = [("date", "birthdate")]
    elif criterion.kind == "reference":
        names.append(("token", criterion.param + ":identifier"))
    found = [(kind, number(param)) for kind, param in names]
    present = [index.BY_TYPE[kind].present(p) for kind, p in found if p is not None]
    return Alternatives(present, excludes=criterion.values == ("true",))


def _indexed_as(criterion: Criterion) -> tuple[str, ...]:
    """The parameters that have the values of the criterion's."""
    defined = criterion.defined
    return (defined.indexed_as if defined is not None else ()) or (criterion.param,)


def _probes(
    criterion: Criterion, number: Callable[[str], int | None], find: Find
) -> Iterable[Probe]:
    """The probes of all values. Bad ones are refused also where there is nothing to search."""
    table = index.BY_TYPE[criterion.kind]
    arguments: dict[str, str] = {}
    if criterion.kind == "reference" and criterion.modifier in ("above", "below"):
        arguments["modifier"] = criterion.modifier
    elif criterion.kind == "reference" and criterion.modifier:
        arguments["resource_type"] = criterion.modifier
    elif criterion.modifier and criterion.modifier != "not":
        arguments["modifier"] = criterion.modifier
    of_value = partial(_of_value, table, find=find, arguments=arguments)
    for value in criterion.values:
        for param in _indexed_as(criterion):
            suffix, probes = of_value(value)
            p = number(param + suffix)
            for probe in probes:
                if p is not None:
                    yield probe.of(p)


def _of_value(
    table: object, value: str, *, find: Find, arguments: dict[str, str]
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
    return "", table.probes(0, value, find, **arguments)  # type: ignore[attr-defined]


def _words(criterion: Criterion, number: Callable[[str], int | None]) -> list[Alternatives]:
    return _strings(number(criterion.param), word_clauses(criterion.values))


def _sounds(criterion: Criterion, number: Callable[[str], int | None]) -> list[Alternatives]:
    """Each sound of a name must be there."""
    return _strings(number(criterion.param), sound_clauses(criterion.values))


def _strings(p: int | None, clauses: Iterable[Clause]) -> list[Alternatives]:
    return [
        Alternatives([string.equal(p, one) for one in texts] if p is not None else [], excludes)
        for texts, excludes in clauses
    ]


def _age(criterion: Criterion, number: Callable[[str], int | None]) -> list[Alternatives]:
    """By the birth date, as of today; the deceased have no age."""
    conditions = [age_condition(value) for value in criterion.values]
    born, dead = number("birthdate"), number("deceased")
    probes = [] if born is None else [date.probe(born, one) for one in conditions]
    return [Alternatives(probes), Alternatives([] if dead is None else [deceased(dead)], True)]
