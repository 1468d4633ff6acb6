"""fhirpy at work: save, search sets with includes and paging, conditional writes, merge patch.

Run with the FHIR base URL; exits 0 when everything that it is used for worked.
"""

from __future__ import annotations

import asyncio
import sys
import uuid

from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

RUN = uuid.uuid4().hex[:12]
SYSTEM = "urn:fhirpy"


def synchronous(base: str) -> None:
    client = SyncFHIRClient(base)
    patients = client.resources("Patient")
    saved = []
    for n in range(4):
        patient = client.resource(
            "Patient",
            identifier=[{"system": SYSTEM, "value": f"{RUN}-{n}"}],
            name=[{"family": f"Py{RUN}", "given": [f"Nr{n}"]}],
            gender="male",
            birthDate=f"198{n}-01-01",
        )
        patient.save()
        saved.append(patient)
    assert saved[0].id and saved[0].meta.versionId == "1"

    saved[0]["active"] = True
    saved[0].save()
    assert patients.get(saved[0].id)["meta"]["versionId"] == "2"
    # Changed fields alone go as a merge patch with a plain JSON content type.
    saved[0]["gender"] = "other"
    saved[0].save(fields=["gender"])
    assert (saved[0]["gender"], saved[0]["active"]) == ("other", True)
    saved[0].patch(birthDate="1979-12-31")
    assert saved[0].refresh()["birthDate"] == "1979-12-31"
    client.patch("Patient", saved[0].id, active=None)
    assert "active" not in patients.get(saved[0].id)

    ours = patients.search(family=f"Py{RUN}")
    assert ours.count() == 4
    assert len(ours.limit(1).fetch()) == 1
    assert [p.id for p in ours.sort("birthdate").fetch()] == [p.id for p in saved]
    assert [p.id for p in ours.sort("-birthdate").limit(1).fetch_all()] == [
        p.id for p in reversed(saved)
    ]
    assert {p.id for p in ours.limit(3)} == {p.id for p in saved}
    assert ours.search(birthdate__gt="1981-06-01", birthdate__lt="1983").count() == 1
    assert ours.search(name__contains="nr").count() == 4
    few = ours.elements("id", "resourceType").fetch()[0]
    assert "name" not in few and few["id"]
    assert ours.search(identifier=f"{SYSTEM}|{RUN}-2").first().id == saved[2].id
    try:
        ours.get()
    except MultipleResourcesFound:
        pass
    else:
        raise AssertionError("four are not one")

    practitioner = client.resource("Practitioner", name=[{"family": f"Doc{RUN}"}])
    practitioner.save()
    encounter = client.resource(
        "Encounter",
        status="finished",
        **{"class": {"code": "AMB"}},
        subject=saved[1].to_reference(),
        participant=[{"individual": practitioner.to_reference()}],
    )
    encounter.save()
    observation = client.resource(
        "Observation",
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        subject=saved[1].to_reference(),
        encounter=encounter.to_reference(),
        valueQuantity={"value": 13.5, "unit": "g/dL"},
    )
    observation.save()
    assert observation.subject.to_resource().id == saved[1].id
    encounters = client.resources("Encounter").search(subject=saved[1].to_reference())
    bundle = (
        encounters.include("Encounter", "subject")
        .include("Encounter", "participant")
        .revinclude("Observation", "encounter")
        .fetch_raw()
    )
    assert sorted(e.resource["resourceType"] for e in bundle.entry) == [
        "Encounter",
        "Observation",
        "Patient",
        "Practitioner",
    ]
    having = ours.has("Observation", "patient", code="718-7")
    assert [p.id for p in having.fetch()] == [saved[1].id]
    chained = client.resources("Observation").search(patient__Patient__family=f"Py{RUN}")
    assert [o.id for o in chained.fetch()] == [observation.id]

    # Conditional create, update, patch and delete go by search parameters in the address.
    key = {"identifier": f"{SYSTEM}|{RUN}-cond"}
    conditional = client.resources("Patient").search(**key)
    body = client.resource("Patient", identifier=[{"system": SYSTEM, "value": f"{RUN}-cond"}])
    first, created = conditional.get_or_create(body)
    again, created_again = conditional.get_or_create(body)
    assert (created, created_again, first.id) == (True, False, again.id)
    body["gender"] = "female"
    updated, made = conditional.update(body)
    assert (updated.id, made, updated["gender"]) == (first.id, False, "female")
    assert conditional.patch(active=True).id == first.id
    conditional.delete()
    assert conditional.count() == 0
    try:
        patients.get(first.id)
    except (ResourceNotFound, OperationOutcome):
        pass
    else:
        raise AssertionError("the deleted patient is still read")

    assert saved[2].is_valid()
    assert not client.resource("Patient", gender="unknowable").is_valid()
    everything = saved[1].execute("$everything", method="get")
    kinds = {entry["resource"]["resourceType"] for entry in everything["entry"]}
    assert {"Patient", "Encounter", "Observation"} <= kinds
    transaction = client.execute(
        "/",
        method="post",
        data={
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": "urn:uuid:5a2b1a52-1c22-4c6f-8a1d-000000000001",
                    "resource": {"resourceType": "Patient", "name": [{"family": f"Tx{RUN}"}]},
                    "request": {"method": "POST", "url": "Patient"},
                },
                {
                    "resource": {
                        "resourceType": "Flag",
                        "status": "active",
                        "code": {"text": "falls"},
                        "subject": {"reference": "urn:uuid:5a2b1a52-1c22-4c6f-8a1d-000000000001"},
                    },
                    "request": {"method": "POST", "url": "Flag"},
                },
            ],
        },
    )
    assert [e["response"]["status"][:3] for e in transaction["entry"]] == ["201", "201"]
    history = saved[0].execute("_history", method="get")
    assert history["type"] == "history" and len(history["entry"]) >= 4
    for patient in saved[:1]:
        patient.delete()
    assert ours.count() == 3


async def asynchronous(base: str) -> None:
    client = AsyncFHIRClient(base)
    patients = [
        client.resource("Patient", name=[{"family": f"Async{RUN}", "given": [str(n)]}])
        for n in range(10)
    ]
    await asyncio.gather(*(patient.save() for patient in patients))
    ours = client.resources("Patient").search(family=f"Async{RUN}").limit(3)
    found = [patient.id async for patient in ours]
    assert sorted(found) == sorted(patient.id for patient in patients)
    assert len(await ours.fetch_all()) == 10
    await asyncio.gather(*(patient.delete() for patient in patients))
    assert await ours.count() == 0


if __name__ == "__main__":
    synchronous(sys.argv[1])
    asyncio.run(asynchronous(sys.argv[1]))
