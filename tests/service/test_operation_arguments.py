"""The parameters of operations: of the address and of Parameters, each honoured or refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from schemas.dates import MAX_US, MIN_US, date_range
from schemas.outcomes import FhirError
from service.app import create_app
from service.operations.arguments import Arguments
from service.settings import load_settings
from storage.lake import Lake, Put

ADDRESSES = (
    "Patient/a/$everything",
    "Encounter/e/$everything",
    "DocumentReference/$docref",
    "Composition/c/$document",
    "Patient/$member-match",
)
_NAMES = st.sampled_from(
    ["start", "end", "_since", "_type", "_count", "_cursor", "at", "patient", "type", "profile",
     "on-demand", "persist", "id", "MemberPatient", "CoverageToMatch", "Consent", "x"]
)  # fmt: skip
_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("a")
_VALUES = st.recursive(
    _SCALARS | st.just("2020-01-01") | st.just({"resourceType": "Patient"}),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
_MEMBERS = st.sampled_from(["valueString", "valueCoding", "valueInteger", "resource", "part"])
_PART = st.builds(lambda n, m, v: {"name": n, m: v}, _NAMES | _SCALARS, _MEMBERS, _VALUES)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with Lake.open(tmp_path_factory.mktemp("arguments") / "lake") as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "a"})])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        yield TestClient(app, base_url="http://localhost")


@given(
    st.sampled_from(ADDRESSES),
    st.lists(_PART | _VALUES, max_size=4),
    st.dictionaries(_NAMES, st.text()),
)
def test_whatever_is_given_is_answered_or_refused(
    http: TestClient, address: str, parts: list[Any], query: dict[str, str]
) -> None:
    body = {"resourceType": "Parameters", "parameter": parts}
    response = http.post(f"/fhir/{address}", json=body, params=query)
    assert response.status_code < 500
    assert response.json()["resourceType"] in ("Bundle", "Parameters", "OperationOutcome")
    assert http.get(f"/fhir/{address}", params=query).status_code < 500


def parameters(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(parts)}


def test_both_ways() -> None:
    given_ = Arguments(
        [("a", "1"), ("_format", "json"), ("words", "x,y")],
        parameters(
            {"name": "b", "valueInteger": 2},
            {"name": "c", "valueBoolean": True},
            {"name": "words", "valueCode": "z"},
            {"name": "type", "valueCoding": {"system": "urn:s", "code": "k"}},
            {"name": "r", "valueReference": {"reference": "Patient/1"}},
        ),
    )
    assert given_.given == {"a", "b", "c", "words", "type", "r"}
    assert (given_.text("a"), given_.text("b"), given_.text("none")) == ("1", "2", None)
    assert given_.flag("c")
    assert given_.words("words") == ["x", "y", "z"]
    assert given_.spelled("type") == ["urn:s|k"]
    assert given_.references("r") == ["Patient/1"]


def test_periods() -> None:
    assert Arguments([], None).period() == (MIN_US, MAX_US)
    assert Arguments([("start", "2020")], None).period() == (date_range("2020")[0], MAX_US)
    assert Arguments([("end", "2020")], None).period() == (MIN_US, date_range("2020")[1])


@pytest.mark.parametrize(
    ("arguments", "asked", "place"),
    [
        (Arguments([("a", "1"), ("a", "2")], None), lambda one: one.text("a"), "a"),
        (Arguments([("a", "1")], None), lambda one: one.only("b"), "a"),
        (Arguments([], None), lambda one: one.required("a"), "a"),
        (Arguments([("a", "yes")], None), lambda one: one.flag("a"), "a"),
        (Arguments([("a", "x")], None), lambda one: one.resources("a"), "a"),
        (
            Arguments([], parameters({"name": "a", "valueCoding": {}})),
            lambda one: one.text("a"),
            "a",
        ),
    ],
)
def test_refusals_name_the_parameter(arguments: Arguments, asked: Any, place: str) -> None:
    with pytest.raises(FhirError) as failure:
        asked(arguments)
    assert failure.value.issues[0].expression == (place,)


@pytest.mark.parametrize("body", [{"parameter": {}}, {"parameter": [1]}, {"parameter": [{}]}])
def test_malformed_parameters(body: dict[str, Any]) -> None:
    with pytest.raises(FhirError, match=r"Parameters\.parameter"):
        Arguments([], body)
