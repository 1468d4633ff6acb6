"""The same data hot, flushed, partly flushed, merged, or updated after it: the same answers.

A lake that never flushes is the oracle: its answers come from SQL over index rows alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import flush
from storage.index import build
from storage.lake import Delete, Lake, Put

UCUM = "http://unitsofmeasure.org"
UUIDS = [f"{n:08x}-0000-4000-8000-00000000000{n}" for n in range(3)]
DATES = ["2023", "2024-03", "2024-03-05", "2024-03-05T10:00:00Z", "2025-01-01T00:00:00.5Z"]


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


observations = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "c", "d", UUIDS[0]]),
        "status": st.sampled_from(["final", "amended"]),
        "code": st.sampled_from(["x", "y", "Y"]),
        "system": st.sampled_from([None, "urn:s", "urn:t"]),
        "display": maybe(st.sampled_from(["Blutdruck", "blutdruck oben", "Größe"])),
        "subject": maybe(st.sampled_from(["Patient/p", f"Patient/{UUIDS[1]}", "Group/p", "urn:x"])),
        "date": maybe(st.sampled_from(DATES)),
        "end": st.booleans(),
        "value": maybe(st.sampled_from([-1.5, 0, 5.4, 5.44, 100])),
        "unit": maybe(st.sampled_from(["mg", "kg", "ug", "no unit"])),
        "components": st.lists(
            st.tuples(
                st.sampled_from(["x", "y"]),
                st.sampled_from(
                    [
                        {"valueQuantity": {"value": 5.4, "unit": "mg"}},
                        {"valueQuantity": {"value": 5400, "system": UCUM, "code": "ug"}},
                        {"valueQuantity": {"value": 7, "system": UCUM, "code": "mg"}},
                        {"valueCodeableConcept": {"coding": [{"code": "x"}, {"code": "z"}]}},
                        {},
                    ]
                ),
            ),
            max_size=2,
        ),
        "text": maybe(st.sampled_from(["bone", "Liver and <b>bone</b>", "no metastases"])),
    }
)
locations = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["l", "m", "n"]),
        "latitude": st.sampled_from([0, 52.5, 52.6, -89.9]),
        "longitude": st.sampled_from([179.95, -179.95, 13.4, 0]),
    }
)
patients = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["p", "q", UUIDS[1], UUIDS[2]]),
        "names": st.lists(
            st.sampled_from(["Ann", "anna", "Änne", "Zoë", "bob", "O'Neil"]), max_size=3
        ),
        "source": maybe(st.sampled_from(["http://a.org/b", "http://a.org/b/c", "http://a.org"])),
        "birth": maybe(st.sampled_from(["1980", "1980-02-03"])),
    }
)
risks = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["r", "s", "t"]),
        "probabilities": st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.9]), max_size=3),
    }
)


def observation(given: dict[str, Any]) -> dict[str, Any]:
    coding = {"code": given["code"], "system": given["system"], "display": given["display"]}
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "id": given["id"],
        "status": given["status"],
        "code": {"coding": [{name: text for name, text in coding.items() if text}]},
    }
    if given["subject"]:
        resource["subject"] = {"reference": given["subject"]}
    if given["date"] and given["end"]:
        resource["effectivePeriod"] = {"start": given["date"]}
    elif given["date"]:
        resource["effectiveDateTime"] = given["date"]
    if given["value"] is not None:
        unit = {"unit": given["unit"], "system": UCUM, "code": given["unit"]}
        resource["valueQuantity"] = {"value": given["value"]} | (unit if given["unit"] else {})
    if given["components"]:
        resource["component"] = [
            {"code": {"coding": [{"system": "urn:s", "code": code}]}} | value
            for code, value in given["components"]
        ]
    if given["text"]:
        resource["text"] = {"status": "generated", "div": f"<div>{given['text']}</div>"}
    return resource


def location(given: dict[str, Any]) -> dict[str, Any]:
    position = {"latitude": given["latitude"], "longitude": given["longitude"]}
    return {"resourceType": "Location", "id": given["id"], "position": position}


def patient(given: dict[str, Any]) -> dict[str, Any]:
    resource: dict[str, Any] = {"resourceType": "Patient", "id": given["id"]}
    if given["names"]:
        resource["name"] = [{"given": given["names"], "family": given["names"][0]}]
    if given["source"]:
        resource["meta"] = {"source": given["source"]}
    if given["birth"]:
        resource["birthDate"] = given["birth"]
    return resource


def risk(given: dict[str, Any]) -> dict[str, Any]:
    resource = {"resourceType": "RiskAssessment", "id": given["id"], "status": "final"}
    if not given["probabilities"]:
        return resource
    predictions = [{"probabilityDecimal": number} for number in given["probabilities"]]
    return resource | {"prediction": predictions}


steps = st.lists(
    st.tuples(st.just("put"), observations.map(observation))
    | st.tuples(st.just("put"), patients.map(patient))
    | st.tuples(st.just("put"), risks.map(risk))
    | st.tuples(st.just("put"), locations.map(location))
    | st.tuples(st.just("delete"), st.sampled_from(["a", "b", UUIDS[0]]))
    | st.tuples(st.sampled_from(["flush", "flush", "compact", "reopen", "reindex"]), st.none()),
    min_size=4,
    max_size=25,
)

OBSERVATIONS: list[list[tuple[str, str]]] = [
    [],
    [("code", "x")],
    [("code", "x,y")],
    [("code", "urn:s|x")],
    [("code", "|Y")],
    [("code", "urn:t|")],
    [("code:not", "x")],
    [("code:not", "urn:s|x,y"), ("status:not", "final")],
    [("code:text", "blut")],
    [("code:missing", "true")],
    [("subject", "p")],
    [("subject", "Patient/p"), ("code", "x")],
    [("subject", UUIDS[1])],
    [("subject:Group", "p")],
    [("subject", "urn:x")],
    [("patient", f"p,{UUIDS[1]}"), ("status", "final")],
    [("subject:missing", "true")],
    [("subject:missing", "false"), ("date:missing", "true")],
    *[[("date", f"{prefix}2024-03-05")] for prefix in ("", "ne", "gt", "lt", "ge", "le", "sa")],
    [("date", "eb2024"), ("code", "x")],
    [("date", "ap2024-03-05")],
    [("date", "ge2024"), ("date", "lt2025")],
    *[[("value-quantity", f"{prefix}5.4")] for prefix in ("", "ne", "gt", "lt", "ge", "le", "ap")],
    [("value-quantity", f"5.4|{UCUM}|mg")],
    [("value-quantity", "5.4||kg")],
    [("value-quantity", f"ge0|{UCUM}|")],
    [("value-quantity:missing", "true")],
    [("value-quantity", f"5400|{UCUM}|ug")],
    [("combo-value-quantity", f"lt1|{UCUM}|g"), ("code", "x")],
    [("value-quantity", f"5.4|{UCUM}|no unit")],
    [("code-value-quantity", f"x$5.4|{UCUM}|mg")],
    [("code-value-quantity", "urn:s|x$gt5,y$lt0")],
    [("component-code-value-quantity", f"urn:s|x$5.4|{UCUM}|mg")],
    [("component-code-value-quantity", "y$5.4||mg")],
    [("combo-code-value-quantity", f"x$ge5.4|{UCUM}|mg"), ("status", "final")],
    [("combo-code-value-quantity", "urn:s|$ge5.4")],
    [("combo-code-value-quantity:missing", "true")],
    [("combo-code-value-concept", "x$z")],
    [("combo-code-value-concept:missing", "false")],
    [("_text", "bone")],
    [("_text", "(bone OR metastases) and not liver")],
    [("_id", f"a,c,{UUIDS[0]}")],
    [("_id", "a,b"), ("code", "x")],
    [("_id", "a,b"), ("code:not", "x")],
    [("_lastUpdated", "ge2000")],
    [("_lastUpdated", "lt2000"), ("code", "x")],
]
PATIENTS: list[list[tuple[str, str]]] = [
    [],
    [("name", "an")],
    [("given:exact", "Ann")],
    [("given:exact", "bob")],
    [("name:contains", "n")],
    [("name:contains", "o'n")],
    [("phonetic", "bop")],
    [("phonetic", "anne,zoé")],
    [("age", "ge30"), ("name", "an")],
    [("age", "lt50")],
    [("name:missing", "true")],
    [("given", "anna"), ("given", "bob")],
    [("birthdate", "1980")],
    [("_source", "http://a.org/b")],
    [("_source:below", "http://a.org")],
    [("_source:above", "http://a.org/b/c/d")],
]
RISKS: list[list[tuple[str, str]]] = [
    [("probability", "gt0.1")],
    [("probability", "0.25")],
    [("probability:missing", "true")],
]
LOCATIONS: list[list[tuple[str, str]]] = [
    [("near", "52.55|13.4|10|km")],
    [("near", "0|180|20")],
    [("near", "0|0|20015")],
    [("near", "-90|0|12")],
    [("near:missing", "true")],
]
SORTS = {
    "Location": [""],
    "Observation": [
        *("", "_lastUpdated", "-_lastUpdated", "_id", "-_id", "date", "-date"),
        *("value-quantity", "-value-quantity,date", "date,-_lastUpdated"),
    ],
    "Patient": ["", "name", "-name", "given,-_id", "birthdate,-family"],
    "RiskAssessment": ["", "probability", "-probability"],
}
QUERIES = [
    (resource_type, criteria)
    for resource_type, many in (
        ("Observation", OBSERVATIONS),
        ("Patient", PATIENTS),
        ("RiskAssessment", RISKS),
        ("Location", LOCATIONS),
    )
    for criteria in many
]


@contextmanager
def small_parts() -> Iterator[None]:
    """Segments of some versions, parts of fewer, blocks of very few."""
    with (
        mock.patch.object(flush, "SEGMENT_ROWS", 7),
        mock.patch.object(build, "PART_ROWS", 4),
        mock.patch.object(build, "_BLOCK_ENTRIES", 2),
    ):
        yield


def pages(lake: Lake, resource_type: str, params: list[tuple[str, str]], at: int) -> list[Any]:
    """Every page of a search: the versions, and each page's total."""
    page = lake.search(resource_type, params, at=at, strict=True)
    found = []
    while True:
        found.append(([(v.id, v.version_id, v.body[:0]) for v in page.versions], page.total))
        if page.next is None:
            return found
        page = lake.search(resource_type, [*params, ("_cursor", page.next)], at=at, strict=True)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.data())
def test_both_tiers_answer_alike(steps: list[tuple[str, Any]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(prefix="chartlake-test-") as name, small_parts():
        folder = Path(name)
        tiered = Lake.open(folder / "tiered")
        with Lake.open(folder / "hot") as hot:
            for what, given in steps:
                if what == "put":
                    hot.transact([Put(given)])
                    tiered.transact([Put(given)])
                elif what == "delete":
                    try:
                        hot.transact([Delete("Observation", given)])
                    except Exception:  # never was
                        continue
                    tiered.transact([Delete("Observation", given)])
                elif what == "flush":
                    tiered.flush()
                elif what == "compact":
                    tiered.compact()
                elif what == "reindex":
                    tiered.reindex()
                else:
                    tiered.close()
                    tiered = Lake.open(folder / "tiered")
            try:
                assert tiered.verify() == []
                at = data.draw(st.sampled_from([hot.t, hot.t, *range(hot.t + 1)]), "at")
                count = data.draw(st.sampled_from(["1", "2", "3", "50"]), "count")
                for resource_type, criteria in QUERIES:
                    sort = data.draw(st.sampled_from(SORTS[resource_type]), "sort")
                    params = [*criteria, ("_count", count)] + ([("_sort", sort)] if sort else [])
                    # The moments of the two lakes differ, so do answers that depend on them.
                    assert pages(tiered, resource_type, params, at) == pages(
                        hot, resource_type, params, at
                    ), (resource_type, params, at)
                    counted = [*criteria, ("_count", "0")]
                    assert (
                        tiered.search(resource_type, counted, at=at).total
                        == hot.search(resource_type, counted, at=at).total
                    )
            finally:
                tiered.close()
