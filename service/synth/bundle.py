"""One patient as a transaction Bundle. R4 bundle.html, http.html#transaction."""

from __future__ import annotations

from typing import Any

from service.synth.concepts import Json
from service.synth.facility import shared_resources
from service.synth.record import PatientRecord


def _rewritten(value: Any, urls: dict[str, str]) -> Any:
    """`value` with references replaced; parts without one are shared with the original."""
    if isinstance(value, dict):
        copy: Json | None = None
        for key, element in value.items():
            if key == "reference" and isinstance(element, str):
                new = urls.get(element, element)
            else:
                new = _rewritten(element, urls)
            if new is not element:
                if copy is None:
                    copy = dict(value)
                copy[key] = new
        return value if copy is None else copy
    if isinstance(value, list):
        items = [_rewritten(item, urls) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    return value


def _references(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str):
            found.add(reference)
        for element in value.values():
            _references(element, found)
    elif isinstance(value, list):
        for item in value:
            _references(item, found)


def transaction_bundle(record: PatientRecord, *, include_shared: bool = True) -> Json:
    """A transaction that creates the patient: `POST` entries with `urn:uuid` full URLs.

    The Organizations, Locations and Practitioners referred to are conditional creates on their
    identifier, so that any number of patients can be sent, in any order, to an empty server.
    With `include_shared=False` they are left out and referred to as `Type/id`: send
    `shared_resources` first, by PUT.
    """
    shared: list[Json] = []
    if include_shared:
        used: set[str] = set()
        _references(record.resources, used)
        available = {f"{r['resourceType']}/{r['id']}": r for r in shared_resources(record.seed)}
        wanted = used & available.keys()
        for reference in used & available.keys():
            _references(available[reference], wanted)  # a Location's managing Organization
        shared = [available[key] for key in available if key in wanted]
    urls = {
        f"{r['resourceType']}/{r['id']}": f"urn:uuid:{r['id']}"
        for r in (*shared, *record.resources)
    }
    entries: list[Json] = []
    for number, resource in enumerate((*shared, *record.resources)):
        kind = resource["resourceType"]
        request: Json = {"method": "POST", "url": kind}
        if number < len(shared):
            identifier = resource["identifier"][0]
            request["ifNoneExist"] = f"identifier={identifier['system']}|{identifier['value']}"
        entries.append(
            {
                "fullUrl": f"urn:uuid:{resource['id']}",
                "resource": _rewritten(resource, urls),
                "request": request,
            }
        )
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}
