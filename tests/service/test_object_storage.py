"""A service whose segments are in an object store, and what it says when that is away."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

pytest.importorskip("moto.server")

import boto3
from moto.server import ThreadedMotoServer

from tests.service.conftest import Service, assert_outcome


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_store_that_is_away_is_a_503_and_the_hot_tier_serves(
    start_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    store.start()
    try:
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1"
        )
        client.create_bucket(Bucket="clinic")
        url = f"s3://clinic/lake?endpoint_override=127.0.0.1:{port}&region=us-east-1&scheme=http"
        environment = {**keys, "CHARTLAKE_SEGMENTS_URL": url, "CHARTLAKE_NLP": "false"}
        service = start_service("lake", **environment)
        flushed = service.patient(birthDate="1950-01-01")
        service.stop()
        from storage.lake import Lake

        with Lake.open(service.data) as lake:
            lake.flush()
        assert len(client.list_objects_v2(Bucket="clinic")["Contents"]) == 2
        service.start()
        assert service.http.get(f"/fhir/Patient/{flushed}").status_code == 200
        service.stop()
    finally:
        store.stop()
    service.start()
    outcome = assert_outcome(service.http.get(f"/fhir/Patient/{flushed}"), 503)
    assert "s3://clinic/lake" in outcome["issue"][0]["diagnostics"]
    hot = service.patient(birthDate="1960-01-01")
    assert service.http.get(f"/fhir/Patient/{hot}").status_code == 200
    query = {"query": "SELECT count(birth_date) FROM patient"}
    assert_outcome(service.http.post("/sql", json=query), 503)
