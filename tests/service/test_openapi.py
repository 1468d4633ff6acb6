"""The OpenAPI description: names each operation once, and says truly what is sent and answered."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings

from service.app import Application, create_app
from service.settings import load_settings
from storage.lake import Lake, Put


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A service in this process."""
    with Lake.open(tmp_path_factory.mktemp("openapi") / "lake") as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "p"})])
        yield create_app(lake, load_settings({"nlp": False, "sql_timeout_s": 2}, environ={}))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


WITHOUT_BODY = ("/nlp/retry", "/nlp/reread")


def test_operations_are_described(app: Application) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = TestClient(app, base_url="http://localhost").get("/openapi.json").json()
    found = list(operations(document))
    ids = [operation["operationId"] for _, _, operation in found]
    assert len(ids) == len(set(ids)) > 30
    for method, path, operation in found:
        assert operation["summary"] and operation["responses"]["default"], path
        assert "422" not in operation["responses"], path
        if method in ("post", "put", "patch") and path not in WITHOUT_BODY:
            assert operation["requestBody"]["content"], path
    read = document["paths"]["/fhir/{resource_type}/{id}"]["get"]
    assert set(read["responses"]["200"]["content"]) == {
        "application/fhir+json",
        "application/fhir+xml",
    }
    names = {parameter["name"] for parameter in read["parameters"]}
    assert {"resource_type", "id", "at", "_format", "_summary", "_elements", "_pretty"} <= names


@pytest.mark.slow
def test_requests_that_follow_it_are_answered_as_it_says(app: Application) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "localhost"})
    told = [
        schemathesis.checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=3,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
            database=None,
        )
        @given(case=operation.as_strategy())
        def follow(case: Any) -> None:
            nonlocal tried
            sent = case.call(base_url="http://localhost", headers={"Host": "localhost"})
            if case.path == "/readyz":  # 503 is what it is for.
                assert sent.status_code in (200, 503)
                return
            tried += 1
            case.validate_response(sent, checks=told)

        follow()
    assert tried > 80
