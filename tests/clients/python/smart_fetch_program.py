"""smart-fetch (the exporter of Cumulus) at work: bulk export, of a group, and what is new since.

Run with the FHIR base URL; exits 0 when everything that it is used for worked.
"""

import gzip
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

base = sys.argv[1].rstrip("/")
program = Path(sys.executable).with_name("smart-fetch")


def post(resource):
    request = urllib.request.Request(
        f"{base}/{resource['resourceType']}",
        json.dumps(resource).encode(),
        {"Content-Type": "application/fhir+json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def fetch(*options):
    with tempfile.TemporaryDirectory() as folder:
        command = [str(program), "bulk", folder, "--fhir-url", f"{base}/", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found = {}
        for path in Path(folder).rglob("*.ndjson.gz"):
            for line in gzip.decompress(path.read_bytes()).splitlines():
                resource = json.loads(line)
                found[f"{resource['resourceType']}/{resource['id']}"] = resource
        return found


patients = [post({"resourceType": "Patient", "gender": "female"}) for _ in range(3)]
observations = [
    post(
        {
            "resourceType": "Observation",
            "status": "final",
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                            "code": "vital-signs",
                        }
                    ]
                }
            ],
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": f"Patient/{patient['id']}"},
        }
    )
    for patient in patients
]
members = [{"entity": {"reference": f"Patient/{patient['id']}"}} for patient in patients[:2]]
group = post({"resourceType": "Group", "type": "person", "actual": True, "member": members})

everything = fetch("--type", "Patient,Observation")
for resource in (*patients, *observations):
    assert everything[f"{resource['resourceType']}/{resource['id']}"] == resource

of_group = fetch("--type", "Patient,Observation", "--group", group["id"])
expected = {f"Patient/{p['id']}" for p in patients[:2]}
expected |= {f"Observation/{o['id']}" for o in observations[:2]}
assert set(of_group) == expected, set(of_group) ^ expected

late = post({"resourceType": "Patient", "gender": "male"})
since = fetch("--type", "Patient", "--since", observations[-1]["meta"]["lastUpdated"])
assert f"Patient/{late['id']}" in since
assert f"Patient/{patients[0]['id']}" not in since
