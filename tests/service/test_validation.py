"""Validation levels, default profiles, `$validate`, and packages, through the REST surface.

https://hl7.org/fhir/R4/validation.html, https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from schemas.parse import canonical_bytes, parse_json
from service import cli
from service.app import create_app
from service.settings import load_settings
from storage.lake import Lake

Json = dict[str, Any]
FHIR = {"Content-Type": "application/fhir+json"}
PROFILE = "http://example.org/StructureDefinition/born"
TAG = "https://chartlake.org/fhir/CodeSystem/validation|invalid"
ISSUES = "Chartlake-Validation-Issues"
BORN: Json = {
    "resourceType": "StructureDefinition",
    "id": "born",
    "url": PROFILE,
    "name": "Born",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {
        "element": [
            {"id": "Patient", "path": "Patient"},
            {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1},
        ]
    },
}
CLAIM: Json = {"resourceType": "Patient", "meta": {"profile": [PROFILE]}}

Open = Callable[..., TestClient]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens applications over new lakes, with settings."""
    with ExitStack() as stack:

        def make(**settings: Any) -> TestClient:
            lake = Lake.open(tmp_path / f"lake{len(os.listdir(tmp_path))}")
            stack.callback(lake.close, flush=False)
            app = create_app(lake, load_settings({"nlp": False, **settings}, environ={}))
            client = TestClient(app, base_url="http://localhost", headers=FHIR)
            return stack.enter_context(client)

        yield make


def put(client: TestClient, resource: Json, status: int = 201, **headers: str) -> Any:
    address = f"/fhir/{resource['resourceType']}/{resource['id']}"
    body = canonical_bytes(resource)
    response = client.put(address, content=body, headers={**FHIR, **headers})
    assert response.status_code == status, response.text
    return response


def found(response: Any) -> list[tuple[str, str]]:
    issues = response.json()["issue"]
    return [(one["severity"], one.get("expression", [""])[0]) for one in issues]


def test_strict_refuses_what_breaks_a_profile_it_claims(opened: Open) -> None:
    client = opened()
    patient = {**CLAIM, "id": "p"}
    response = put(client, patient, Prefer="return=OperationOutcome")
    assert found(response) == [("warning", "Patient")]  # Nobody knows the profile yet.
    put(client, BORN)
    response = put(client, patient, 422)
    assert found(response) == [("error", "Patient.birthDate")]
    assert PROFILE in response.json()["issue"][0]["diagnostics"]
    response = put(client, {**patient, "birthDate": "2000"}, 200, Prefer="return=OperationOutcome")
    assert found(response) == [("information", "")]
    assert ISSUES not in response.headers
    put(client, {**BORN, "differential": {"element": BORN["differential"]["element"][:1]}}, 200)
    put(client, patient, 200)


def test_structure_only_looks_at_no_profile(opened: Open) -> None:
    client = opened(validation="structure-only")
    put(client, BORN)
    put(client, {**CLAIM, "id": "p"})
    put(client, {**CLAIM, "id": "q", "birthDate": "soon"}, 422)


def test_minimal_stores_and_marks_what_is_invalid(opened: Open) -> None:
    client = opened(validation="minimal")
    put(client, BORN)
    patient = {**CLAIM, "id": "p", "birthDate": 7, "name": "x"}
    response = put(client, patient, Prefer="return=OperationOutcome")
    assert response.headers[ISSUES] == "true"
    places = [place for severity, place in found(response) if severity == "warning"]
    assert places == ["", "Patient.birthDate", "Patient.name"]
    assert put(client, {**CLAIM, "id": "q"}).headers[ISSUES] == "true"
    marked = client.get("/fhir/Patient", params={"_tag": TAG, "_sort": "_id"}).json()
    assert [entry["resource"]["id"] for entry in marked["entry"]] == ["p", "q"]
    # What is sent is stored; the tag is the server's own.
    stored = client.get("/fhir/Patient/p").json()
    assert (stored["birthDate"], stored["name"]) == (7, "x")
    mended = {**stored, "birthDate": "2000", "name": [{"text": "x"}]}
    response = put(client, mended, 200)
    assert ISSUES not in response.headers
    assert "tag" not in response.json()["meta"]
    assert client.get("/fhir/Patient", params={"_tag": TAG}).json()["total"] == 1


def test_minimal_refuses_what_it_could_not_mark_or_address(opened: Open) -> None:
    client = opened(validation="minimal")
    for bad in ({"meta": "x"}, {"meta": {"tag": {}}}):
        body = {"resourceType": "Patient", "name": "x", **bad}
        response = client.post("/fhir/Patient", content=json.dumps(body))
        assert response.status_code == 422, bad
    assert client.post("/fhir/Patient", content=b'{"resourceType":"Patien"}').status_code == 400
    assert client.get("/fhir/Patient").json()["total"] == 0


@pytest.mark.parametrize(
    "note",
    [
        {"subject": [], "content": "x"},
        {"subject": {"reference": 5}, "content": [{"attachment": {"data": 5}}]},
        {"status": {"x": 1}, "docStatus": [], "date": 5, "context": "x"},
    ],
)
def test_minimal_takes_malformed_notes(opened: Open, note: Json) -> None:
    client = opened(validation="minimal")
    response = put(client, {"resourceType": "DocumentReference", "id": "n", **note})
    assert response.headers[ISSUES] == "true"
    context = client.app.state.context  # type: ignore[attr-defined]
    assert context.enricher._source(context.lake.read("DocumentReference", "n")) is None


def test_in_bundles_the_entry_is_named(opened: Open) -> None:
    client = opened()
    put(client, BORN)
    entries = [
        {
            "resource": {**CLAIM, "birthDate": "2000"},
            "request": {"method": "POST", "url": "Patient"},
        },
        {"resource": CLAIM, "request": {"method": "POST", "url": "Patient"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    response = client.post("/fhir", content=canonical_bytes(bundle))
    assert response.status_code == 422
    assert found(response) == [("error", "Bundle.entry[1].resource.birthDate")]
    response = client.post("/fhir", content=canonical_bytes({**bundle, "type": "batch"}))
    statuses = [entry["response"]["status"][:3] for entry in response.json()["entry"]]
    assert statuses == ["201", "422"]
    # Warnings of what is valid are for who asks.
    unknown = {"resourceType": "Patient", "meta": {"profile": ["http://x.org/unknown"]}}
    entries[1] = {"resource": unknown, "request": {"method": "POST", "url": "Patient"}}
    for prefer, told in (("return=minimal", False), ("return=OperationOutcome", True)):
        body = canonical_bytes(bundle)
        response = client.post("/fhir", content=body, headers={"Prefer": prefer})
        outcomes = ["outcome" in entry["response"] for entry in response.json()["entry"]]
        assert outcomes[1] is told
    # Resources in a Bundle that is stored as such are held to their claims too.
    document = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": CLAIM}]}
    response = client.post("/fhir/Bundle", content=canonical_bytes(document))
    assert found(response) == [("error", "Bundle.entry[0].resource.birthDate")]


def test_default_profiles_hold_for_what_claims_none(opened: Open) -> None:
    other = "http://example.org/StructureDefinition/named"
    client = opened(default_profiles=f"{PROFILE} {other}")
    named = json.loads(json.dumps(BORN).replace("birthDate", "name").replace("/born", "/named"))
    put(client, BORN)
    put(client, {**named, "id": "named"})
    put(client, {"resourceType": "Patient", "id": "a", "birthDate": "2000"})
    put(client, {"resourceType": "Patient", "id": "b", "name": [{"text": "x"}]})
    put(client, {"resourceType": "Patient", "id": "c", "gender": "male"}, 422)
    unknown = {"meta": {"profile": ["http://x.org/unknown"]}, "gender": "male"}
    put(client, {"resourceType": "Patient", "id": "d", **unknown}, 422)
    put(
        client, {"resourceType": "Observation", "id": "e", "status": "final", "code": {"text": "x"}}
    )


def test_extensions_are_held_to_their_definitions(opened: Open) -> None:
    client = opened()
    reason = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    good = {"resourceType": "Patient", "_gender": {"extension": [{"url": reason,
            "valueCode": "unknown"}]}}  # fmt: skip
    put(client, {**good, "id": "a"})
    bad = {**good, "_gender": {"extension": [{"url": reason, "valueString": "unknown"}]}}
    response = put(client, {**bad, "id": "b"}, 422)
    assert found(response)[0] == ("error", "Patient._gender.extension[0].valueString")


class TestValidateOperation:
    """`$validate`: 200 and an outcome when something was validated, 4xx when nothing could be."""

    @pytest.fixture
    def client(self, opened: Open) -> TestClient:
        client = opened()
        put(client, BORN)
        put(client, {"resourceType": "Patient", "id": "p", "gender": "male"})
        return client

    @staticmethod
    def asked(client: TestClient, address: str, body: Json | None) -> list[tuple[str, str]]:
        content = canonical_bytes(body) if body is not None else b""
        response = client.post(f"/fhir/{address}", content=content)
        assert response.status_code == 200, response.text
        return found(response)

    def test_a_resource(self, client: TestClient) -> None:
        good = {"resourceType": "Patient", "birthDate": "2000"}
        assert self.asked(client, "Patient/$validate", good) == [("information", "")]
        assert self.asked(client, "Patient/$validate", CLAIM) == [("error", "Patient.birthDate")]
        wrong = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
        assert self.asked(client, "Patient/$validate", wrong)[0][0] == "error"
        assert client.get("/fhir/Patient").json()["total"] == 1

    @pytest.mark.parametrize("value", ["valueUri", "valueCanonical"])
    def test_a_profile(self, client: TestClient, value: str) -> None:
        patient = {"resourceType": "Patient"}
        broken = [("error", "Patient.birthDate")]
        assert self.asked(client, f"Patient/$validate?profile={PROFILE}", patient) == broken
        parameters = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "resource", "resource": patient},
                {"name": "profile", value: PROFILE},
                {"name": "mode", "valueCode": "create"},
            ],
        }
        assert self.asked(client, "Patient/$validate", parameters) == broken
        unknown = self.asked(client, "Patient/$validate?profile=http://x.org/none", patient)
        assert unknown[0] == ("error", "profile")

    def test_a_stored_resource(self, client: TestClient) -> None:
        response = client.get("/fhir/Patient/p/$validate")
        assert (response.status_code, found(response)) == (200, [("information", "")])
        response = client.get("/fhir/Patient/p/$validate", params={"profile": PROFILE})
        assert found(response) == [("error", "Patient.birthDate")]
        profile = {"mode": "profile", "profile": PROFILE}
        response = client.post("/fhir/Patient/p/$validate", params=profile)
        assert found(response) == [("error", "Patient.birthDate")]
        assert client.get("/fhir/Patient/none/$validate").status_code == 404

    def test_an_update(self, client: TestClient) -> None:
        one = {"resourceType": "Patient", "id": "p"}
        assert self.asked(client, "Patient/p/$validate", one) == [("information", "")]
        assert self.asked(client, "Patient/q/$validate", one) == [("error", "Patient.id")]
        bare = {"resourceType": "Patient"}
        assert self.asked(client, "Patient/p/$validate", bare) == [("error", "Patient.id")]
        update = "Patient/$validate?mode=update"
        assert self.asked(client, update, bare) == [("error", "Patient.id")]

    def test_a_delete(self, client: TestClient) -> None:
        address = "/fhir/Patient/p/$validate?mode=delete"
        assert found(client.post(address)) == [("information", "")]
        assert found(client.get(address)) == [("information", "")]
        assert client.post("/fhir/Patient/none/$validate?mode=delete").status_code == 404

    def test_what_cannot_be_used(self, client: TestClient) -> None:
        for address, body in (
            ("Patient/$validate", b""),
            ("Patient/$validate", b"{"),
            ("Patient/$validate", b'{"resourceType":"Parameters"}'),
            ("Patient/$validate?mode=guess", b'{"resourceType":"Patient"}'),
            ("Patient/$validate?mode=delete", b'{"resourceType":"Patient"}'),
            ("Patient/$validate?mode=profile", b'{"resourceType":"Patient"}'),
            ("Patient/p/$validate?mode=profile", b'{"resourceType":"Patient"}'),
            ("Patient/$validate?mode=create&mode=update", b'{"resourceType":"Patient"}'),
        ):
            response = client.post(f"/fhir/{address}", content=body)
            assert response.status_code == 400, address
            assert response.json()["resourceType"] == "OperationOutcome"


def test_a_package_is_imported_without_what_is_no_content_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "package"
    (package / "example").mkdir(parents=True)
    (package / "package.json").write_text('{"name":"a.b","version":"1","fhirVersions":["4.0.1"]}')
    (package / ".index.json").write_text('{"files":[]}')
    (package / "example" / "Patient-x.json").write_bytes(canonical_bytes({**CLAIM, "id": "x"}))
    (package / "StructureDefinition-born.json").write_bytes(canonical_bytes(BORN))
    data = ["--data", str(tmp_path / "lake")]
    assert cli.main(["import", str(package), *data]) == 0
    said = capsys.readouterr()
    assert "a.b 1: left out .index.json, example/, package.json" in said.err
    assert "1 stored, 0 refused" in said.out
    assert cli.main(["import", str(package / "example"), *data]) == 1
    assert "Patient.birthDate" in capsys.readouterr().err


def test_import_at_minimal_counts_what_is_invalid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARTLAKE_VALIDATION", "minimal")
    (tmp_path / "a.ndjson").write_text(
        '{"resourceType":"Patient","id":"a"}\n{"resourceType":"Patient","id":"b","name":5}\n'
    )
    assert cli.main(["import", str(tmp_path), "--data", str(tmp_path / "lake")]) == 0
    assert "2 stored (1 of them although invalid), 0 refused" in capsys.readouterr().out


def test_us_core_from_its_package(opened: Open) -> None:
    """Examples stored beside the package's definitions keep to them, terminology included."""
    path = Path(os.environ.get("CHARTLAKE_DATA", "")) / "conformance/us-core/us_core_610.tgz"
    if not os.environ.get("CHARTLAKE_DATA") or not path.is_file():
        pytest.skip("CHARTLAKE_DATA does not name a folder with conformance/us-core")
    client = opened()
    wanted = ("StructureDefinition-us-core-patient", "StructureDefinition-us-core-race",
              "StructureDefinition-us-core-birthsex", "ValueSet-omb-race", "ValueSet-birthsex",
              "CodeSystem-cdcrec")  # fmt: skip
    with tarfile.open(path) as package:
        for member in package:
            folder, _, name = member.name.rpartition("/")
            file = package.extractfile(member)
            if file is not None and folder == "package" and name.startswith(wanted):
                put(client, parse_json(file.read()))
            elif file is not None and name == "Patient-example.json":
                patient = parse_json(file.read())
    put(client, patient)
    without = {key: value for key, value in patient.items() if key != "identifier"}
    assert ("error", "Patient.identifier") in found(put(client, without, 422))
    # Its value sets refer to those of VSAC: what is not here cannot be told, and that is said.
    wrong = parse_json(canonical_bytes(patient).replace(b'"valueCode":"F"', b'"valueCode":"Q"'))
    response = put(client, wrong, 200, Prefer="return=OperationOutcome")
    assert ("warning", "Patient.extension[3].valueCode") in found(response)
    for id, codes in (("1", "MF"), ("1021.103", ["UNK"])):
        oid = f"2.16.840.1.113762.1.4.{id}"
        include = [{"system": f"urn:{id}", "concept": [{"code": code} for code in codes]}]
        value_set = {"resourceType": "ValueSet", "id": oid, "status": "active",
                     "url": f"http://cts.nlm.nih.gov/fhir/ValueSet/{oid}"}  # fmt: skip
        put(client, {**value_set, "compose": {"include": include}})
    assert found(put(client, wrong, 422))[0] == ("error", "Patient.extension[3].valueCode")
    put(client, patient, 200)


class TestReferenceIntegrity:
    """`reference_integrity = existing`."""

    @pytest.fixture
    def client(self, opened: Open) -> TestClient:
        client = opened(reference_integrity="existing")
        put(client, {"resourceType": "Patient", "id": "p"})
        return client

    @staticmethod
    def observation(patient: str = "Patient/p", **more: Any) -> Json:
        about = {"subject": {"reference": patient}, "code": {"text": "x"}}
        return {"resourceType": "Observation", "id": "o", "status": "final", **about, **more}

    def test_references_lead_somewhere(self, client: TestClient) -> None:
        put(client, self.observation())
        response = put(client, self.observation("Patient/none"), 422)
        assert found(response) == [("error", "Observation.subject.reference")]
        elsewhere = {"performer": [{"reference": "http://x.org/Practitioner/1"},
                                   {"reference": "urn:uuid:0b4dc9f4-59ea-4ca9-9b4c-3c1d5d1d8f10"},
                                   {"identifier": {"value": "1"}}]}  # fmt: skip
        put(client, self.observation(**elsewhere), 200)
        collection = {"type": "collection", "entry": [{"resource": self.observation("Patient/x")}]}
        put(client, {"resourceType": "Bundle", "id": "b", **collection})
        asked = "/fhir/Observation/$validate?mode=create"
        body = canonical_bytes(self.observation("Patient/none"))
        assert found(client.post(asked, content=body))[0][0] == "error"

    def test_within_a_transaction(self, client: TestClient) -> None:
        def entry(method: str, url: str, resource: Json | None = None) -> Json:
            body = {"resource": resource} if resource else {}
            return {**body, "request": {"method": method, "url": url}}

        def sent(*entries: Json) -> Any:
            body = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
            return client.post("/fhir", content=canonical_bytes(body))

        new = {"resourceType": "Patient", "id": "new"}
        observation = entry("PUT", "Observation/o", self.observation("Patient/new"))
        assert found(sent(observation)) == [("error", "Bundle.entry[0].resource.subject.reference")]
        assert sent(observation, entry("PUT", "Patient/new", new)).status_code == 200
        assert sent(entry("DELETE", "Patient/new")).status_code == 409
        assert sent(entry("DELETE", "Patient/new"), observation).status_code == 422
        both = (entry("DELETE", "Patient/new"), entry("DELETE", "Observation/o"))
        assert sent(*both).status_code == 200

    def test_what_is_referred_to_is_not_deleted(self, client: TestClient) -> None:
        put(client, self.observation())
        asked = "/fhir/Patient/p/$validate?mode=delete"
        assert found(client.get(asked))[0][0] == "error"
        response = client.delete("/fhir/Patient/p")
        assert response.status_code == 409
        assert "Observation/o (" in response.json()["issue"][0]["diagnostics"]
        assert client.delete("/fhir/Observation/o").status_code == 204
        assert client.delete("/fhir/Patient/p").status_code == 204
        put(client, self.observation(), 422)

    def test_a_reference_and_a_deletion_at_once(self, client: TestClient) -> None:
        for number in range(6):
            id = f"p{number}"
            put(client, {"resourceType": "Patient", "id": id})
            observation = {**self.observation(f"Patient/{id}"), "id": f"o{number}"}
            with ThreadPoolExecutor(2) as pool:
                stored = pool.submit(
                    client.put,
                    f"/fhir/Observation/o{number}",
                    content=canonical_bytes(observation),
                )
                deleted = pool.submit(client.delete, f"/fhir/Patient/{id}")
            statuses = stored.result().status_code, deleted.result().status_code
            assert statuses in ((201, 409), (422, 204))

    def test_off_looks_at_neither(self, opened: Open) -> None:
        client = opened()
        put(client, self.observation("Patient/none"))
        put(client, {"resourceType": "Patient", "id": "p"})
        put(client, self.observation(), 200)
        assert client.delete("/fhir/Patient/p").status_code == 204

    def test_many_at_once(self, client: TestClient) -> None:
        put(client, self.observation())
        put(client, {"resourceType": "Patient", "id": "alone"})
        asked = client.post("/fhir/Patient/$bulk-delete", content=b"")
        assert asked.status_code == 202, asked.text
        job = asked.headers["content-location"].removeprefix("http://localhost")
        deadline = time.monotonic() + 20
        while (state := client.get(job)).status_code == 202 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "Observation/o" in state.text
        left = client.get("/fhir/Patient").json()["entry"]
        assert [entry["resource"]["id"] for entry in left] == ["p"]
