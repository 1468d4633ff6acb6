"""Failures a client can cause, and the only builder of `OperationOutcome`.

A failure is a category with issues; which HTTP status a category is, the service alone knows.
https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Category of a failure → code of its issue (https://hl7.org/fhir/R4/valueset-issue-type.html).
ISSUE_CODES: dict[str, str] = {
    "invalid": "invalid",
    "structure": "structure",
    "value": "value",
    "required": "required",
    "business-rule": "business-rule",
    "unknown-type": "not-supported",
    "not-found": "not-found",
    "deleted": "deleted",
    "conflict": "conflict",
    "precondition": "conflict",
    "request-timeout": "timeout",
    "too-large": "too-long",
    "uri-too-long": "too-long",
    "headers-too-large": "too-long",
    "too-costly": "too-costly",
    "unsupported-media": "not-supported",
    "unprocessable": "processing",
    "not-supported": "not-supported",
    "not-acceptable": "not-supported",
    "method-not-allowed": "not-supported",
    "forbidden": "forbidden",
    "unauthorized": "login",
    "throttled": "throttled",
    "internal": "exception",
    "unavailable": "transient",
    "timeout": "timeout",
}


@dataclass(frozen=True)
class Issue:
    """One thing that is wrong (or worth knowing), and where.

    `severity` is fatal, error, warning or information; `code` an issue type of R4; `expression`
    has FHIRPath-like places (`Patient.name[0].given[1]`).
    """

    severity: str
    code: str
    diagnostics: str
    expression: tuple[str, ...] = ()


class FhirError(Exception):
    """A failure that a client caused, with its category and at least one issue."""

    def __init__(self, category: str, issues: Iterable[Issue]) -> None:
        if category not in ISSUE_CODES:
            raise ValueError(f"unknown category of failure: {category!r}")
        self.category = category
        self.issues: list[Issue] = list(issues)
        if not self.issues:
            raise ValueError("a FhirError needs at least one issue")
        super().__init__("; ".join(issue.diagnostics for issue in self.issues))

    def __reduce__(self) -> tuple[Any, ...]:
        return (FhirError, (self.category, self.issues))


def error(category: str, diagnostics: str, *expression: str) -> FhirError:
    """A failure with one issue; raise what it returns."""
    code = ISSUE_CODES.get(category, "processing")
    return FhirError(category, [Issue("error", code, diagnostics, expression)])


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """The issues as an `OperationOutcome`; none at all is said as one informational issue.

    The resource needs at least one issue (OperationOutcome.issue is 1..*).
    """
    described = [_described(issue) for issue in issues]
    if not described:
        described = [_described(Issue("information", "informational", "No issues."))]
    return {"resourceType": "OperationOutcome", "issue": described}


def _described(issue: Issue) -> dict[str, Any]:
    out: dict[str, Any] = {"severity": issue.severity, "code": issue.code}
    if issue.diagnostics:
        out["diagnostics"] = issue.diagnostics
    if issue.expression:
        out["expression"] = list(issue.expression)
    return out
