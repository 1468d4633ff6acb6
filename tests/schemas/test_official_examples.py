"""HL7's own examples of R4, all of them, when CHARTLAKE_R4_EXAMPLES names the package's file."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import msgspec
import pytest

from schemas.compartments import patient_ids
from schemas.fhir_xml_parser import from_xml
from schemas.fhir_xml_serializer import to_xml
from schemas.invariants import issues
from schemas.parse import canonical_bytes, parse_resource
from schemas.search_values import extract
from schemas.summary import summary
from schemas.validate import validate
from schemas.views import flatten

_EXACT = msgspec.json.Encoder(decimal_format="number", order="sorted")

# What R4 itself does not allow in R4's examples: (name, an element that we name, why).
FAULTY = {
    "Bundle-v2-valuesets": ("concept", "codes with double spaces or spaces at an end"),
    "CodeSystem-v2-0550": ("concept", "codes with double spaces"),
    "DeviceMetric-example": ("parent", "a DeviceDefinition where only a Device may be"),
    "DeviceUseStatement-example": ("reasonReference", "a Procedure where none may be"),
    "ImplementationGuide-fhir": ("name", "no name, no status, a reference without a type"),
    "MedicationRequest-medrx0301": ("performer", "a Practitioner where only an Organization is"),
    "Observation-clinical-gender": ("performer", "an Encounter as a performer"),
    "Questionnaire-qs1": ("linkId", "items without linkId"),
    "SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject": (
        "id",
        "an id of more than 64 characters",
    ),
    **{
        f"SearchParameter-{kind}-extensions-{name}-{code}": ("base", "no base")
        for kind, name in (("codesystem", "CodeSystem"), ("valueset", "ValueSet"))
        for code in ("author", "effective", "end", "keyword", "workflow")
    },
}

# What an invariant does not allow in R4's examples: (name, the rule).
BREAKING = {"Bundle-dataelements": "bdl-7"}


def package_file() -> Path:
    """The package, or a skip that says what is missing."""
    path = Path(os.environ.get("CHARTLAKE_R4_EXAMPLES", ""))
    if path.is_dir():
        path = path / "hl7.fhir.r4.examples-4.0.1.tgz"
    if not path.is_file():
        pytest.skip("CHARTLAKE_R4_EXAMPLES does not name hl7.fhir.r4.examples-4.0.1.tgz (npm)")
    return path


@pytest.mark.slow
def test_all_examples_are_valid_round_trip_and_can_be_indexed() -> None:
    refused, breaking, seen = {}, {}, 0
    with tarfile.open(package_file()) as package:
        for member in package:
            name = member.name.rpartition("/")[2].removesuffix(".json")
            file = package.extractfile(member)
            if file is None or name in ("package", ".index", "ig-r4"):
                continue
            resource = parse_resource(file.read())
            seen += 1
            body = canonical_bytes(resource)
            assert parse_resource(body) == resource
            assert canonical_bytes(parse_resource(body)) == body
            assert _EXACT.encode(from_xml(to_xml(resource))) == _EXACT.encode(resource)
            extract(resource)
            flatten(resource)
            patient_ids(resource)
            found = validate(resource)
            for kind in ("true", "text", "data"):
                keep = summary(kind)
                assert keep is not None
                assert len(validate(keep(resource))) <= len(found)
            if found:
                refused[name] = " ".join(place for one in found for place in one.expression)
            elif errors := [one for one in issues(resource) if one.severity == "error"]:
                breaking[name] = " ".join(one.diagnostics for one in errors)
    assert seen > 5000
    assert set(refused) == set(FAULTY)
    for name, (element, _) in FAULTY.items():
        assert element in refused[name]
    assert set(breaking) == set(BREAKING)
    for name, key in BREAKING.items():
        assert f"the rule {key}:" in breaking[name]
