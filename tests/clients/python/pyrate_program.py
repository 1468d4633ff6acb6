"""FHIR-PYrate at work: searches to data frames, windows of time, one query a row, FHIRPath columns.

Run with the FHIR base URL; exits 0 when everything that it is used for worked.
"""

from __future__ import annotations

import sys
import uuid

import pandas
import requests
from fhir_pyrate import Pirate

RUN = uuid.uuid4().hex[:12]
TAG = {"system": "urn:pyrate", "code": RUN}


def fill(base: str) -> None:
    entries = []
    for n in range(7):
        patient = {
            "resourceType": "Patient",
            "meta": {"tag": [TAG]},
            "name": [{"family": f"Pirate{n}"}],
            "birthDate": f"199{n}-02-03",
            "identifier": [{"system": "urn:pyrate", "value": f"{RUN}-{n}"}],
        }
        uuid_url = f"urn:uuid:{uuid.uuid4()}"
        entries.append(
            {
                "fullUrl": uuid_url,
                "resource": patient,
                "request": {"method": "POST", "url": "Patient"},
            }
        )
        for month in range(1, 7):
            observation = {
                "resourceType": "Observation",
                "meta": {"tag": [TAG]},
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]},
                "subject": {"reference": uuid_url},
                "effectiveDateTime": f"2021-0{month}-1{n}T10:30:00+01:00",
                "valueQuantity": {"value": 90 + n, "unit": "mg/dL"},
            }
            entries.append(
                {"resource": observation, "request": {"method": "POST", "url": "Observation"}}
            )
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = requests.post(base, json=bundle, timeout=60)
    assert answer.status_code == 200, answer.text[:500]


def main(base: str) -> None:
    fill(base)
    tag = f"{TAG['system']}|{TAG['code']}"
    with Pirate(auth=None, base_url=base, num_processes=1, default_count=10) as pirate:
        assert pirate.get_bundle_total("Observation", {"_tag": tag}) == 42
        bundles = pirate.steal_bundles("Observation", {"_tag": tag})
        frame = pirate.bundles_to_dataframe(
            bundles,
            fhir_paths=[
                ("observation", "id"),
                ("patient", "subject.reference"),
                ("value", "valueQuantity.value"),
                ("when", "effectiveDateTime"),
            ],
        )
        assert len(frame) == 42 and frame["observation"].nunique() == 42, len(frame)
        assert sorted(frame["value"].unique()) == [90 + n for n in range(7)]

        windows = pirate.sail_through_search_space_to_dataframe(
            resource_type="Observation",
            request_params={"_tag": tag, "_sort": "_id"},
            time_attribute_name="date",
            date_init="2021-01-01",
            date_end="2021-04-01",
            fhir_paths=["id", "effectiveDateTime"],
        )
        assert len(windows) == 21 and windows["id"].nunique() == 21, len(windows)

        patients = pirate.steal_bundles_to_dataframe(
            "Patient",
            {"_tag": tag, "_sort": "-birthdate", "_count": 3},
            fhir_paths=[("patient_id", "id"), ("family", "name.family")],
        )
        assert list(patients["family"]) == [f"Pirate{n}" for n in range(6, -1, -1)]
        rows = pirate.trade_rows_for_dataframe(
            df=pandas.DataFrame({"patient_id": patients["patient_id"][:3]}),
            resource_type="Observation",
            request_params={"_sort": "-date", "_count": 1},
            df_constraints={"subject": "patient_id"},
            fhir_paths=["id", "effectiveDateTime", "subject.reference"],
            num_pages=1,
        )
        assert len(rows) == 3, rows
        assert set(rows["effectiveDateTime"].str[:7]) == {"2021-06"}


if __name__ == "__main__":
    main(sys.argv[1])
