"""From SearchParameter resources to search parameters, with everything that is wrong with them.

https://hl7.org/fhir/R4/searchparameter.html. What R4 defines itself may be stored again, as the
packages of profiles do: it has no effect then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from schemas.fhirpath_values import fhirpath_reason, followed
from schemas.outcomes import FhirError, Issue
from schemas.search_params import (
    CONTENT,
    Component,
    SearchParam,
    by_url,
    component_branches,
    expression_branches,
    search_params,
    unsupported_reason,
)
from schemas.structure import RESOURCE_TYPES

TYPE = "SearchParameter"

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_TYPES = frozenset({"token", "date", "string", "reference", "number", "quantity", "uri"})
_ABSTRACT = {
    "Resource": RESOURCE_TYPES - {"AuditEvent"},
    "DomainResource": RESOURCE_TYPES - {"AuditEvent", "Bundle", "Binary", "Parameters"},
}

# Every resource is looked at for each of its type's parameters, whenever it is stored.
MAX_EXPRESSION = 10_000
MAX_COMPONENTS = 3

FindType = Callable[[str], str | None]
"""The type of the parameter with a canonical URL."""


def type_of_r4(url: str) -> str | None:
    """The type of R4's own parameter with a canonical URL."""
    found = by_url(url)
    return None if found is None else str(found["type"])


def parameters_of(resource: dict[str, Any], find_type: FindType = type_of_r4) -> list[SearchParam]:
    """The parameters that a SearchParameter defines, one for each of its types.

    Empty when it is not active, or says what R4 says itself. `find_type` is asked for the
    components of a composite. Raises FhirError `unprocessable` with an issue for each mistake.
    """
    if resource.get("status") != "active":
        return []
    issues = list(_mistakes(resource))
    if issues:
        raise FhirError("unprocessable", issues)
    components = _components(resource, find_type)
    found = []
    for base in _bases(resource):
        param = SearchParam(
            resource["code"],
            resource["type"],
            base,
            base if resource["code"] == CONTENT else resource.get("expression", ""),
            tuple(resource.get("target", ())),
            resource["url"],
            components,
        )
        issues += _problems(param)
        if not _is_of_r4(param):
            found.append(param)
    if issues:
        raise FhirError("unprocessable", issues)
    return found


def _mistakes(resource: dict[str, Any]) -> Iterator[Issue]:
    """What no type needs to be looked at for."""
    for name in ("url", "code", "type", "base"):
        if not resource.get(name):
            yield _issue("required", f"A search parameter needs its {name}.", name)
    code, kind = resource.get("code"), resource.get("type")
    if code and not (isinstance(code, str) and (_CODE.fullmatch(code) or _own_code(resource))):
        yield _issue(
            "value",
            "A code is what a search writes before the =: letters, digits, - and _, beginning with "
            "a letter. Those that begin with _ are FHIR's own.",
            "code",
        )
    if code == CONTENT and kind != "string":
        yield _issue("value", "_content is a string.", "type")
    if kind and kind not in _TYPES and kind != "composite" and not _own_code(resource):
        yield _issue(
            "not-supported",
            "The type is one of token, date, string, reference, number, quantity, uri, composite.",
            "type",
        )
    expression = resource.get("expression")
    if not isinstance(expression, str) or not expression.strip():
        if not _own_code(resource):
            yield _issue(
                "required", "An active search parameter needs an expression.", "expression"
            )
    elif len(expression) > MAX_EXPRESSION:
        yield _issue(
            "too-long", f"An expression has at most {MAX_EXPRESSION:,} characters.", "expression"
        )
    bases = resource.get("base")
    for place, base in enumerate(bases if isinstance(bases, list) else ()):
        if base not in RESOURCE_TYPES and base not in _ABSTRACT:
            yield _issue("value", "The base is not a resource type of R4.", f"base[{place}]")
        elif base == "AuditEvent" and not _own_code(resource):
            yield _issue(
                "not-supported",
                "AuditEvents are searched together with the server's own log, by R4's parameters.",
                f"base[{place}]",
            )


def _own_code(resource: dict[str, Any]) -> bool:
    """Whether R4 has a parameter of this code, by its URL or for one of the types."""
    found, code = by_url(str(resource.get("url"))), resource.get("code")
    if found is not None and found["code"] == code:
        return True
    bases = resource.get("base")
    return code == CONTENT or any(
        code in search_params(base) for base in (bases or ()) if isinstance(base, str)
    )


def _bases(resource: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for base in resource["base"]:
        found += sorted(_ABSTRACT.get(base, {base}))
    return list(dict.fromkeys(found))


def _components(resource: dict[str, Any], find_type: FindType) -> tuple[Component, ...]:
    if resource["type"] != "composite":
        return ()
    given = resource.get("component") or []
    issues = []
    if not 2 <= len(given) <= MAX_COMPONENTS:
        issues.append(
            _issue("value", f"A composite has 2 to {MAX_COMPONENTS} components.", "component")
        )
    found = []
    for place, one in enumerate(given):
        kind = find_type(str(one.get("definition")))
        if kind is None:
            issues.append(
                _issue(
                    "not-found",
                    "No search parameter with this URL is known; store it first.",
                    f"component[{place}].definition",
                )
            )
        else:
            found.append(Component(kind, str(one.get("expression"))))
    if issues:
        raise FhirError("unprocessable", issues)
    return tuple(found)


def _problems(param: SearchParam) -> Iterator[Issue]:
    """What is wrong with a parameter of one type."""
    known = search_params(param.base).get(param.code)
    if known is not None or _is_of_r4(param):
        if not _is_of_r4(param):
            yield _issue(
                "duplicate",
                f"{param.base} has a search parameter {param.code!r} of R4's own, which finds "
                "something else. Choose another code.",
                "code",
            )
        return
    reason = _reason(param)
    if reason is not None:
        yield _issue("value", f"For {param.base}: {reason}.", "expression")


def _reason(param: SearchParam) -> str | None:
    """Why the expression cannot be used, or None when it can."""
    reason = unsupported_reason(param)
    if param.components or (reason is None and followed(param) is not None):
        return reason
    return fhirpath_reason(param)


def _is_of_r4(param: SearchParam) -> bool:
    """Whether R4 has the parameter, and it finds the same in the type."""
    if param.code == CONTENT:
        return False  # Theirs has no effect until it is given.
    own = by_url(param.url)
    if own is not None and own["code"] == param.code and own["type"] == param.type:
        return (own["expression"] or "") == param.expression
    known = search_params(param.base).get(param.code)
    if known is None or known.type != param.type:
        return False
    if known.expression == param.expression and known.components == param.components:
        return True
    try:
        same = _shape(known) == _shape(param)
    except ValueError:
        return False
    # `Patient.id` is `Resource.id`, of a patient.
    return same


def _shape(param: SearchParam) -> Any:
    roots = set(expression_branches(param.expression, param.base))
    return roots, [
        {component_branches(component, root, param.base) for root in roots}
        for component in param.components
    ]


def _issue(code: str, diagnostics: str, place: str) -> Issue:
    return Issue("error", code, diagnostics, (f"{TYPE}.{place}",))
