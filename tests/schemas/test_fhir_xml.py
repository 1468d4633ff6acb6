"""FHIR XML: what is the same in JSON, what is refused (R4 xml.html)."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fhir_xml_parser import from_xml
from schemas.fhir_xml_serializer import to_xml
from schemas.outcomes import FhirError
from schemas.parse import parse_resource
from schemas.validate import validate

HEAD = '<Patient xmlns="http://hl7.org/fhir">'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
_EXACT = msgspec.json.Encoder(decimal_format="number", order="sorted")


def exact(resource: dict[str, Any]) -> bytes:
    """Bytes that differ when any digit, key or value does; equal decimals need not be the same."""
    return _EXACT.encode(resource)


def assert_round_trip(resource: dict[str, Any]) -> None:
    for pretty in (False, True):
        assert exact(from_xml(to_xml(resource, pretty=pretty))) == exact(resource)


def refused(body: str, category: str = "structure") -> str:
    with pytest.raises(FhirError) as failure:
        from_xml(body.encode())
    assert failure.value.category == category
    return failure.value.issues[0].diagnostics


def test_round_trip(any_sample: dict[str, Any]) -> None:
    assert_round_trip(any_sample)


def test_written_as_the_specification_shows_it() -> None:
    patient = {
        "birthDate": "1970-03-30",
        "resourceType": "Patient",
        "_birthDate": {
            "id": "314159",
            "extension": [
                {"url": "http://example.org/fhir/StructureDefinition/text", "valueString": "Easter"}
            ],
        },
        "active": True,
        "id": "p",
    }
    assert to_xml(patient) == (
        b'<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir">'
        b'<id value="p"/><active value="true"/><birthDate id="314159" value="1970-03-30">'
        b'<extension url="http://example.org/fhir/StructureDefinition/text">'
        b'<valueString value="Easter"/></extension></birthDate></Patient>'
    )
    assert_round_trip(patient)


def test_null_aligned_arrays() -> None:
    extension = {"extension": [{"url": "urn:e", "valueBoolean": False}]}
    names: list[dict[str, Any]] = [
        {"given": ["A", None, "B"], "_given": [None, extension, None]},
        {"_given": [extension]},
        {"given": ["A", "B"], "_given": [{"id": "x"}, None]},
        {"given": [None, "B"], "_given": [extension, None]},
    ]
    assert_round_trip({"resourceType": "Patient", "name": names})


@pytest.mark.parametrize(
    "digits", ["1.50", "0", "-0.00", "1E-22", "100", "1.0E+2", "0.000000001", "12345678901234567.1"]
)
def test_decimals_keep_every_digit(digits: str) -> None:
    value = Decimal(digits) if set(digits) & set(".E") else int(digits)
    resource = {"resourceType": "Observation", "valueQuantity": {"value": value}}
    assert f'value="{value}"'.encode() in to_xml(resource)
    assert_round_trip(resource)


def test_a_bundle_and_contained_resources() -> None:
    inner = {"resourceType": "Medication", "id": "drug", "code": {"text": "a < b & c"}}
    request = {
        "resourceType": "MedicationRequest",
        "contained": [inner],
        "medicationReference": {"reference": "#drug"},
    }
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "urn:x:1", "resource": request}, {"resource": inner}],
    }
    assert_round_trip(bundle)
    xml = to_xml(bundle).decode()
    assert xml.count("xmlns") == 1
    assert "<resource><MedicationRequest><contained><Medication>" in xml


@pytest.mark.parametrize(
    "div",
    [
        f"{DIV}a <b>&lt;b&gt;</b> &amp; &#160; é</div>",
        f"{DIV}<!-- kept --><br/><![CDATA[ x < y ]]></div>",
        '<div xmlns="http://www.w3.org/1999/xhtml" title="a>b"/>',
        f"{DIV}\n  <p\n class='x'>two\n lines</p>\n</div>",
        "<h:div xmlns:h='http://www.w3.org/1999/xhtml'><h:p>own prefix</h:p></h:div>",
    ],
)
def test_narratives_are_kept_to_the_letter(div: str) -> None:
    resource = {"resourceType": "Patient", "text": {"status": "generated", "div": div}}
    assert_round_trip(resource)
    assert div in to_xml(resource).decode()


def test_a_narrative_that_leans_on_its_surroundings_is_made_to_stand_alone() -> None:
    body = (
        '<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml">'
        '<f:text><f:status value="generated"/>'
        '<h:div><h:p title="&quot;">a &lt; b</h:p></h:div></f:text></f:Patient>'
    )
    assert from_xml(body.encode())["text"]["div"] == (
        DIV + "<p title='\"'>a &lt; b</p></div>"
    )  # fmt: skip


def test_entities_of_html_become_characters() -> None:
    resource = {"resourceType": "Patient", "text": {"div": f"{DIV}a&nbsp;b &eacute; &amp;</div>"}}
    written = from_xml(to_xml(resource))
    assert written["text"]["div"] == f"{DIV}a\u00a0b é &amp;</div>"


def test_prefixes_comments_and_schema_locations_are_understood() -> None:
    body = """<?xml version="1.0" encoding="utf-8"?>
      <!-- a comment --><?xml-stylesheet href="x.xsl"?>
      <f:Patient xmlns:f="http://hl7.org/fhir"
          xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
          xsi:schemaLocation="http://hl7.org/fhir patient.xsd">
        <f:gender value="male"/><!-- order does not matter --><f:id value="1"/>
      </f:Patient>"""
    assert from_xml(body.encode()) == {"resourceType": "Patient", "gender": "male", "id": "1"}


def test_white_space_in_values_survives() -> None:
    assert_round_trip({"resourceType": "Patient", "name": [{"text": "a\n\tb\r\nc  d"}]})
    assert b"a&#10;&#9;b" in to_xml({"resourceType": "Patient", "name": [{"text": "a\n\tb"}]})


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    number=st.decimals(allow_nan=False, allow_infinity=False),
)
def test_any_text_and_number(text: str, number: Decimal) -> None:
    resource = {
        "resourceType": "Observation",
        "code": {"text": text},
        "valueQuantity": {"value": number, "unit": text},
    }
    json_form = parse_resource(_EXACT.encode(resource))
    try:
        xml = to_xml(json_form)
    except FhirError as failure:
        assert failure.category == "not-acceptable"
        assert any(ord(c) < 32 or c in "\ufffe\uffff" for c in text)
        return
    assert exact(from_xml(xml)) == exact(json_form)


def test_what_is_of_no_type_is_left_to_the_validator() -> None:
    body = f'{HEAD}<active value="yes"/><multipleBirthInteger value="1.5"/></Patient>'
    resource = from_xml(body.encode())
    places = [place for issue in validate(resource) for place in issue.expression]
    assert places == ["Patient.active", "Patient.multipleBirthInteger"]


def test_a_dtd_is_refused_before_anything_of_it_is_used() -> None:
    laughs = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "lol">' for n in range(10)
    )
    for dtd in (
        f"<!DOCTYPE x [{laughs}]>",
        '<!DOCTYPE x [<!ENTITY l9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://example.org/x.dtd">',
    ):
        body = f'{dtd}{HEAD}<gender value="&l9;"/></Patient>'
        assert "DTD" in refused(body, "invalid")
    assert "undefined entity" in refused(f'{HEAD}<gender value="&l9;"/></Patient>', "invalid")


def test_depth_is_limited() -> None:
    deep = '<extension url="urn:x">' * 300
    assert "deeper" in refused(HEAD + deep, "invalid")
    assert "deeper" in refused(f"{HEAD}<text>{DIV}{'<b>' * 300}", "invalid")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<Patient/>", "namespace"),
        ('<Patent xmlns="http://hl7.org/fhir"/>', "Did you mean 'Patient'"),
        (f"{HEAD}<birthdate value='1970'/></Patient>", "Did you mean 'birthDate'"),
        (f"{HEAD}<gender>male</gender></Patient>", "Patient.gender holds text"),
        (f"{HEAD}<gender/></Patient>", "neither a value nor an extension"),
        (f"{HEAD}<gender value='a'/><gender value='b'/></Patient>", "twice"),
        (f"{HEAD}<name value='a'/></Patient>", "attribute 'value'"),
        (f"{HEAD}<name use='a'/></Patient>", "attribute 'use'"),
        (f"{HEAD}<name><id value='a'/></name></Patient>", "Patient.name.id"),
        (f"{HEAD}<contained/></Patient>", "holds no resource"),
        (f"{HEAD}<contained><Basic/><Basic/></contained></Patient>", "more than one resource"),
        (f"{HEAD}<contained><x:y xmlns:x='urn:x'/></contained></Patient>", "namespace"),
        (f"{HEAD}<text><div>x</div></text></Patient>", "1999/xhtml"),
        (f"{HEAD}<text>{DIV}<x:y xmlns:x='urn:x'/></div></text></Patient>", "not XHTML"),
        (f"{HEAD}<text>{DIV}a</div>{DIV}b</div></text></Patient>", "twice"),
        (f"{HEAD}<x:gender xmlns:x='urn:x' value='a'/></Patient>", "not in FHIR's namespace"),
    ],
)
def test_what_fhir_does_not_have(body: str, said: str) -> None:
    assert said in refused(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "empty"),
        ("<Patient", "line 1"),
        (f"{HEAD}\n</Patent>", "mismatched tag at line 2"),
        (f'<?xml version="1.0" encoding="ISO-8859-1"?>{HEAD}</Patient>', "UTF-8"),
    ],
)
def test_what_is_not_xml(body: str, said: str) -> None:
    assert said in refused(body, "invalid")


def test_bytes_that_are_not_utf8() -> None:
    with pytest.raises(FhirError):
        from_xml(f"{HEAD}<gender value='é'/></Patient>".encode("latin-1"))


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({"resourceType": "Patient", "foo": "bar"}, "Patient.foo"),
        ({"resourceType": "Patient", "name": [{"foo": 1}]}, "Patient.name[0].foo"),
        ({"resourceType": "Patient", "name": ["x"]}, "Patient.name[0]"),
        ({"resourceType": "Patient", "gender": "\x0b"}, "Patient.gender"),
        (
            {"resourceType": "Patient", "text": {"div": "<div>no namespace</div>"}},
            "Patient.text.div",
        ),
        ({"resourceType": "Patient", "text": {"div": f"{DIV}</div><x/>"}}, "Patient.text.div"),
        ({"resourceType": "Patient", "text": {"div": f"{DIV}<p></div>"}}, "Patient.text.div"),
        ({"resourceType": "Patient", "contained": [{"resourceType": "X"}]}, "Patient.contained[0]"),
    ],
)
def test_what_xml_cannot_say_is_refused_and_never_left_out(
    resource: dict[str, Any], place: str
) -> None:
    with pytest.raises(FhirError) as failure:
        to_xml(resource)
    assert failure.value.category == "not-acceptable"
    assert failure.value.issues[0].expression == (place,)


def test_official_examples_in_both_forms() -> None:
    folder = Path(os.environ.get("CHARTLAKE_DATA", "")) / "conformance" / "fhirpath" / "input"
    if not folder.is_dir():
        pytest.skip("CHARTLAKE_DATA does not name the folder of test data")
    for name in ("patient-example", "questionnaire-example"):
        json_form = parse_resource((folder / f"{name}.json").read_bytes())
        assert exact(from_xml((folder / f"{name}.xml").read_bytes())) == exact(json_form)
    for file in folder.glob("*.xml"):
        assert_round_trip(from_xml(file.read_bytes()))
