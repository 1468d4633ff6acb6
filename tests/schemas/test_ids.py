"""Ids, references and instants. https://hl7.org/fhir/R4/references.html"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from schemas.ids import (
    ParsedReference,
    format_instant,
    is_id,
    iter_references,
    new_id,
    parse_instant,
    parse_reference,
)


@pytest.mark.parametrize("text", ["a", "A-1.b", "x" * 64, "0"])
def test_ids(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "a/b", "é", "a_b", "a\n", None, 1])
def test_not_ids(text: Any) -> None:
    assert not is_id(text)


def test_new_ids_are_ids_and_differ() -> None:
    made = {new_id() for _ in range(100)}
    assert len(made) == 100 and all(is_id(one) for one in made)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/1", ParsedReference("relative", "Patient", "1")),
        ("Patient/1/_history/2", ParsedReference("relative", "Patient", "1", "2")),
        ("http://x.org/fhir/Patient/1", ParsedReference("absolute", "Patient", "1")),
        ("https://x/a/b/Patient/1/_history/3", ParsedReference("absolute", "Patient", "1", "3")),
        ("http://x.org/other", ParsedReference("absolute")),
        ("http://x.org/fhir/Foo/1", ParsedReference("absolute")),
        ("urn:uuid:0b4dc9f4-59ea-4ca9-9b4c-3c1d5d1d8f10", ParsedReference("urn")),
        ("urn:oid:1.2.3", ParsedReference("urn")),
        ("#p1", ParsedReference("contained", id="p1")),
        ("#", ParsedReference("contained", id="")),
        (
            "Patient?identifier=http://x|1",
            ParsedReference("conditional", "Patient", query="identifier=http://x|1"),
        ),
        ("Foo/1", ParsedReference("malformed")),
        ("Patient/", ParsedReference("malformed")),
        ("Patient/a b", ParsedReference("malformed")),
        ("/Patient/1", ParsedReference("malformed")),
        ("1", ParsedReference("malformed")),
        ("", ParsedReference("malformed")),
    ],
)
def test_reference_forms(text: str, expected: ParsedReference) -> None:
    assert parse_reference(text) == expected


def test_references_are_found_everywhere_and_can_be_changed() -> None:
    resource = {
        "resourceType": "Bundle",
        "entry": [
            {
                "resource": {
                    "resourceType": "Observation",
                    "subject": {"reference": "urn:uuid:1"},
                    "performer": [{"display": "x"}, {"reference": "Practitioner/2"}],
                    "extension": [{"url": "u", "valueReference": {"reference": "#c"}}],
                    "contained": [{"resourceType": "Device", "patient": {"reference": "#"}}],
                }
            }
        ],
    }
    found = dict(iter_references(resource))
    place = "Bundle.entry[0].resource"
    assert list(found) == [
        f"{place}.subject",
        f"{place}.performer[1]",
        f"{place}.extension[0].valueReference",
        f"{place}.contained[0].patient",
    ]
    found[f"{place}.subject"]["reference"] = "Patient/1"
    entry: Any = resource["entry"]
    assert entry[0]["resource"]["subject"]["reference"] == "Patient/1"


def test_instants() -> None:
    moment = datetime(2024, 5, 1, 12, 0, 0, 123_999, timezone(timedelta(hours=2)))
    assert format_instant(moment) == "2024-05-01T10:00:00.123Z"
    assert parse_instant("2024-05-01T12:00:00.123+02:00") == datetime(
        2024, 5, 1, 10, 0, 0, 123_000, UTC
    )
    with pytest.raises(ValueError, match="zone"):
        format_instant(datetime(2024, 5, 1))


@pytest.mark.parametrize("text", ["2024", "2024-05-01T10:00:00", "2024-05-01T10:00Z", "x", ""])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match="instant"):
        parse_instant(text)
