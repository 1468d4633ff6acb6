"""A cohort definition as one DuckDB query with bound parameters.

Every coded criterion becomes a common table expression with at most one row per patient: the
evidence. The outer query asks of each patient which criteria hold, in order; members, attrition
and counts for warnings come back from the one query, told apart by the column `part`.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any

from schemas.codes import LOINC
from storage.analytics.code_systems import code_spellings, spellings
from storage.analytics.coded_criterion import Code, Coded, ValueRange
from storage.analytics.cohort_columns import FACTS, FactColumns
from storage.analytics.cohort_definition import (
    Age,
    AllOf,
    AnyOf,
    CohortDefinition,
    Criterion,
    Deceased,
    Gender,
    Not,
)
from storage.analytics.quantity_units import (
    HBA1C_LOINC,
    IFCC_UNIT,
    NGSP_INTERCEPT,
    NGSP_SLOPE,
    NGSP_UNIT,
    canonical_unit,
    spellings_of,
)

_COMPONENT_REFERENCE = "'Observation/' || id"
_LOINC_URLS = spellings(LOINC)

# A result written `<5` or `>500` is a bound, not a value: it meets a comparison only where the
# comparison holds for everything that it may be.
_WITHIN = {
    "gt": "(comparable > {0} AND comparator IS NULL OR comparable >= {0} AND comparator = '>' "
    "OR comparable > {0} AND comparator = '>=')",
    "ge": "(comparable >= {0} AND coalesce(comparator, '>') IN ('>', '>='))",
    "lt": "(comparable < {0} AND comparator IS NULL OR comparable <= {0} AND comparator = '<' "
    "OR comparable < {0} AND comparator = '<=')",
    "le": "(comparable <= {0} AND coalesce(comparator, '<') IN ('<', '<='))",
}


@dataclass
class CohortQuery:
    """The SQL, its parameters and the labels: `evidence` maps columns (`e0`) to criteria."""

    sql: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    asks_age: bool = False


def compile_cohort(
    definition: CohortDefinition,
    instant: dt.datetime,
    component_codes: frozenset[str] = frozenset(),
) -> CohortQuery:
    """The query whose rows `cohort.run` reads; ages are completed years at `instant`.

    `component_codes` are the `system|code` that components of Observations have in this lake (the
    parts of a blood pressure): criteria for one of them also look there.
    """
    return _Compiler(instant, component_codes).compile(definition)


def _exact(codes: tuple[Code, ...]) -> list[str]:
    """`system|code` of the codes themselves, in every spelling."""
    return [
        f"{url}|{spelling}"
        for code in codes
        for url in spellings(code.system)
        for spelling in code_spellings(code.system, code.code)
    ]


def _within(comparison: str, bound: str) -> str:
    return _WITHIN[comparison].format(bound)


def _has(listed: str, value: str) -> str:
    return f"list_contains({listed}, coalesce({value}, ''))"


class _Compiler:
    def __init__(self, instant: dt.datetime, component_codes: frozenset[str]) -> None:
        self.component_codes = component_codes
        self.today = instant.astimezone(dt.UTC).date()
        self.query = CohortQuery()
        self.ctes: list[str] = []
        self.warned: list[str] = []
        self.coded = 0

    def compile(self, definition: CohortDefinition) -> CohortQuery:
        query = self.query
        self.ctes.append(self._people())
        holds = []
        for criterion in definition.include:
            query.steps.append(criterion.label)
            holds.append(f"coalesce({self._holds(criterion, wanted=True)}, false)")
        for criterion in definition.exclude:
            query.steps.append(f"not {criterion.label}")
            holds.append(f"NOT coalesce({self._holds(criterion, wanted=False)}, false)")
        joins = "".join(
            f" LEFT JOIN c{n} ON c{n}.patient_id = p.patient_id" for n in range(self.coded)
        )
        # The number of criteria that hold before the first that does not: the attrition.
        passed = " ".join(f"WHEN NOT ({held}) THEN {n}" for n, held in enumerate(holds))
        evidence = "".join(f", c{e[1:]}.evidence AS {e}" for e in query.evidence)
        self.ctes.append(
            f"judged AS MATERIALIZED (SELECT p.patient_id, p.age, p.gender{evidence}, "
            f"CASE {passed} ELSE {len(holds)} END AS passed FROM people p{joins})"
        )
        parts = [
            f"SELECT 'member' AS part, patient_id, age, gender"
            f"{''.join(f', {e}' for e in query.evidence)} FROM judged WHERE passed = {len(holds)}",
            "SELECT 'step' AS part, passed AS step, count(*) AS n FROM judged GROUP BY passed",
            *self.warned,
        ]
        if query.asks_age:
            parts.append(
                "SELECT 'ageless' AS part, count(*) FILTER (WHERE age IS NULL) AS n, "
                "count(*) FILTER (WHERE age IS NOT NULL AND imprecise) AS step FROM people"
            )
        query.sql = f"WITH {', '.join(self.ctes)} {' UNION ALL BY NAME '.join(parts)}"
        return query

    def bind(self, value: Any) -> str:
        """The placeholder of a new parameter that holds `value`."""
        name = f"p{len(self.query.parameters)}"
        self.query.parameters[name] = value
        return f"${name}"

    def _people(self) -> str:
        today = self.bind(self.today)
        # Completed years: the calendar years, less one before the birthday. Someone born on
        # 29 February completes a year on 1 March of other years.
        age = (
            f"(year({today}) - year(birth_date) - (month({today}) * 100 + day({today}) "
            "< month(birth_date) * 100 + day(birth_date))::INTEGER)"
        )
        return (
            f"people AS (SELECT id AS patient_id, {age} AS age, "
            "coalesce(gender, 'unknown') AS gender, coalesce(deceased, false) AS deceased, "
            "coalesce(length(birth_date_text), 0) < 10 AS imprecise FROM patient)"
        )

    def _holds(self, criterion: Criterion, *, wanted: bool) -> str:
        """A SQL condition over `people p`; NULL where the record does not tell (no birth date)."""
        match criterion:
            case Age():
                self.query.asks_age = True
                bounds = [("p.age >= ", criterion.min), ("p.age <= ", criterion.max)]
                held = [text + self.bind(bound) for text, bound in bounds if bound is not None]
                return f"({' AND '.join(held)})"
            case Gender():
                return f"list_contains({self.bind(list(criterion.codes))}, p.gender)"
            case Deceased():
                return f"(p.deceased = {self.bind(criterion.value)})"
            case Not():
                return f"(NOT {self._holds(criterion.item, wanted=not wanted)})"
            case AnyOf() | AllOf():
                word = " OR " if isinstance(criterion, AnyOf) else " AND "
                held = [self._holds(item, wanted=wanted) for item in criterion.items]
                return f"({word.join(held)})"
            case Coded():
                number = self._coded(criterion)
                if wanted:
                    self.query.evidence[f"e{number}"] = criterion.label
                return f"(c{number}.patient_id IS NOT NULL)"

    def _coded(self, criterion: Coded) -> int:
        """Add the criterion's common table expressions; returns its number."""
        number = self.coded
        self.coded += 1
        facts = FACTS[criterion.kind]
        rows = f"c{number}_rows"
        self.ctes.append(f"{rows} AS ({self._rows(criterion, facts)})")
        if criterion.value is not None:
            rows = self._measured(criterion, criterion.value, number)
        order = "coalesce(date, '-infinity'::TIMESTAMPTZ)"
        pick = "arg_min" if criterion.select == "first" else "arg_max"
        if criterion.select == "first":
            order = "coalesce(date, 'infinity'::TIMESTAMPTZ)"
        evidence = (
            "{'reference': reference, 'date': date, 'code': code, 'display': display, "
            "'value': value, 'unit': unit}"
        )
        self.ctes.append(
            f"c{number} AS (SELECT patient_id, {pick}({evidence}, "
            f"{{'date': {order}, 'reference': reference}}) AS evidence FROM {rows} "
            f"GROUP BY patient_id HAVING count(*) >= {self.bind(criterion.at_least)})"
        )
        return number

    def _measured(self, criterion: Coded, value: ValueRange, number: int) -> str:
        """Keep the rows whose value is comparable, selected, and within bounds."""
        comparable = self._comparable(value)
        self.ctes.append(
            f"c{number}_measured AS (SELECT *, {comparable} AS comparable FROM c{number}_rows "
            "WHERE value IS NOT NULL)"
        )
        self.query.measured.append(criterion.label)
        self.warned.append(
            f"SELECT 'skipped' AS part, {len(self.query.measured) - 1} AS step, count(*) AS n, "
            f"list(DISTINCT coalesce(unit, '') ORDER BY coalesce(unit, ''))[:5] AS units "
            f"FROM c{number}_measured WHERE comparable IS NULL"
        )
        order = {
            "latest": "date DESC NULLS LAST, reference DESC",
            "first": "date ASC NULLS LAST, reference ASC",
            "min": "comparable ASC, date DESC NULLS LAST, reference DESC",
            "max": "comparable DESC, date DESC NULLS LAST, reference DESC",
        }.get(criterion.select)
        chosen = (
            f" QUALIFY row_number() OVER (PARTITION BY patient_id ORDER BY {order}) = 1"
            if order
            else ""
        )
        within = " AND ".join(_within(key, self.bind(bound)) for key, bound in value.bounds)
        self.ctes.append(
            f"c{number}_chosen AS (SELECT * FROM c{number}_measured "
            f"WHERE comparable IS NOT NULL{chosen})"
        )
        self.ctes.append(f"c{number}_within AS (SELECT * FROM c{number}_chosen WHERE {within})")
        return f"c{number}_within"

    def _comparable(self, value: ValueRange) -> str:
        """The row's value in the definition's unit, NULL where it is in another."""
        cases = f"WHEN {_has(self.bind(spellings_of(value.unit)), 'unit')} THEN value"
        unit = canonical_unit(value.unit)
        if unit in (NGSP_UNIT, IFCC_UNIT):
            loinc = [f"{url}|{code}" for code in sorted(HBA1C_LOINC) for url in _LOINC_URLS]
            other = IFCC_UNIT if unit == NGSP_UNIT else NGSP_UNIT
            converted = (
                f"round({NGSP_SLOPE} * value + {NGSP_INTERCEPT}, 1)"
                if unit == NGSP_UNIT
                else f"round((value - {NGSP_INTERCEPT}) / {NGSP_SLOPE})"
            )
            cases += (
                f" WHEN {_has(self.bind(spellings_of(other)), 'unit')} "
                f"AND list_has_any(codes, {self.bind(loinc)}) THEN {converted}"
            )
        return f"CASE {cases} END"

    def _rows(self, criterion: Coded, facts: FactColumns) -> str:
        """The resources that match, whatever their value: one row each."""
        where = ["patient_id IS NOT NULL", facts.always]
        if criterion.codes or criterion.texts:
            about = [self._codes(criterion.codes)] if criterion.codes else []
            about += [self._text(text) for text in criterion.texts]
            where.append(f"({' OR '.join(about)})")
        if criterion.statuses is not None:
            codes = self.bind([code for code in criterion.statuses if code])
            missing = f" OR {facts.status} IS NULL" if "" in criterion.statuses else ""
            where.append(f"(list_contains({codes}, {facts.status}){missing})")
        if criterion.confirmed_only and facts.verification:
            where.append(f"coalesce({facts.verification}, 'confirmed') = 'confirmed'")
        if criterion.classes and facts.class_code:
            where.append(f"list_contains({self.bind(list(criterion.classes))}, {facts.class_code})")
        if criterion.since_us is not None:
            where.append(f"{facts.date} >= {self._instant(criterion.since_us)}")
        if criterion.until_us is not None:
            where.append(f"{facts.date} < {self._instant(criterion.until_us)}")
        if criterion.source != "any":
            where.append(facts.from_note if criterion.source == "nlp" else f"NOT {facts.from_note}")
        held = " AND ".join(where)

        def select(view: str, reference: str) -> str:
            return (
                f"SELECT patient_id, {reference} AS reference, {facts.date} AS date, code, "
                f"coalesce(code_text, code_display) AS display, {facts.value} AS value, "
                f"{facts.unit} AS unit, {facts.comparator} AS comparator, codes "
                f"FROM {view} WHERE {held}"
            )

        rows = select(facts.view, "resource_type || '/' || id")
        asked = _exact(criterion.codes)
        if criterion.kind == "observation" and self.component_codes.intersection(asked):
            rows += f" UNION ALL {select('observation_component', _COMPONENT_REFERENCE)}"
        return rows

    def _codes(self, codes: tuple[Code, ...]) -> str:
        """One of the resource's codings is one of `codes`, or under it.

        Nearly every resource has one coding, which is in flat columns; looking there first, and in
        the list of codings only where there are more, is five times as fast.
        """
        first, listed = [], [f"list_has_any(codes, {self.bind(_exact(codes))})"]
        for system in dict.fromkeys(code.system for code in codes):
            exact = [
                spelling
                for code in codes
                if code.system == system
                for spelling in code_spellings(system, code.code)
            ]
            held = [f"list_contains({self.bind(exact)}, code)"]
            for code in codes:
                if code.descendants and code.system == system:
                    for spelling in code_spellings(system, code.code):
                        held.append(f"starts_with(code, {self.bind(spelling)})")
                        for url in spellings(system):
                            begin = self.bind(f"{url}|{spelling}")
                            listed.append(
                                f"len(list_filter(codes, lambda c: starts_with(c, {begin}))) > 0"
                            )
            urls = self.bind(list(spellings(system)))
            first.append(f"(list_contains({urls}, code_system) AND ({' OR '.join(held)}))")
        return (
            f"CASE WHEN {' OR '.join(first)} THEN true "
            f"WHEN code IS NULL OR len(codes) > 1 THEN {' OR '.join(listed)} ELSE false END"
        )

    def _text(self, text: str) -> str:
        """Whole words, in order, in any case; what is between them may be any white space."""
        words = r"\s+".join(re.escape(word) for word in text.split())
        pattern = rf"(^|[^\pL\pN]){words}($|[^\pL\pN])"
        words_of = "concat_ws(' ; ', code_text, code_display)"
        return f"regexp_matches({words_of}, {self.bind(pattern)}, 'i')"

    def _instant(self, microseconds: int) -> str:
        return f"make_timestamptz({self.bind(microseconds)}::BIGINT)"
