"""The CapabilityStatement tells the truth (R4 http.html#capabilities)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from schemas.search_params import search_params
from schemas.validate import validate
from service.app import create_app
from service.settings import load_settings
from service.surface import Surface
from storage.lake import Lake

SAMPLES = {
    "token": "x",
    "date": "2020",
    "string": "a",
    "number": "1",
    "quantity": "1",
    "reference": "Patient/1",
    "uri": "http://example.org",
}


def sample(resource_type: str, param: dict[str, Any]) -> str:
    """A value that the parameter can have."""
    if param["type"] == "composite":
        components = search_params(resource_type)[param["name"]].components
        return "$".join(SAMPLES[component.type] for component in components)
    return "0|0|1|km" if param["type"] == "special" else SAMPLES[param["type"]]


@pytest.fixture(scope="module")
def statement(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The statement of an empty service."""
    settings = load_settings({"nlp": False}, environ={})
    with Lake.open(tmp_path_factory.mktemp("capabilities") / "lake") as lake:
        client = TestClient(create_app(lake, settings), base_url="http://localhost")
        found: dict[str, Any] = client.get("/fhir/metadata").json()
    return found


def test_it_is_valid_fhir(statement: dict[str, Any]) -> None:
    assert validate(statement, "CapabilityStatement") == []


def test_every_listed_parameter_is_applied(statement: dict[str, Any], tmp_path: Path) -> None:
    count = 0
    with Lake.open(tmp_path / "lake") as lake:
        for resource in statement["rest"][0]["resource"]:
            for param in resource["searchParam"]:
                query = [(param["name"], sample(resource["type"], param))]
                page = lake.search(resource["type"], query, strict=True)
                assert page.total == 0
                count += 1
    assert count > 2000


def test_every_listed_type_can_be_created_by_its_client(statement: dict[str, Any]) -> None:
    patient = next(r for r in statement["rest"][0]["resource"] if r["type"] == "Patient")
    codes = {interaction["code"] for interaction in patient["interaction"]}
    assert codes == {
        "read",
        "vread",
        "update",
        "patch",
        "delete",
        "history-instance",
        "history-type",
        "create",
        "search-type",
    }
    assert {o["name"] for o in patient["operation"]} >= {"timeline", "purge", "validate", "erase"}


def test_an_operation_without_a_definition_is_refused_at_start() -> None:
    router = APIRouter()
    router.get("/Patient/{id}/$guess")(lambda: None)
    with pytest.raises(ValueError, match="guess"):
        Surface(router)


def test_operations_are_claimed_where_their_paths_are() -> None:
    router = APIRouter()
    for path in ("/$a", "/Patient/$b", "/Patient/{id}/$b", "/{resource_type}/{id}/$c"):
        router.get(path)(lambda: None)
    definitions = dict.fromkeys("abc", "http://example.org")
    found = list(Surface(router, definitions=definitions).operations())
    assert found == [(None, "a"), ("Patient", "b"), ("*", "c")]


def test_each_search_parameter_is_listed_once(statement: dict[str, Any]) -> None:
    (rest,) = statement["rest"]
    for resource in rest["resource"]:
        names = [param["name"] for param in resource["searchParam"]]
        assert len(names) == len(set(names)), resource["type"]
