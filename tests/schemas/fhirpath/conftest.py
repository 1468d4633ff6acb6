"""The official FHIRPath tests for R4, read from the folder that CHARTLAKE_DATA names."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from schemas.fhir_xml_parser import from_xml
from schemas.fhirpath import FhirPathError, compile_expression
from schemas.fhirpath.quantities import Quantity
from schemas.fhirpath.strict import check_strictly
from schemas.fhirpath.temporal import Temporal
from schemas.fhirpath.types import type_of
from schemas.fhirpath.values import boolean, system_value
from schemas.outcomes import FhirError
from schemas.parse import parse_resource

SUITE = "conformance/fhirpath"


@dataclass(frozen=True)
class Case:
    """One official test. `outputs` are `(type, text)`, `invalid` the kind of failure expected."""

    name: str
    expression: str
    input: str
    strict: bool
    ordered: bool
    predicate: bool
    invalid: str | None
    outputs: tuple[tuple[str | None, str], ...]


def suite_folder() -> Path | None:
    """The folder of the suite; None where CHARTLAKE_DATA is not set or has none."""
    folder = Path(os.environ.get("CHARTLAKE_DATA", "")) / SUITE
    ready = "CHARTLAKE_DATA" in os.environ and (folder / "tests-fhir-r4.xml").is_file()
    return folder if ready else None


def read_cases(folder: Path) -> list[Case]:
    """The tests in their order; a name that occurs twice gets a number."""
    cases: list[Case] = []
    names: dict[str, int] = {}
    root = ElementTree.parse(folder / "tests-fhir-r4.xml").getroot()
    for group in root.iter("group"):
        for test in group.iter("test"):
            expression = test.find("expression")
            assert expression is not None
            name = f"{group.get('name')}/{test.get('name')}"
            names[name] = names.get(name, 0) + 1
            cases.append(Case(
                name=name if names[name] == 1 else f"{name}#{names[name]}",
                expression=expression.text or "",
                input=test.get("inputfile", ""),
                strict=test.get("mode") == "strict",
                ordered=test.get("checkOrderedFunctions") == "true",
                predicate=test.get("predicate") == "true",
                invalid=expression.get("invalid"),
                outputs=tuple((one.get("type"), one.text or "") for one in test.findall("output")),
            ))  # fmt: skip
    return cases


@cache
def read_input(path: Path) -> dict[str, Any]:
    """The resource of an input file, JSON or XML."""
    body = path.read_bytes()
    return from_xml(body) if path.suffix == ".xml" else parse_resource(body)


def outcome(case: Case, folder: Path) -> str | None:
    """Why a test fails; None when it passes."""
    if case.input and not (folder / "input" / case.input).is_file():
        return f"its input {case.input} is not there"
    try:
        resource = read_input(folder / "input" / case.input) if case.input else None
        expression = compile_expression(case.expression)
        if case.strict and resource is not None:
            check_strictly(expression, resource["resourceType"], ordered=case.ordered)
        found = expression.items(resource)
    except FhirPathError as failure:
        return None if case.invalid else f"{failure.kind}: {failure}"
    except FhirError as failure:
        return f"its input cannot be read: {failure.issues[0].diagnostics}"
    if case.predicate:
        found = [boolean(found) is True]
    shown = [f"{type_of(item).name}:{written(item)}" for item in found]
    if case.invalid and not case.outputs:
        return f"should fail ({case.invalid}), gave {shown}"
    if len(found) != len(case.outputs):
        return f"wanted {list(case.outputs)}, got {shown}"
    for item, (kind, text) in zip(found, case.outputs, strict=True):
        if not matches(item, kind, text):
            return f"wanted {list(case.outputs)}, got {shown}"
    return None


def matches(item: Any, kind: str | None, text: str) -> bool:
    """Whether an item is what an output says: the same type (where it says one) and value."""
    value = system_value(item)
    if kind is not None and type_of(item).name.lower() != kind.lower():
        both = {type_of(item).name.lower(), kind.lower()}
        if not both <= {"integer", "decimal", "positiveint", "unsignedint"}:
            return False
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(text) == value
    return written(item) == text.removeprefix("@").removeprefix("T")


def written(item: Any) -> str:
    """An item as the suite writes it."""
    value = system_value(item)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (Temporal, Quantity)):
        return value.text
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


Official = Callable[[], tuple[Path, list[Case], Callable[[Case, Path], str | None]]]


@pytest.fixture(scope="session")
def official() -> Official:
    """The suite and its judge, or a skip that says what is missing."""

    def read() -> tuple[Path, list[Case], Callable[[Case, Path], str | None]]:
        folder = suite_folder()
        if folder is None:
            pytest.skip(f"CHARTLAKE_DATA does not name a folder with {SUITE}")
        return folder, read_cases(folder), outcome

    return read
