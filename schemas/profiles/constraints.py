"""The constraints of profiles: FHIRPath that has to hold of each value of an element.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.fhirpath import Environment, FhirPathError, compile_expression
from schemas.fhirpath.nodes import Node
from schemas.profiles.element_tree import ProfileError
from schemas.profiles.rules import Value

ConstraintTest = Callable[[Value, dict[str, Any], Any], bool]


def constraint_test(key: str, text: str) -> ConstraintTest:
    """Whether a constraint holds of a value within a resource, in a walk.

    Raises ProfileError for text that is not FHIRPath; the test itself raises FhirPathError where
    the expression does not fit the data.
    """
    try:
        expression = compile_expression(text)
    except FhirPathError as failure:
        raise ProfileError(f"its constraint {key} is not FHIRPath: {failure}") from None

    def test(value: Value, resource: dict[str, Any], walk: Any) -> bool:
        return expression.holds(
            Node(value.json, value.type_name, value.sibling),
            resource=resource,
            root=walk.resource,
            environment=walk.environment,
        )

    return test


def environment_of(walk: Any) -> Environment:
    """What expressions may ask: contained and other resources at hand, value sets, profiles."""
    return Environment(
        resolve=walk.resolve_text,
        member_of=lambda coded, url: _member_of(walk, coded, url),
        references_have_types=True,
    )


def _member_of(walk: Any, coded: Any, url: str) -> bool | None:
    """Whether one code of a code, Coding or CodeableConcept is of a value set."""
    listed = coded.get("coding") or [] if isinstance(coded, dict) and "coding" in coded else [coded]
    unsure = False
    for one in listed:
        if isinstance(one, dict):
            system, code = one.get("system"), one.get("code")
        else:
            system, code = None, one
        if isinstance(code, str):
            answer = walk.member_of(url, system, code)
            if answer:
                return True
            unsure = unsure or answer is None
    return None if unsure else False
