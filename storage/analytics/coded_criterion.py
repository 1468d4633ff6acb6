"""Criteria about coded resources: condition, medication, observation, procedure, …

    {"codes": [{"system": "icd10cm", "code": "E11", "descendants": true}, "loinc|4548-4"],
     "text": "metformin",             whole words in the display or text, any case; a list = any
     "status": …,                     see `Kind.statuses`
     "since": "2023-01-01", "until": "2023-12-31",      inclusive, to the precision written
     "source": "any",                 any, structured (records) or nlp (read from notes)
     "at_least": 2}                   distinct resources; 1 unless said

Of `codes` and `text` one is enough and either may match; `encounter` may do without both, and
has `class`. An observation may say which one counts and what its value must be:

    {"codes": […], "select": "latest", "value": {"gt": 8, "unit": "%"}}

`select` is `any` (default), `latest`, `first`, `min` or `max` of those that have a comparable
value, per patient, within `since` and `until`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from schemas.codes import ICD10CM
from schemas.dates import date_range
from schemas.outcomes import FhirError
from storage.analytics.code_systems import has_prefix_hierarchy, system_url
from storage.analytics.definition_fields import Fields, one_of, problem

SOURCES = ("any", "structured", "nlp")
SELECTS = ("any", "latest", "first", "min", "max")
COMPARISONS = ("gt", "ge", "lt", "le")
_ICD10CM_CATEGORY = re.compile(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{0,4})\Z")


@dataclass(frozen=True)
class Kind:
    """What is particular to one kind of coded criterion.

    `statuses` names sets of status codes; the first is the default. A set that holds "" also
    takes resources without a status. `entered-in-error` never counts, whatever is asked for.
    """

    view: str
    statuses: dict[str, tuple[str, ...] | None]
    extra: tuple[str, ...] = ()
    needs_code: bool = True


ANY_STATUS = None

KINDS: dict[str, Kind] = {
    # https://hl7.org/fhir/R4/valueset-condition-clinical.html
    "condition": Kind(
        "condition",
        {
            "active": ("active", "recurrence", "relapse", ""),
            "inactive": ("inactive", "remission", "resolved"),
            "any": ANY_STATUS,
        },
        extra=("clinical_status", "verification"),
    ),
    # "on" a drug: ordered or stated and running now. Not completed, stopped, on-hold or unknown.
    "medication": Kind(
        "medication",
        {
            "on": ("active", "in-progress"),
            "ever": (
                "active",
                "in-progress",
                "completed",
                "stopped",
                "on-hold",
                "unknown",
                "intended",
                "cancelled",
                "",
            ),
            "any": ANY_STATUS,
        },
    ),
    "observation": Kind(
        "observation",
        {
            "usable": ("final", "amended", "corrected", "preliminary", "registered", "unknown", ""),
            "final": ("final", "amended", "corrected"),
            "any": ANY_STATUS,
        },
        extra=("select", "value"),
    ),
    "procedure": Kind(
        "procedure",
        {
            "done": ("completed", "in-progress", "stopped", "unknown", ""),
            "completed": ("completed",),
            "any": ANY_STATUS,
        },
    ),
    "encounter": Kind(
        "encounter",
        {
            "held": ("finished", "in-progress", "arrived", "triaged", "onleave", "unknown", ""),
            "finished": ("finished",),
            "any": ANY_STATUS,
        },
        extra=("class",),
        needs_code=False,
    ),
    "immunization": Kind("immunization", {"given": ("completed", ""), "any": ANY_STATUS}),
    "allergy": Kind(
        "allergy",
        {"active": ("active", ""), "inactive": ("inactive", "resolved"), "any": ANY_STATUS},
        extra=("clinical_status", "verification"),
    ),
}

_COMMON = ("codes", "text", "status", "since", "until", "source", "at_least")


@dataclass(frozen=True)
class Code:
    """A code, or with `descendants` also everything under it."""

    system: str
    code: str
    descendants: bool = False


@dataclass(frozen=True)
class ValueRange:
    """Bounds on a quantity, in `unit` (a UCUM code; "1" for a pure number)."""

    bounds: tuple[tuple[str, float], ...]
    unit: str


@dataclass(frozen=True)
class Coded:
    """A patient has at least `at_least` matching resources (or one selected, matching, value).

    `statuses` None means any; `since_us` and `until_us` are microseconds since the epoch, a
    half-open interval.
    """

    label: str
    kind: str
    codes: tuple[Code, ...] = ()
    texts: tuple[str, ...] = ()
    statuses: tuple[str, ...] | None = None
    confirmed_only: bool = False
    classes: tuple[str, ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    source: str = "any"
    at_least: int = 1
    select: str = "any"
    value: ValueRange | None = None
    path: str = field(default="", compare=False)


def parse_coded(label: str, kind: str, value: Any, path: str) -> Coded:
    """Validate one coded criterion; raises FhirError `invalid` naming the JSON path."""
    rules = KINDS[kind]
    fields = Fields(value, path)
    fields.allow(*_COMMON, *rules.extra)
    codes = _codes(fields)
    texts, classes = fields.texts("text"), fields.texts("class")
    if rules.needs_code and not codes and not texts:
        raise problem(path, "needs codes, text or both")
    since, until = _instant(fields, "since"), _instant(fields, "until")
    if since and until and since[0] >= until[1]:
        raise problem(path, "since is after until")
    criterion = Coded(
        label=label,
        kind=kind,
        codes=codes,
        texts=texts,
        statuses=_statuses(fields, rules),
        confirmed_only=_confirmed_only(fields),
        classes=classes,
        since_us=since[0] if since else None,
        until_us=until[1] if until else None,
        source=one_of(fields.get("source", "any"), SOURCES, fields.at("source")),
        at_least=fields.whole("at_least", least=1) or 1,
        select=one_of(fields.get("select", "any"), SELECTS, fields.at("select")),
        value=_value(fields),
        path=path,
    )
    if criterion.select != "any" and criterion.at_least > 1:
        raise problem(fields.at("at_least"), f"cannot go with select {criterion.select}: that is 1")
    if criterion.select in ("min", "max") and criterion.value is None:
        raise problem(fields.at("select"), f"{criterion.select} needs a value to compare with")
    return criterion


def _codes(fields: Fields) -> tuple[Code, ...]:
    found = fields.get("codes", [])
    if not isinstance(found, list):
        raise problem(fields.at("codes"), 'must be a list of {"system", "code"}')
    return tuple(_code(item, f"{fields.at('codes')}[{index}]") for index, item in enumerate(found))


def _code(item: Any, path: str) -> Code:
    if isinstance(item, str):
        system, bar, code = item.partition("|")
        if not bar or not system or not code:
            raise problem(path, 'must be "system|code" or {"system", "code"}')
        return Code(system_url(system, path), code)
    fields = Fields(item, path)
    fields.allow("system", "code", "descendants", "display")
    system = system_url(fields.text("system", required=True) or "", fields.at("system"))
    code = fields.text("code", required=True) or ""
    descendants = fields.get("descendants", False)
    if not isinstance(descendants, bool):
        raise problem(fields.at("descendants"), "must be true or false")
    if descendants:
        if not has_prefix_hierarchy(system):
            raise problem(
                fields.at("descendants"),
                f"cannot be answered: no hierarchy of {system} is loaded; list the codes one by "
                f"one, or use ICD-10-CM ({ICD10CM}), whose codes carry theirs",
            )
        code = code.upper()
        if not _ICD10CM_CATEGORY.match(code):
            raise problem(fields.at("code"), "must be an ICD-10-CM category or code, like E11.6")
    return Code(system, code, descendants)


def _statuses(fields: Fields, rules: Kind) -> tuple[str, ...] | None:
    key = "clinical_status" if "clinical_status" in rules.extra else "status"
    other = "status" if key == "clinical_status" else "clinical_status"
    if fields.get(other) is not None:
        if fields.get(key) is not None:
            raise problem(fields.at(other), f"says the same as {key}; give one of them")
        key = other
    found = fields.texts(key)
    if not found:
        return next(iter(rules.statuses.values()))
    if len(found) == 1 and found[0] in rules.statuses:
        return rules.statuses[found[0]]
    known = sorted({code for codes in rules.statuses.values() for code in codes or () if code})
    allowed = [*rules.statuses, *known] if len(found) == 1 else known
    return tuple(one_of(code, allowed, fields.at(key)) for code in found)


def _confirmed_only(fields: Fields) -> bool:
    found = fields.get("verification", "any")
    return one_of(found, ("any", "confirmed"), fields.at("verification")) == "confirmed"


def _instant(fields: Fields, key: str) -> tuple[int, int] | None:
    found = fields.text(key)
    if found is None:
        return None
    try:
        low, high = date_range(found)
    except (FhirError, ValueError):
        raise problem(fields.at(key), "must be a FHIR date or dateTime, like 2023-01-31") from None
    return low, high


def _value(fields: Fields) -> ValueRange | None:
    found = fields.get("value")
    if found is None:
        return None
    inner = Fields(found, fields.at("value"))
    inner.allow(*COMPARISONS, "unit")
    bounds = tuple(
        (key, number) for key in COMPARISONS if (number := inner.number(key)) is not None
    )
    if not bounds:
        raise problem(inner.path, f"needs at least one of {', '.join(COMPARISONS)}")
    unit = inner.text("unit")
    if unit is None:
        raise problem(
            inner.at("unit"),
            "is missing: give the UCUM code that the bounds are in (mg/dL, %, mm[Hg], …), or 1 "
            "for a number without a unit; values in other units are not compared",
        )
    return ValueRange(bounds, unit)
