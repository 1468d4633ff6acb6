"""Strict evaluation: names that a type does not have are found before anything is evaluated."""

from __future__ import annotations

import pytest

from schemas.fhirpath import FhirPathError, compile_expression
from schemas.fhirpath.strict import check_strictly


@pytest.mark.parametrize(
    ("type_name", "expression", "kinds"),
    [
        ("Patient", "name.given", {"string"}),
        ("Patient", "Patient.name.where(use = 'official').period.start", {"dateTime"}),
        ("Patient", "name | contact.name", {"HumanName"}),
        ("Observation", "value.ofType(Quantity).unit", {"string"}),
        ("Observation", "(value as Period).start", {"dateTime"}),
        ("Observation", "component.select(code.coding)", {"Coding"}),
        ("Observation", "extension('http://e').value is Quantity", None),
        ("Bundle", "entry.resource.ofType(Patient).name.family", {"string"}),
        ("Bundle", "entry.resource.anything", None),
        ("Patient", "children().anything", None),
        ("Patient", "generalPractitioner.resolve().anything", None),
        ("Patient", "birthDate.value", None),
    ],
)
def test_what_exists_is_accepted_with_its_types(
    type_name: str, expression: str, kinds: set[str] | None
) -> None:
    assert check_strictly(compile_expression(expression), type_name) == kinds


@pytest.mark.parametrize(
    ("type_name", "expression", "named"),
    [
        ("Patient", "name.given1", "HumanName has no element 'given1'"),
        ("Patient", "Encounter.status", "begins with Encounter"),
        ("Patient", "name.where(nme = 'x')", "HumanName has no element 'nme'"),
        ("Observation", "valueQuantity.unit", "Observation has no element 'valueQuantity'"),
        ("Observation", "(value as Period).unit", "Period has no element 'unit'"),
        ("Observation", "code.ofType(Period)", "CodeableConcept can never be Period"),
        ("Observation", "value.exists() and status.given.exists()", "code has no element 'given'"),
        ("Patient", "iif(active, name.x, {})", "HumanName has no element 'x'"),
    ],
)
def test_what_does_not_exist_is_named(type_name: str, expression: str, named: str) -> None:
    with pytest.raises(FhirPathError, match=named.replace("(", r"\(")) as failure:
        check_strictly(compile_expression(expression), type_name)
    assert failure.value.kind == "semantic"


@pytest.mark.parametrize(
    "expression", ["children().first()", "children()[0]", "descendants().skip(1)"]
)
def test_the_order_of_what_has_none_is_refused_when_asked_for(expression: str) -> None:
    check_strictly(compile_expression(expression), "Patient")
    with pytest.raises(FhirPathError, match="no order"):
        check_strictly(compile_expression(expression), "Patient", ordered=True)
