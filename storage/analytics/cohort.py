"""Cohorts: who meets a declarative definition, as of a snapshot, and what shows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from schemas.outcomes import FhirError
from storage.analytics.cohort_definition import parse_definition
from storage.analytics.cohort_sql import CohortQuery, compile_cohort
from storage.analytics.derived_rows import component_codes
from storage.analytics.session import Session, open_session
from storage.analytics.source import SnapshotSource
from storage.analytics.sql import register_views
from storage.analytics.sql_errors import query_error, timeout_error, unread_segment
from storage.analytics.statement import inspect
from storage.analytics.table import iso_instant

DEFAULT_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class CohortResult:
    """Who is in the cohort as of commit `t`.

    Each member has `patient_id`, `age` (completed years at `instant`), `gender`, and for every
    coded criterion, under its label, the evidence: `reference`, `date`, `code`, `display`,
    `value`, `unit` of the selected resource (else the latest that matches), or None where an
    alternative was met instead. `attrition` counts the patients left after each criterion, in
    order. `warnings` say what could not be compared. `sql` is the query that ran, values apart.
    """

    t: int
    instant: dt.datetime
    name: str
    title: str
    count: int
    members: list[dict[str, Any]]
    attrition: list[dict[str, Any]]
    warnings: list[str]
    sql: str

    def to_dict(self) -> dict[str, Any]:
        """The result as a JSON-ready dict."""
        return {
            "t": self.t,
            "instant": iso_instant(self.instant),
            "name": self.name,
            "title": self.title,
            "count": self.count,
            "members": self.members,
            "attrition": self.attrition,
            "warnings": self.warnings,
            "sql": self.sql,
        }


def run(
    snapshot: SnapshotSource, definition: Any, timeout_s: float = DEFAULT_TIMEOUT_S
) -> CohortResult:
    """Find the members of a cohort; `cohort_definition` has the form of a definition.

    Raises FhirError: `invalid` (the definition, naming the JSON path), `timeout`, `too-large`.
    """
    parsed = parse_definition(definition)
    parts = component_codes(snapshot) if parsed.asks_observations else frozenset()
    query = compile_cohort(parsed, snapshot.instant, parts)
    with open_session(timeout_s) as session:
        try:
            table = _answer(session, snapshot, query)
        except FhirError:
            raise
        except (duckdb.Error, OSError, pa.ArrowException) as exc:
            if session.timed_out:
                raise timeout_error(timeout_s) from None
            raise unread_segment(snapshot, exc) or query_error(exc) from None
    rows = table.to_pylist()
    members = sorted(
        (_member(row, query) for row in rows if row["part"] == "member"),
        key=lambda member: str(member["patient_id"]),
    )
    return CohortResult(
        t=snapshot.t,
        instant=snapshot.instant,
        name=parsed.name,
        title=parsed.title,
        count=len(members),
        members=members,
        attrition=_attrition(rows, query.steps),
        warnings=_warnings(rows, query),
        sql=query.sql,
    )


def _answer(session: Session, snapshot: SnapshotSource, query: CohortQuery) -> pa.Table:
    statement = inspect(session.connection, query.sql)
    register_views(session, snapshot, statement)
    if session.timed_out:
        raise timeout_error(session.timeout_s)
    relation = session.connection.sql(query.sql, params=query.parameters)
    found: pa.Table = relation.to_arrow_table()
    return found


def _member(row: dict[str, Any], query: CohortQuery) -> dict[str, Any]:
    member = {key: row[key] for key in ("patient_id", "age", "gender")}
    for column, label in query.evidence.items():
        evidence = row[column]
        if evidence is not None:
            when = evidence["date"]
            evidence = {**evidence, "date": iso_instant(when) if when else None}
        member[label] = evidence
    return member


def _attrition(rows: list[dict[str, Any]], steps: Sequence[str]) -> list[dict[str, Any]]:
    stopped = {row["step"]: row["n"] for row in rows if row["part"] == "step"}
    left = sum(stopped.values())
    found = [{"criterion": "all patients", "count": left}]
    for number, label in enumerate(steps):
        left -= stopped.get(number, 0)
        found.append({"criterion": label, "count": left})
    return found


def _warnings(rows: list[dict[str, Any]], query: CohortQuery) -> list[str]:
    found = []
    for row in rows:
        if row["part"] == "skipped" and row["n"]:
            units = ", ".join(unit or "none" for unit in row["units"])
            found.append(
                f"{query.measured[row['step']]}: {row['n']} values were not compared, since their "
                f"unit is another ({units})"
            )
        if row["part"] == "ageless" and row["n"]:
            found.append(
                f"{row['n']} patients have no birth date; a criterion about age neither holds nor "
                "fails for them, so they are never included by it and never excluded by it"
            )
        if row["part"] == "ageless" and row["step"]:
            found.append(
                f"{row['step']} patients have only a year or month of birth; their age is counted "
                "from its first day"
            )
    return found
