"""A cohort as data: JSON → dataclasses, with errors that name the place in the JSON.

A definition is `{"name", "title", "include": [criterion, …], "exclude": [criterion, …]}`: the
members are the patients for whom every `include` holds and no `exclude` does. A criterion is an
object with exactly one of the keys below, and optionally a `label`:

    {"age": {"min": 40, "max": 75}}          completed years at the snapshot, both ends inclusive
    {"gender": "female"}                     or a list of administrative genders
    {"deceased": false}
    {"condition": {…}} {"medication": {…}} {"observation": {…}} {"procedure": {…}}
    {"encounter": {…}} {"immunization": {…}} {"allergy": {…}}        see `coded_criterion`
    {"any_of": [criterion, …]} {"all_of": [criterion, …]} {"not": criterion}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storage.analytics.coded_criterion import KINDS, Coded, parse_coded
from storage.analytics.definition_fields import Fields, one_of, problem

GENDERS = ("male", "female", "other", "unknown")
_MAX_CRITERIA = 100
_MAX_DEPTH = 8


@dataclass(frozen=True)
class Age:
    """Completed years at the snapshot's instant; either bound may be absent."""

    label: str
    min: int | None
    max: int | None


@dataclass(frozen=True)
class Gender:
    """`Patient.gender` is one of these codes."""

    label: str
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Deceased:
    """`Patient.deceased[x]` says that the patient has died (or, for false, does not say so)."""

    label: str
    value: bool


@dataclass(frozen=True)
class AnyOf:
    """At least one holds."""

    label: str
    items: tuple[Criterion, ...]


@dataclass(frozen=True)
class AllOf:
    """Every one holds."""

    label: str
    items: tuple[Criterion, ...]


@dataclass(frozen=True)
class Not:
    """It does not hold."""

    label: str
    item: Criterion


Criterion = Age | Gender | Deceased | Coded | AnyOf | AllOf | Not


@dataclass(frozen=True)
class CohortDefinition:
    """Who is in the cohort: everyone for whom all of `include` and none of `exclude` hold."""

    name: str
    title: str
    include: tuple[Criterion, ...]
    exclude: tuple[Criterion, ...]

    @property
    def asks_observations(self) -> bool:
        """Whether any criterion, however deep, is about observations."""
        stack: list[Criterion] = [*self.include, *self.exclude]
        while stack:
            match stack.pop():
                case Coded(kind="observation"):
                    return True
                case AnyOf(items=items) | AllOf(items=items):
                    stack.extend(items)
                case Not(item=item):
                    stack.append(item)
        return False


def parse_definition(definition: Any) -> CohortDefinition:
    """Validate a definition.

    Raises FhirError `invalid`, one issue naming the JSON path (`include[1].condition.codes[0]`),
    what is wrong and what is allowed.
    """
    fields = Fields(definition, "")
    fields.allow("name", "title", "description", "include", "exclude")
    name = fields.text("name", required=True) or ""
    reader = _CriterionReader()
    include = reader.read_all(fields.get("include", []), "include")
    exclude = reader.read_all(fields.get("exclude", []), "exclude")
    if not include and not exclude:
        raise problem("include", "is empty: a cohort needs at least one criterion")
    return CohortDefinition(name, fields.text("title") or name, include, exclude)


class _CriterionReader:
    def __init__(self) -> None:
        self.count = 0
        self.labels: set[str] = set()

    def read_all(self, items: Any, path: str, depth: int = 0) -> tuple[Criterion, ...]:
        if not isinstance(items, list):
            raise problem(path, "must be a list of criteria")
        return tuple(self.read(item, f"{path}[{index}]", depth) for index, item in enumerate(items))

    def read(self, item: Any, path: str, depth: int) -> Criterion:
        fields = Fields(item, path)
        fields.allow("label", *_PARSERS, *KINDS, "any_of", "all_of", "not")
        kinds = [key for key in fields.value if key != "label"]
        if len(kinds) != 1:
            raise problem(
                path,
                f"must have exactly one kind of criterion, has {', '.join(kinds) or 'none'}; put "
                "several in a list, or under any_of or all_of",
            )
        self.count += 1
        if self.count > _MAX_CRITERIA or depth > _MAX_DEPTH:
            raise problem(
                path, f"is one too many: at most {_MAX_CRITERIA} criteria, nested {_MAX_DEPTH} deep"
            )
        kind = kinds[0]
        inner, value = f"{path}.{kind}", fields.value[kind]
        label = self._label(fields.text("label"), kind, path)
        if kind in KINDS:
            return parse_coded(label, kind, value, inner)
        if kind == "not":
            return Not(label, self.read(value, inner, depth + 1))
        if kind in ("any_of", "all_of"):
            items = self.read_all(value, inner, depth + 1)
            if not items:
                raise problem(inner, "is empty: it needs at least one criterion")
            return AnyOf(label, items) if kind == "any_of" else AllOf(label, items)
        return _PARSERS[kind](label, value, inner)

    def _label(self, given: str | None, kind: str, path: str) -> str:
        """The given label, which must be unique; else the kind, numbered from the second on."""
        if given in self.labels or given in _RESERVED:
            raise problem(f"{path}.label", "is used already; each label names a column of evidence")
        label, number = given or kind, 1
        while label in self.labels:
            number += 1
            label = f"{kind}_{number}"
        self.labels.add(label)
        return label


_RESERVED = ("patient_id", "age", "gender")


def _age(label: str, value: Any, path: str) -> Age:
    fields = Fields(value, path)
    fields.allow("min", "max")
    low, high = fields.whole("min"), fields.whole("max")
    if low is None and high is None:
        raise problem(path, "needs min, max or both (completed years)")
    if low is not None and high is not None and low > high:
        raise problem(path, f"min {low} is above max {high}")
    return Age(label, low, high)


def _gender(label: str, value: Any, path: str) -> Gender:
    codes = [value] if isinstance(value, str) else value
    if not isinstance(codes, list) or not codes:
        raise problem(path, f"must be one of {', '.join(GENDERS)}, or a list of them")
    return Gender(label, tuple(one_of(code, GENDERS, path) for code in codes))


def _deceased(label: str, value: Any, path: str) -> Deceased:
    if not isinstance(value, bool):
        raise problem(path, "must be true or false")
    return Deceased(label, value)


_PARSERS: dict[str, Callable[[str, Any, str], Criterion]] = {
    "age": _age,
    "gender": _gender,
    "deceased": _deceased,
}
