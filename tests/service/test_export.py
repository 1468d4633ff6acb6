"""`$export`: what comes out is what a plain loop over the lake gives, for who asked alone."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from schemas.compartments import patient_ids
from service.app import create_app
from service.auth import new_token
from service.bulk_export import exports as exports_module
from service.bulk_export.exports import EXPORT, Exports
from service.jobs import Interrupted, Postponed
from service.settings import load_settings
from storage.bulk_export import content, output
from storage.lake import Delete, Lake, Put

FHIR = {"content-type": "application/fhir+json"}
Resource = dict[str, Any]


def reference(text: str) -> Resource:
    return {"reference": text}


def patient(id: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id, "gender": "female", **more}


def observation(id: str, subject: str, code: str = "x", **more: Any) -> Resource:
    coding = {"coding": [{"system": "urn:c", "code": code}]}
    found = {"resourceType": "Observation", "id": id, "status": "final", "code": coding}
    return {**found, "subject": reference(subject), **more}


def provenance(id: str, target: str, recorded: str) -> Resource:
    return {
        "resourceType": "Provenance",
        "id": id,
        "target": [reference(target)],
        "recorded": recorded,
        "agent": [{"who": reference("Organization/o")}],
    }


RESOURCES: list[Resource] = [
    *(patient(f"p{n}", name=[{"family": f"Bluebottle{n}"}]) for n in range(5)),
    *(observation(f"o{n}", f"Patient/p{n % 5}", "xy"[n % 2]) for n in range(30)),
    # In the compartment of p1 as well, though it is p0's.
    observation("shared", "Patient/p0", performer=[reference("Patient/p1")]),
    observation("nobodys", "Group/g"),
    {
        "resourceType": "Encounter",
        "id": "e",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": reference("Patient/p1"),
        "serviceProvider": reference("Organization/o"),
        "participant": [{"individual": reference("Practitioner/dr")}],
    },
    {
        "resourceType": "Organization",
        "id": "o",
        "name": "O",
        "partOf": reference("Organization/up"),
    },
    {"resourceType": "Organization", "id": "up", "name": "Up"},
    {"resourceType": "Organization", "id": "other", "name": "Not referred to"},
    {"resourceType": "Practitioner", "id": "dr", "name": [{"family": "D"}]},
    {"resourceType": "ValueSet", "id": "vs", "status": "active"},
    {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "subject": reference("Patient/p2"),
        "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/b"}}],
    },
    provenance("pr1", "Observation/o1", "2024-01-01T00:00:00Z"),
    provenance("pr2", "Observation/o1", "2024-01-01T02:00:00+04:00"),
    provenance("pr3", "Observation/o2", "2024-02-01T00:00:00Z"),
    provenance("pr4", "ValueSet/vs", "2024-02-01T00:00:00Z"),
    {
        "resourceType": "Group",
        "id": "g",
        "type": "person",
        "actual": True,
        "member": [
            {"entity": reference("Patient/p1")},
            {"entity": reference("Patient/p2"), "inactive": True},
            {"entity": reference("Patient/p3"), "period": {"end": "2001-01-01"}},
            {"entity": reference("Group/inner")},
        ],
    },
    {
        "resourceType": "Group",
        "id": "inner",
        "type": "person",
        "actual": True,
        "member": [{"entity": reference("Patient/p4")}, {"entity": reference("Group/g")}],
    },
]
MEMBERS = {"p1", "p4"}


class Http:
    """Exports as a client sees them."""

    def __init__(self, client: TestClient, lake: Lake) -> None:
        self.client, self.lake = client, lake

    def begin(self, url: str, status: int = 202, **more: Any) -> Any:
        method = "POST" if "json" in more else "GET"
        answer = self.client.request(method, url, **more)
        assert answer.status_code == status, answer.text
        return answer.headers.get("content-location") or answer.json()

    def manifest(self, url: str, **more: Any) -> Resource:
        place = self.begin(url, **more)
        deadline = time.monotonic() + 30
        while (answer := self.client.get(place)).status_code == 202:
            assert answer.headers["retry-after"]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["expires"].endswith("GMT")
        return dict(answer.json())

    def lines(self, entry: Resource) -> list[Resource]:
        answer = self.client.get(entry["url"])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/fhir+ndjson"
        found = [json.loads(line) for line in answer.content.splitlines()]
        resources = [one for one in found if one["resourceType"] != "Parameters"]
        assert len(resources) == entry["count"]
        if "type" in entry:
            assert {one["resourceType"] for one in found} == {entry["type"]}
        return found

    def exported(self, url: str, **more: Any) -> set[str]:
        """`Type/id` of all that is in the output, each once."""
        found = [
            f"{line['resourceType']}/{line['id']}"
            for entry in self.manifest(url, **more)["output"]
            for line in self.lines(entry)
        ]
        assert len(found) == len(set(found))
        return set(found)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """A lake with resources in segments, in the hot tier, changed and deleted; read only."""
    with Lake.open(tmp_path_factory.mktemp("export") / "lake") as lake:
        lake.transact([Put(patient("gone")), Put(observation("o0", "Patient/p4", "old"))])
        lake.transact([Put(one) for one in RESOURCES[:20]])
        lake.flush()
        lake.transact([Put(one) for one in RESOURCES[20:]])
        lake.transact([Delete("Patient", "gone")])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        with TestClient(app, base_url="http://localhost") as client:
            yield Http(client, lake)


@pytest.fixture(params=["by type", "by patient"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to the records of some patients."""
    if request.param == "by type":
        monkeypatch.setattr(content, "FEW_PATIENTS", 0)
    return str(request.param)


def keys(resources: list[Resource]) -> set[str]:
    return {f"{one['resourceType']}/{one['id']}" for one in resources}


def records_of(patients: set[str]) -> set[str]:
    """What a plain loop puts into the records, with all that they refer to."""
    own = [one for one in RESOURCES if patients & set(patient_ids(one))]
    found = keys(own)
    found |= {
        f"Provenance/{one['id']}"
        for one in RESOURCES
        if one["resourceType"] == "Provenance" and one["target"][0]["reference"] in found
    }
    if "Encounter/e" in found:
        found |= {"Organization/o", "Organization/up", "Practitioner/dr"}
    return found


def test_everything(http: Http) -> None:
    assert http.exported("/fhir/$export") == keys(RESOURCES)


def test_all_patients(http: Http) -> None:
    assert http.exported("/fhir/Patient/$export") == records_of({f"p{n}" for n in range(5)})


def test_a_group_has_its_current_members_and_those_of_its_groups(http: Http, way: str) -> None:
    assert http.exported("/fhir/Group/g/$export") == records_of(MEMBERS)


@pytest.mark.parametrize("named", [["p1"], ["p0", "p2"]])
def test_named_patients(http: Http, way: str, named: list[str]) -> None:
    parts = [{"name": "patient", "valueReference": reference(f"Patient/{id}")} for id in named]
    body = {"resourceType": "Parameters", "parameter": parts}
    found = http.exported("/fhir/Patient/$export", json=body, headers=FHIR)
    assert found == records_of(set(named))


def test_patients_who_are_not_there_or_no_members_are_told(http: Http) -> None:
    for id, url in (("nobody", "/fhir/Patient/$export"), ("p2", "/fhir/Group/g/$export")):
        part = {"name": "patient", "valueReference": reference(f"Patient/{id}")}
        body = {"resourceType": "Parameters", "parameter": [part]}
        refused = http.begin(url, 400, json=body, headers=FHIR)
        assert refused["issue"][0]["expression"] == ["patient"]


def test_types_separated_by_commas_or_repeated(http: Http) -> None:
    expected = {key for key in keys(RESOURCES) if key.startswith(("Patient/", "Encounter/"))}
    assert http.exported("/fhir/$export?_type=Patient,Encounter") == expected
    assert http.exported("/fhir/$export?_type=Patient&_type=Encounter") == expected
    parts = [{"name": "_type", "valueString": name} for name in ("Patient", "Encounter")]
    body = {"resourceType": "Parameters", "parameter": parts}
    assert http.exported("/fhir/$export", json=body, headers=FHIR) == expected


def test_type_filters_are_alternatives_of_their_type(http: Http, way: str) -> None:
    query = "_type=Observation,Patient&_typeFilter=Observation%3Fcode%3Dy%26status%3Dfinal"
    y = {f"Observation/o{n}" for n in range(1, 30, 2)}
    patients = {f"Patient/p{n}" for n in range(5)}
    assert http.exported(f"/fhir/Patient/$export?{query}") == y | patients
    more = query + ",Observation%3F_id%3Do2,o4"
    assert http.exported(f"/fhir/Patient/$export?{more}") == (
        y | patients | {"Observation/o2", "Observation/o4"}
    )
    of_group = {key for key in y if int(key[13:]) % 5 in (1, 4)}
    assert http.exported(f"/fhir/Group/g/$export?{query}") == of_group | {
        "Patient/p1",
        "Patient/p4",
    }


def test_elements_leave_what_is_mandatory_and_say_so(http: Http) -> None:
    made = http.manifest("/fhir/$export?_type=Patient,Observation&_elements=Patient.gender,code")
    for entry in made["output"]:
        for line in http.lines(entry):
            assert line["meta"]["tag"][0]["code"] == "SUBSETTED"
            kept = {"resourceType", "id", "meta"}
            more = {"gender"} if entry["type"] == "Patient" else {"status", "code"}
            assert set(line) == kept | more


def test_provenance_that_is_asked_for(http: Http, way: str) -> None:
    base = "/fhir/Patient/$export?_type=Observation&includeAssociatedData="
    found = http.exported(base + "RelevantProvenanceResources")
    assert {key for key in found if key[0] == "P"} == {f"Provenance/pr{n}" for n in (1, 2, 3)}
    latest = http.exported(base + "LatestProvenanceResources")
    assert {key for key in latest if key[0] == "P"} == {"Provenance/pr1", "Provenance/pr3"}
    assert not any(
        key.startswith("Provenance") for key in http.exported("/fhir/Patient/$export?_type=Patient")
    )


def test_output_by_patient(http: Http) -> None:
    made = http.manifest("/fhir/Group/g/$export?organizeOutputBy=Patient")
    assert made["outputOrganizedBy"] == "Patient"
    (entry,) = made["output"]
    assert "type" not in entry
    records: dict[str, set[str]] = {}
    for line in http.lines(entry):
        if line["resourceType"] == "Parameters":
            (header,) = line["parameter"]
            assert header["name"] == "header"
            current = records.setdefault(header["valueReference"]["reference"], set())
        else:
            current.add(f"{line['resourceType']}/{line['id']}")
    supporting = {"Organization/o", "Organization/up", "Practitioner/dr"}
    assert records == {f"Patient/{id}": records_of({id}) - supporting for id in MEMBERS}


def test_parquet_has_the_columns_of_the_view(http: Http) -> None:
    made = http.manifest("/fhir/$export?_outputFormat=parquet&_type=Observation,ValueSet")
    tables = {}
    for entry in made["output"]:
        answer = http.client.get(entry["url"])
        assert answer.headers["content-type"] == "application/vnd.apache.parquet"
        tables[entry["type"]] = pq.read_table(io.BytesIO(answer.content))
        assert tables[entry["type"]].num_rows == entry["count"]
    rows = tables["Observation"].to_pylist()
    expected = {one["id"]: one for one in RESOURCES if one["resourceType"] == "Observation"}
    assert {row["id"] for row in rows} == set(expected)
    for row in rows:
        assert row["code"] == expected[row["id"]]["code"]["coding"][0]["code"]
        assert json.loads(row["body"])["subject"] == expected[row["id"]]["subject"]
    assert tables["ValueSet"]["id"].to_pylist() == ["vs"]


def test_large_types_are_split_into_files(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MAX_FILE_BYTES", 100)
    made = http.manifest("/fhir/Group/g/$export?_type=Observation")
    assert len(made["output"]) > 3
    found = [line["id"] for entry in made["output"] for line in http.lines(entry)]
    assert len(found) == len(set(found)) == 13


def test_attachments_have_absolute_addresses(http: Http) -> None:
    made = http.manifest("/fhir/$export?_type=DocumentReference")
    (line,) = http.lines(made["output"][0])
    assert line["content"][0]["attachment"]["url"] == "http://localhost/fhir/Binary/b"


def test_manifest_suits_both_kinds_of_client(http: Http) -> None:
    made = http.manifest("/fhir/Patient/$export?_type=Patient")
    assert made["request"] == "http://localhost/fhir/Patient/$export?_type=Patient"
    assert made["requiresAccessToken"] is False
    assert made["error"] == made["outcome"] == []
    assert datetime.fromisoformat(made["transactionTime"]) <= datetime.now(UTC)
    lenient = {"prefer": "respond-async, handling=lenient"}
    made = http.manifest("/fhir/Patient/$export?_type=Patient,ValueSet&_x=1", headers=lenient)
    assert [entry["type"] for entry in made["output"]] == ["Patient"]
    assert made["error"] == made["outcome"]
    told = [line["issue"][0]["diagnostics"] for line in http.lines(made["error"][0])]
    assert any("_x" in text for text in told) and any("ValueSet" in text for text in told)


@pytest.mark.parametrize(
    ("url", "status", "names"),
    [
        ("$export?_type=Nonsense", 400, "_type"),
        ("Patient/$export?_type=ValueSet", 400, "_type"),
        ("$export?_x=1", 400, "_x"),
        ("$export?_outputFormat=csv", 400, "_outputFormat"),
        ("$export?_since=yesterday", 400, "_since"),
        ("$export?_until=2024", 400, "_until"),
        ("$export?_typeFilter=Observation%3Fnonsense%3D1", 400, "nonsense"),
        ("$export?_typeFilter=Observation%3F_sort%3Ddate", 400, "_typeFilter"),
        ("$export?_typeFilter=status%3Dfinal", 400, "_typeFilter"),
        ("$export?_type=Patient&_typeFilter=Observation%3Fcode%3Dx", 400, "_typeFilter"),
        ("$export?_elements=nonsense", 400, "_elements"),
        ("$export?patient=Patient/p1", 400, "patient"),
        ("$export?organizeOutputBy=Patient", 400, "organizeOutputBy"),
        ("Patient/$export?organizeOutputBy=Encounter", 400, "organizeOutputBy"),
        ("Patient/$export?includeAssociatedData=_all", 400, "includeAssociatedData"),
        ("$export?_outputFormat=parquet&_elements=id", 400, "_outputFormat"),
        ("$export?allowPartialManifests=maybe", 400, "allowPartialManifests"),
        ("Group/none/$export", 404, None),
        ("_export/none", 404, None),
        ("_export/none/Patient.1.ndjson", 404, None),
    ],
)
def test_bad_requests_say_which_parameter(
    http: Http, url: str, status: int, names: str | None
) -> None:
    refused = http.begin(f"/fhir/{url}", status)
    assert refused["resourceType"] == "OperationOutcome"
    if names is not None:
        assert names in refused["issue"][0]["expression"]


def test_capabilities(http: Http) -> None:
    statement = http.client.get("/fhir/metadata").json()
    assert any(url.endswith("CapabilityStatement/bulk-data") for url in statement["instantiates"])
    rest = statement["rest"][0]
    assert "export" in [one["name"] for one in rest["operation"]]
    for name in ("Patient", "Group"):
        (found,) = [one for one in rest["resource"] if one["type"] == name]
        assert "export" in [one["name"] for one in found["operation"]]


# What changes the lake, or needs one of its own


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Http]:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(one) for one in RESOURCES])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        with TestClient(app, base_url="http://localhost") as client:
            yield Http(client, lake)


def test_since_has_what_changed_and_what_was_deleted(own: Http) -> None:
    first = own.manifest("/fhir/$export")
    own.lake.flush()
    time.sleep(0.002)
    own.lake.transact([Delete("Observation", "o3"), Delete("Observation", "nobodys")])
    own.lake.transact([Put(observation("o4", "Patient/p4", "new")), Put(patient("p9"))])
    own.lake.transact([Delete("Patient", "p9")])
    since = first["transactionTime"]
    made = own.manifest(f"/fhir/$export?_since={since}")
    assert [line["id"] for entry in made["output"] for line in own.lines(entry)] == ["o4"]
    assert deleted(own, made) == {"Observation/o3", "Observation/nobodys", "Patient/p9"}
    of_patients = own.manifest(f"/fhir/Patient/$export?_since={since}&_type=Observation")
    assert deleted(own, of_patients) == {"Observation/o3"}
    until = own.manifest(f"/fhir/$export?_until={since}&_type=Observation")
    (entry,) = until["output"]
    assert {"o3", "o4", "nobodys"}.isdisjoint(line["id"] for line in own.lines(entry))


def deleted(http: Http, made: Resource) -> set[str]:
    found = set()
    for entry in made["deleted"]:
        for bundle in http.lines(entry):
            assert bundle["type"] == "transaction"
            for one in bundle["entry"]:
                assert one["request"]["method"] == "DELETE"
                found.add(one["request"]["url"])
    return found


def test_an_export_stays_on_its_commit(own: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    exports = Exports(own.lake, hours=1)
    request = own.client.app.state.context.exports  # type: ignore[attr-defined]
    monkeypatch.setattr(exports_module, "TURN_S", 0.0)
    place = own.begin("/fhir/$export?_type=Observation")
    own.lake.transact([Delete("Observation", "o1"), Put(observation("late", "Patient/p1"))])
    deadline = time.monotonic() + 20
    while (answer := own.client.get(place)).status_code == 202 and time.monotonic() < deadline:
        time.sleep(0.01)
    found = {line["id"] for entry in answer.json()["output"] for line in own.lines(entry)}
    assert "o1" in found and "late" not in found
    assert exports is not request


def test_deleting_cancels_or_removes(own: Http) -> None:
    place = own.begin("/fhir/$export")
    made = own.manifest("/fhir/$export?_type=Patient")
    folder = own.lake.folder.exports
    for url in (place, own.begin("/fhir/$export?_type=Patient")):
        while own.client.get(url).status_code == 202:
            time.sleep(0.01)
        assert own.client.delete(url).status_code == 202
        gone = own.client.get(url)
        assert gone.status_code == 404
        assert gone.json()["resourceType"] == "OperationOutcome"
        assert not (folder / url.rpartition("/")[2]).exists()
    assert own.lines(made["output"][0])


def test_erased_data_are_in_no_export(own: Http) -> None:
    made = own.manifest("/fhir/$export?_type=Patient")
    url = made["output"][0]["url"]
    assert own.client.get(url).status_code == 200
    own.lake.erase([("Patient", "p3")], reason="asked for")
    assert own.client.get(url).status_code == 404
    assert list(own.lake.folder.exports.iterdir()) == []
    again = own.manifest("/fhir/$export?_type=Patient")
    assert "p3" not in [line["id"] for line in own.lines(again["output"][0])]


def test_what_is_not_valid_is_exported_all_the_same(own: Http) -> None:
    """As the level `minimal` stores it."""
    late = {**provenance("late", "Observation/o4", ""), "recorded": "soon"}
    early = provenance("early", "Observation/o4", "")
    del early["recorded"]
    group = {"resourceType": "Group", "id": "odd", "member": [{"entity": "x"}, "Patient/p1"]}
    own.lake.transact([Put(late), Put(early), Put(group)])
    asked = "_type=Observation&includeAssociatedData=LatestProvenanceResources"
    assert "Provenance/late" in own.exported(f"/fhir/$export?{asked}")
    assert own.exported("/fhir/Group/odd/$export") == set()


def test_expired_exports_go(own: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    made = own.manifest("/fhir/$export?_type=Patient")
    place = made["output"][0]["url"].rpartition("/")[0]
    exports = own.client.app.state.context.exports  # type: ignore[attr-defined]
    monkeypatch.setattr(Exports, "expires", lambda _self, job: job.updated - timedelta(seconds=1))
    assert own.client.get(place).status_code == 404
    own.lake.jobs.add(EXPORT, {"t": 1, "agent": "local", "values": {}})
    (own.lake.folder.exports / "leftover").mkdir(parents=True)
    exports.sweep()
    assert list(own.lake.folder.exports.iterdir()) == []


def test_too_many_at_once_are_told_to_wait(own: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports_module, "MAX_UNFINISHED", 0)
    refused = own.client.get("/fhir/$export")
    assert refused.status_code == 429
    assert refused.headers["retry-after"]


def test_an_interrupted_export_begins_again(tmp_path: Path) -> None:
    """As after a kill: the new process has nothing but the job's row and a half-written file."""
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(one) for one in RESOURCES])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        client = TestClient(app, base_url="http://localhost")  # Its job runner is not started.
        place = client.get("/fhir/$export").headers["content-location"]
        id = place.rpartition("/")[2]
        first = Exports(lake, hours=1)
        with pytest.raises(Interrupted):
            first.handler().run(lake.jobs.get(id), lambda: True)
        second = Exports(lake, hours=1)
        turns = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exports_module, "TURN_S", 0.0)
            while True:
                try:
                    result = second.handler().run(lake.jobs.get(id), lambda: False)
                    break
                except Postponed:
                    turns += 1
        assert turns > 3
        assert sum(one["count"] for one in result["output"]) == len(RESOURCES)


@pytest.mark.parametrize("how", ["cancelled", "erased", "failed"])
def test_what_ends_an_export_between_two_turns_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(exports_module, "TURN_S", 0.0)
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(one) for one in RESOURCES])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        client = TestClient(app, base_url="http://localhost")  # Its job runner is not started.
        context = app.state.context
        place = client.get("/fhir/$export").headers["content-location"]
        id = place.rpartition("/")[2]
        for _ in range(3):
            context.jobs._one(id)
        assert lake.folder.exports.joinpath(id).exists()
        if how == "cancelled":
            assert client.delete(place).status_code == 202
        elif how == "erased":
            lake.erase([("Patient", "p3")], reason="asked for")
        else:

            def fails(*_: object) -> None:
                raise RuntimeError

            monkeypatch.setattr(content.Content, "_write", fails)
        turns = 0
        while not lake.jobs.get(id).is_finished or not turns:
            context.jobs._one(id)
            turns += 1
        assert turns < 10
        assert list(lake.folder.exports.iterdir()) == []
        assert context.exports._running == {}


def test_files_are_of_who_asked_and_encrypted(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    headers = [{"authorization": f"Bearer {new_token(name, tokens)}"} for name in ("one", "other")]
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(one) for one in RESOURCES])
        settings = load_settings({"nlp": False, "api_token_file": str(tokens)}, environ={})
        with TestClient(create_app(lake, settings), base_url="http://localhost") as client:
            http = Http(client, lake)
            client.headers.update(headers[0])
            made = http.manifest("/fhir/$export?_type=Patient")
            assert made["requiresAccessToken"] is True
            url = made["output"][0]["url"]
            place = url.rpartition("/")[0]
            assert client.get(url).status_code == 200
            for refused in (url, place):
                assert client.get(refused, headers=headers[1]).status_code == 404
                assert client.get(refused, headers={"authorization": ""}).status_code == 401
            assert client.delete(place, headers=headers[1]).status_code == 404
            job = place.replace("/_export/", "/_jobs/")
            for ask in (client.get, client.delete):
                assert ask(job, headers=headers[1]).status_code == 404
            assert client.get(url).status_code == 200
            events = client.get("/fhir/AuditEvent?subtype=export&_count=50").json()
            assert events["total"] >= 1
        for path in tmp_path.rglob("*"):
            if path.is_file():
                assert b"Bluebottle" not in path.read_bytes(), path


def test_a_service_that_only_reads_refuses(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(RESOURCES[0])])
        with Lake.open(tmp_path / "lake", read_only=True) as reader:
            app = create_app(reader, load_settings({"nlp": False}, environ={}))
            with TestClient(app, base_url="http://localhost") as client:
                assert client.get("/fhir/$export").status_code == 403
