"""A transaction Bundle holds the whole patient and refers by urn:uuid alone."""

from __future__ import annotations

import pytest

from schemas.ids import iter_references
from schemas.parse import canonical_bytes
from schemas.validate import validate
from service.synth import transaction_bundle


def test_every_reference_is_to_an_entry_of_the_bundle(population: list) -> None:
    for record in population[:40]:
        bundle = transaction_bundle(record)
        urls = [entry["fullUrl"] for entry in bundle["entry"]]
        assert len(urls) == len(set(urls))
        for entry in bundle["entry"]:
            assert entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}"
            for _, holder in iter_references(entry["resource"]):
                assert holder["reference"] in urls


def test_bundle_is_valid_and_holds_every_resource(population: list) -> None:
    record = population[0]
    bundle = transaction_bundle(record)
    assert validate(bundle) == []
    ids = {entry["resource"]["id"] for entry in bundle["entry"]}
    assert {resource["id"] for resource in record.resources} <= ids


def test_shared_resources_are_conditional_creates_before_the_patient(population: list) -> None:
    entries = transaction_bundle(population[1])["entry"]
    shared = [e for e in entries if "ifNoneExist" in e["request"]]
    assert entries[: len(shared)] == shared
    kinds = {e["resource"]["resourceType"] for e in shared}
    assert kinds == {"Organization", "Location", "Practitioner"}
    for entry in entries:
        assert entry["request"]["method"] == "POST"
        assert entry["request"]["url"] == entry["resource"]["resourceType"]


def test_shared_resources_may_be_left_out(population: list) -> None:
    bundle = transaction_bundle(population[1], include_shared=False)
    assert len(bundle["entry"]) == len(population[1].resources)
    references = {
        h["reference"] for e in bundle["entry"] for _, h in iter_references(e["resource"])
    }
    assert any(reference.startswith("Practitioner/") for reference in references)


@pytest.mark.parametrize("index", [0, 7])
def test_the_record_is_left_as_it_was(population: list, index: int) -> None:
    record = population[index]
    before = [canonical_bytes(resource) for resource in record.resources]
    transaction_bundle(record)
    assert [canonical_bytes(resource) for resource in record.resources] == before
