"""SMART's Python client (`fhirclient`) at work: models, create, read, update, search, delete.

Run with the FHIR base URL; exits 0 when everything that it is used for worked.
"""

from __future__ import annotations

import sys
import uuid

from fhirclient import client
from fhirclient.models.bundle import Bundle
from fhirclient.models.condition import Condition
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException

RUN = uuid.uuid4().hex[:12]


def main(base: str) -> None:
    smart = client.FHIRClient(settings={"app_id": "chartlake-test", "api_base": base})
    smart.prepare()
    assert smart.ready, "the CapabilityStatement did not make the client ready"
    server = smart.server
    assert server.capabilityStatement.fhirVersion == "4.0.1"

    ids = []
    for n in range(5):
        patient = Patient(
            {
                "resourceType": "Patient",
                "identifier": [{"system": "urn:smart-python", "value": f"{RUN}-{n}"}],
                "name": [{"family": f"Smart{RUN}", "given": [f"Nr{n}"]}],
                "gender": "female",
                "birthDate": f"197{n}-05-0{n + 1}",
            }
        )
        created = patient.create(server)
        assert created and created["id"], created
        ids.append(created["id"])

    read = Patient.read(ids[0], server)
    assert smart.human_name(read.name[0]) == f"Nr0 Smart{RUN}"
    read.active = True
    updated = read.update(server)
    assert updated["active"] is True and updated["meta"]["versionId"] == "2"

    # The client still sends the comparison signs of old: `birthdate=>1972`.
    search = Patient.where({"family": f"Smart{RUN}", "birthdate": ">1972"})
    assert len(search.perform_resources(server)) == 2
    search = Patient.where({"family": f"Smart{RUN}", "birthdate": {"$gt": "1971", "$lte": "1973"}})
    assert len(search.perform_resources(server)) == 2
    search = Patient.where({"family": {"$exact": f"Smart{RUN}"}, "_count": "2"})
    assert sorted(p.id for p in search.perform_resources_iter(server)) == sorted(ids)
    either = Patient.where({"identifier": {"$or": [f"{RUN}-0", f"{RUN}-4"]}})
    assert sorted(p.id for p in either.perform_resources(server)) == sorted([ids[0], ids[4]])

    for n, code in enumerate(("44054006", "38341003")):
        Condition(
            {
                "resourceType": "Condition",
                "subject": {"reference": f"Patient/{ids[n]}"},
                "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
            }
        ).create(server)
    conditions = Condition.where({"subject": f"Patient/{ids[0]}"}).include("subject")
    found = conditions.perform_resources(server)
    assert sorted(type(one).__name__ for one in found) == ["Condition", "Patient"], found
    chained = Condition.where({"subject": {"$type": "Patient", "family": f"Smart{RUN}"}})
    if "subject:Patient.family" in chained.construct():
        assert len(chained.perform_resources(server)) == 2
    reverse = Patient.where({"_id": ids[1]}).include("subject", Condition, reverse=True)
    assert {type(one).__name__ for one in reverse.perform_resources(server)} == {
        "Condition",
        "Patient",
    }

    observation = Observation(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
            "subject": {"reference": f"Patient/{ids[0]}"},
            "valueQuantity": {"value": 9.2, "unit": "%"},
        }
    )
    observation.create(server)
    (stored,) = Observation.where({"subject": ids[0]}).perform_resources(server)
    assert stored.valueQuantity.value == 9.2
    assert stored.subject.resolved(Patient).id == ids[0]

    bundle = Patient.where({"family": f"Smart{RUN}"}).perform(server)
    assert isinstance(bundle, Bundle) and bundle.total == 5

    Patient.read(ids[4], server).delete()
    try:
        Patient.read(ids[4], server)
    except FHIRNotFoundException:
        raise AssertionError("a deleted resource answers 410, not 404") from None
    except Exception as failure:
        assert "410" in str(failure) or "Gone" in str(failure), failure
    else:
        raise AssertionError("the deleted patient is still read")


if __name__ == "__main__":
    main(sys.argv[1])
