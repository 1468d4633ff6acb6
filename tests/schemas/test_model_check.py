"""The second opinion of `fhir.resources`, and ours against it."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from schemas.model_check import _model_errors, covered, explain
from schemas.outcomes import Issue
from schemas.structure import RESOURCE_TYPES
from schemas.validate import validate


@pytest.mark.slow
def test_types_that_r4b_changed_are_not_asked_about() -> None:
    assert covered("Patient") and covered("Observation") and covered("Questionnaire")
    assert not covered("EvidenceVariable") and not covered("MedicinalProduct")
    assert len([kind for kind in RESOURCE_TYPES if covered(kind)]) == 126


def test_what_we_did_not_name_is_told_as_a_warning() -> None:
    resource = {"resourceType": "Observation", "status": "final", "category": {"text": "Secret"}}
    (code, category) = explain(resource, [])
    assert {code.expression[0], category.expression[0]} == {
        "Observation.code",
        "Observation.category",
    }
    assert code.severity == category.severity == "warning"
    assert "Secret" not in code.diagnostics + category.diagnostics


def test_what_we_named_is_not_told_again() -> None:
    resource = {"resourceType": "Observation", "status": "final", "category": {"text": "x"}}
    assert explain(resource, validate(resource)) == []
    elsewhere = [Issue("error", "value", "x", ("Observation.issued",))]
    assert len(explain(resource, elsewhere)) == 2


def test_no_opinion_on_odd_content(any_sample: dict[str, Any]) -> None:
    assert explain(any_sample, []) == []
    assert explain({}, []) == explain({"resourceType": 3}, []) == []
    assert explain({"resourceType": "EvidenceVariable"}, []) == []


_ODD: list[Any] = [None, True, 1, "", "a b", [], {}, ["a"], {"a": 1}, "2023-02-30", [None], [{}]]


def _objects(node: Any) -> list[dict[str, Any]]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = [node] if isinstance(node, dict) else []
    return found + [one for child in children for one in _objects(child)]


@pytest.mark.parametrize("seed", range(5))
def test_we_refuse_whatever_the_models_refuse(seed: int, any_sample: dict[str, Any]) -> None:
    """A resource with one thing changed: no fault that the models see escapes the validator."""
    chance = random.Random(seed)
    for _ in range(30):
        resource = copy.deepcopy(any_sample)
        node = chance.choice(_objects(resource))
        names = [name for name in node if name != "resourceType"]
        name = chance.choice([*names, "text", "code", "valueString", "unknown"])
        if name in node and chance.random() < 0.3:
            del node[name]
        else:
            node[name] = chance.choice(_ODD)
        if _model_errors(resource["resourceType"], resource):
            assert validate(resource), resource
