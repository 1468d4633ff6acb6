"""The level `minimal` against resources of whatever shape: stored and marked, or valid."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.validate import validate
from schemas.validation_mark import INVALID_TAG, is_marked
from service.validation import MINIMAL, Validation, has_errors
from storage.lake import Lake, Put

Json = dict[str, Any]

OBSERVATION: Json = {
    "resourceType": "Observation",
    "id": "o",
    "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/bodyweight"]},
    "status": "final",
    "category": [{"coding": [{"system": "http://cat", "code": "vital-signs"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "subject": {"reference": "Patient/p"},
    "effectiveDateTime": "2020-01-01",
    "valueQuantity": {"value": 70, "unit": "kg", "code": "kg"},
    "component": [{"code": {"text": "x"}, "valueString": "y"}],
}
STRANGE: list[Any] = [None, True, -1, "x", "", [], {}, [[]], [{}], ["a"], [None], {"a": 1},
                      {"reference": 5}, {"coding": {"code": 1}}, "2020-13-45"]  # fmt: skip


@st.composite
def mutants(draw: st.DrawFn) -> Json:
    resource = copy.deepcopy(OBSERVATION)
    for _ in range(draw(st.integers(0, 3))):
        holder: Any = resource
        while True:
            keys = [k for k in holder if k not in ("resourceType", "id", "meta")]
            keys = keys if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(holder[key], (dict, list)) or draw(st.booleans()):
                holder[key] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
                break
            holder = holder[key]
    return resource


@given(st.lists(mutants(), min_size=5, max_size=20))
@settings(max_examples=5, deadline=None)
def test_nothing_invalid_is_stored_without_its_mark(resources: list[Json]) -> None:
    with tempfile.TemporaryDirectory() as folder, Lake.open(Path(folder) / "lake") as lake:
        validation = Validation(lake, level=MINIMAL)
        sent = {f"o{number}": resource for number, resource in enumerate(resources)}
        for id, resource in sent.items():
            stored = {**copy.deepcopy(resource), "id": id}
            validation.check(stored, "Observation")
            assert is_marked(stored) == has_errors(validation.issues(resource, "Observation"))
            assert is_marked(stored) or not validate(resource)
            lake.transact([Put(stored)])
        lake.flush()
        assert lake.verify() == []
        tag = f"{INVALID_TAG['system']}|{INVALID_TAG['code']}"
        marked = {v.id for v in lake.search("Observation", [("_tag", tag)]).versions}
        for id, resource in sent.items():
            read = lake.read("Observation", id).resource()
            assert (id in marked) == is_marked(read)
            assert {k: v for k, v in read.items() if k not in ("id", "meta")} == {
                k: v for k, v in resource.items() if k not in ("id", "meta")
            }
