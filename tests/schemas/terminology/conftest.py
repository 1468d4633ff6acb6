"""A terminology of a few definitions, R4's own behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.terminology import Terminology, built_in

STANDARD = "http://hl7.org/fhir/concept-properties#"
ANIMALS = "http://example.org/animals"


def code_system(url: str = ANIMALS, content: str = "complete", **more: Any) -> dict[str, Any]:
    """Animals, two of them below mammals, which no one is to choose."""
    return {
        "resourceType": "CodeSystem",
        "url": url,
        "version": "3",
        "status": "active",
        "content": content,
        "caseSensitive": True,
        "property": [
            {"code": "legs", "type": "integer"},
            {"code": "abstract", "type": "boolean", "uri": f"{STANDARD}notSelectable"},
            {"code": "above", "type": "code", "uri": f"{STANDARD}parent"},
            {"code": "gone", "type": "boolean", "uri": f"{STANDARD}inactive"},
        ],
        "concept": [
            {
                "code": "mammal",
                "display": "Mammal",
                "property": [{"code": "abstract", "valueBoolean": True}],
                "concept": [
                    {
                        "code": "dog",
                        "display": "Dog",
                        "definition": "A good one",
                        "designation": [
                            {"language": "de-CH", "value": "Hund"},
                            {
                                "language": "fr",
                                "use": {"system": "http://u", "code": "x"},
                                "value": "Chien",
                            },
                        ],
                        "property": [{"code": "legs", "valueInteger": 4}],
                        "concept": [{"code": "poodle", "display": "Poodle"}],
                    },
                    {
                        "code": "dodo",
                        "display": "Wrongly here",
                        "property": [{"code": "gone", "valueBoolean": True}],
                    },
                ],
            },
            {
                "code": "whale",
                "display": "Blue whale",
                "property": [
                    {"code": "above", "valueCode": "mammal"},
                    {"code": "legs", "valueInteger": 0},
                ],
            },
            {"code": "ant", "display": "Ant", "property": [{"code": "legs", "valueInteger": 6}]},
        ],
        **more,
    }


def value_set(*include: dict[str, Any], url: str = "http://example.org/vs", **more: Any) -> Any:
    """A value set of the includes."""
    compose = {"include": list(include)}
    if "exclude" in more:
        compose["exclude"] = more.pop("exclude")
    if "inactive" in more:
        compose["inactive"] = more.pop("inactive")
    return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": compose, **more}


def all_of(url: str = ANIMALS, **more: Any) -> dict[str, Any]:
    """An include of a code system."""
    return {"system": url, **more}


def such(prop: str, op: str, value: str, url: str = ANIMALS) -> dict[str, Any]:
    """An include of the concepts that a filter selects."""
    return all_of(url, filter=[{"property": prop, "op": op, "value": value}])


def terminology_of(*resources: dict[str, Any]) -> Terminology:
    """A terminology of the resources and R4's own."""
    known: dict[tuple[str, str], Any] = {}
    for resource in resources:
        url, version = resource["url"], resource.get("version")
        known[resource["resourceType"], url] = resource
        known[resource["resourceType"], f"{url}|{version}"] = resource

    def find(resource_type: str, canonical: str) -> dict[str, Any] | None:
        return known.get((resource_type, canonical)) or built_in.find(resource_type, canonical)

    return Terminology(find)


@pytest.fixture
def codes() -> Callable[..., list[str]]:
    """The codes of a value set over the animals, in order."""

    def listed(*include: dict[str, Any], **more: Any) -> list[str]:
        terminology = terminology_of(code_system(), *more.pop("others", ()))
        return [one.code for one in terminology.compile(value_set(*include, **more)).entries()]

    return listed
