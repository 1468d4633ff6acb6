"""Every request and command leaves an audit event, and none of them holds PHI.

https://hl7.org/fhir/R4/auditevent.html, https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from schemas.outcomes import error
from schemas.validate import validate
from service.app import create_app
from service.auth import new_token
from service.cli import main
from service.settings import load_settings
from storage.audit import COLUMNS
from storage.lake import Lake

FHIR = {"Content-Type": "application/fhir+json"}
PATIENT = {"resourceType": "Patient", "name": [{"family": "Zyzzyva"}], "birthDate": "1951-02-03"}

Start = Callable[..., Any]


class Audited:
    """A service, and what its audit log says since it was looked at last."""

    def __init__(self, lake: Lake, http: TestClient) -> None:
        self.lake = lake
        self.http = http
        self.seen = lake.audit_head().n

    def events(self) -> list[dict[str, Any]]:
        found = []
        for n in range(self.seen + 1, self.lake.audit_head().n + 1):
            event = self.lake.read("AuditEvent", f"audit-{n}").resource()
            assert validate(event, "AuditEvent") == []
            found.append(event)
        self.seen += len(found)
        return found

    def event(self) -> dict[str, Any]:
        (event,) = self.events()
        return event

    def patient(self) -> str:
        id = str(self.http.post("/fhir/Patient", json=PATIENT, headers=FHIR).json()["id"])
        self.events()
        return id


def said(event: dict[str, Any]) -> tuple[str, str, str]:
    return event["subtype"][-1]["code"], event["action"], event["outcome"]


def references(event: dict[str, Any]) -> list[str]:
    found = [entity.get("what", {}).get("reference") for entity in event.get("entity", [])]
    return [reference for reference in found if reference]


def details(event: dict[str, Any], kind: str) -> list[str]:
    return [
        detail["valueString"]
        for entity in event.get("entity", [])
        for detail in entity.get("detail", [])
        if detail["type"] == kind
    ]


@contextmanager
def running(path: Path, **settings: Any) -> Iterator[Audited]:
    given = load_settings({"nlp": False, **settings}, environ={})
    with Lake.open(path) as lake, TestClient(create_app(lake, given)) as http:
        http.base_url = "http://localhost"  # type: ignore[assignment]
        yield Audited(lake, http)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    with running(tmp_path_factory.mktemp("audit") / "lake") as audited:
        yield audited


@pytest.fixture
def service(shared: Audited) -> Audited:
    shared.events()
    return shared


def test_a_resource_from_birth_to_death(service: Audited) -> None:
    http = service.http
    created = http.post("/fhir/Patient", json=PATIENT, headers=FHIR)
    id = created.json()["id"]
    event = service.event()
    assert said(event) == ("create", "C", "0")
    assert references(event) == [f"Patient/{id}/_history/1", f"Patient/{id}"]
    assert details(event, "commit") == [str(service.lake.t)]
    assert event["agent"][0]["altId"] == "local"
    request_id = created.headers["x-request-id"]
    assert {"identifier": {"value": request_id}} in [e.get("what") for e in event["entity"]]

    http.get(f"/fhir/Patient/{id}")
    assert said(event := service.event()) == ("read", "R", "0")
    assert references(event) == [f"Patient/{id}/_history/1", f"Patient/{id}"]
    http.put(f"/fhir/Patient/{id}", json={**PATIENT, "id": id}, headers=FHIR)
    assert said(service.event()) == ("update", "U", "0")
    http.put(f"/fhir/Patient/{id}-x", json={**PATIENT, "id": f"{id}-x"}, headers=FHIR)
    assert said(service.event()) == ("update", "C", "0")
    http.get(f"/fhir/Patient/{id}/_history/1")
    assert said(service.event()) == ("vread", "R", "0")
    http.get(f"/fhir/Patient/{id}/_history")
    event = service.event()
    assert said(event) == ("history-instance", "R", "0")
    assert references(event)[:2] == [f"Patient/{id}/_history/{n}" for n in (2, 1)]
    http.delete(f"/fhir/Patient/{id}")
    assert said(event := service.event()) == ("delete", "D", "0")
    assert references(event) == [f"Patient/{id}/_history/3", f"Patient/{id}"]
    http.get(f"/fhir/Patient/{id}")
    event = service.event()
    assert said(event) == ("read", "R", "4")
    assert event["outcomeDesc"] == "deleted"


def test_a_search_tells_whose_resources_were_given_out(service: Audited) -> None:
    ids = {service.patient(), service.patient()}
    query = {"name": "Zyzzyva", "_id": ",".join(ids), "Miller": "x"}
    service.http.get("/fhir/Patient", params=query)
    event = service.event()
    assert said(event) == ("search-type", "E", "0")
    assert set(references(event)) == {f"Patient/{id}" for id in ids}
    assert details(event, "parameter") == ["name", "_id", "(unknown)"]
    assert details(event, "results") == ["2"]
    service.http.post("/fhir/Patient/_search", data={"birthdate": "1951-02-03", "_count": "1"})
    event = service.event()
    assert details(event, "parameter") == ["birthdate", "_count"]
    assert details(event, "results") == ["1"]


def test_a_condition_is_told_by_the_names_of_its_parameters(service: Audited) -> None:
    service.patient()
    for name, value in (("identifier", "urn:none|secret"), ("Miller", "secret")):
        patch = [{"op": "add", "path": "/active", "value": True}]
        kind = {"Content-Type": "application/json-patch+json"}
        url = f"/fhir/Patient?{name}={value}"
        assert service.http.patch(url, content=json.dumps(patch), headers=kind).status_code >= 400
        event = service.event()
        assert said(event) == ("patch", "U", "4")
        shown = name if name == "identifier" else "(unknown)"
        assert details(event, "parameter")[0] == shown
        assert "(unknown)" not in details(event, "parameter")[1:]


def test_refusals_are_recorded(service: Audited) -> None:
    id = service.patient()
    http = service.http
    old = {**FHIR, "If-Match": 'W/"9"'}
    asked: list[tuple[str, str, dict[str, Any], tuple[str, str, str]]] = [
        ("GET", "/fhir/Patient/nobody", {}, ("read", "R", "4")),
        ("GET", "/fhir/Nonsense/1", {}, ("read", "R", "4")),
        ("POST", "/fhir/Patient", {"content": b"{", "headers": FHIR}, ("create", "C", "4")),
        (
            "PUT", f"/fhir/Patient/{id}", {"json": {**PATIENT, "id": id}, "headers": old},
            ("update", "U", "4"),
        ),
        ("DELETE", "/fhir/AuditEvent/audit-1", {}, ("delete", "D", "4")),
        ("GET", "/fhir/Patient?birthdate=soon", {}, ("search-type", "E", "4")),
        ("GET", "/fhir/Patient/x/$nothing", {}, ("unknown", "E", "4")),
        ("GET", "/fhir/Patient", {"headers": {"Host": "evil.org"}}, ("search-type", "E", "4")),
    ]  # fmt: skip
    for method, url, more, expected in asked:
        assert http.request(method, url, **more).status_code >= 400
        event = service.event()
        assert said(event) == expected
        assert event["outcomeDesc"]
    assert event["agent"][0]["altId"] == "anonymous"


def test_own_events_can_be_changed_by_nobody(service: Audited) -> None:
    event = service.http.get("/fhir/AuditEvent/audit-1").json()
    assert service.http.put(
        "/fhir/AuditEvent/audit-1", json=event, headers=FHIR
    ).status_code == 405  # fmt: skip
    assert service.http.delete("/fhir/AuditEvent/audit-1").status_code == 405
    entry = {"request": {"method": "DELETE", "url": "AuditEvent/audit-1"}}
    for kind in ("transaction", "batch"):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
        answer = service.http.post("/fhir", json=bundle, headers=FHIR)
        status = answer.json().get("entry", [{}])[0].get("response", {}).get("status")
        assert 405 in (answer.status_code, int((status or "0")[:3]))
    assert service.http.get("/fhir/AuditEvent/audit-1").json() == event


def test_a_batch_leaves_an_event_for_each_entry(service: Audited) -> None:
    id = service.patient()
    entries: list[dict[str, Any]] = [
        {"request": {"method": "POST", "url": "Patient"}, "resource": PATIENT},
        {"request": {"method": "GET", "url": f"Patient/{id}"}},
        {"request": {"method": "GET", "url": f"Patient?_id={id}"}},
        {"request": {"method": "GET", "url": "Patient/nobody"}},
        {"request": {"method": "DELETE", "url": f"Patient/{id}-none"}},
        {"request": {"method": "GET", "url": f"Patient/{id}/$everything"}},
        {"request": {"method": "GET", "url": f"Patient/{id}/$zyzzyva"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    assert service.http.post("/fhir", json=bundle, headers=FHIR).status_code == 200
    assert sorted(map(said, service.events())) == [
        ("create", "C", "0"),
        ("delete", "D", "0"),
        ("everything", "E", "0"),
        ("read", "R", "0"),
        ("read", "R", "4"),
        ("search-type", "E", "0"),
        ("unknown", "E", "4"),
    ]


def test_a_transaction_is_one_event_and_what_it_read_another(service: Audited) -> None:
    id = service.patient()
    entries: list[dict[str, Any]] = [
        {"request": {"method": "POST", "url": "Patient"}, "resource": PATIENT},
        {"request": {"method": "POST", "url": "Patient"}, "resource": PATIENT},
        {"request": {"method": "GET", "url": f"Patient/{id}"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert service.http.post("/fhir", json=bundle, headers=FHIR).status_code == 200
    change, read = service.events()
    assert said(change) == said(read) == ("transaction", "E", "0")
    lifecycles = [e["lifecycle"]["code"] for e in change["entity"] if "lifecycle" in e]
    assert lifecycles == ["1", "1"]
    assert references(read) == [f"Patient/{id}/_history/1", f"Patient/{id}"]
    bundle["entry"] = [{"request": {"method": "GET", "url": "Patient/nobody"}}, *entries]
    assert service.http.post("/fhir", json=bundle, headers=FHIR).status_code == 404
    assert said(service.event()) == ("transaction", "E", "4")


def test_other_surfaces(service: Audited) -> None:
    id = service.patient()
    sql = {"query": "SELECT count(*) FROM patient WHERE birth_date = DATE '1951-02-03'"}
    assert service.http.post("/sql", json=sql).status_code == 200
    event = service.event()
    assert said(event) == ("sql", "E", "0")
    assert (details(event, "view"), details(event, "results")) == (["patient"], ["1"])
    assert service.http.get(f"/patients/{id}/timeline").status_code == 200
    assert (said(event := service.event()), references(event)[0]) == (
        ("timeline", "E", "0"), f"Patient/{id}",
    )  # fmt: skip
    assert service.http.get(f"/fhir/Patient/{id}/$timeline").status_code == 200
    assert said(service.event()) == ("timeline", "E", "0")
    validated = service.http.post("/fhir/Patient/$validate", json=PATIENT, headers=FHIR)
    assert validated.status_code == 200
    assert said(service.event()) == ("validate", "E", "0")
    definition = {"name": "all", "include": [{"gender": "female"}]}
    woman = service.http.post("/fhir/Patient", json={**PATIENT, "gender": "female"}, headers=FHIR)
    service.events()
    assert service.http.post("/cohorts", json=definition).status_code == 200
    event = service.event()
    assert said(event) == ("cohort", "E", "0")
    assert references(event) == [f"Patient/{woman.json()['id']}"]
    for path in ("/healthz", "/readyz", "/status", "/", "/fhir/metadata", "/openapi.json"):
        service.http.get(path)
    assert service.events() == []
    service.http.get("/some/other/surface")
    assert said(service.event())[0] == "unknown"


def test_purpose_of_use(service: Audited) -> None:
    id = service.patient()
    service.http.get(f"/fhir/Patient/{id}", headers={"X-Purpose-Of-Use": "ETREAT"})
    assert service.event()["purposeOfEvent"][0]["coding"][0]["code"] == "ETREAT"
    answer = service.http.get(f"/fhir/Patient/{id}", headers={"X-Purpose-Of-Use": "curiosity"})
    assert answer.status_code == 400
    assert said(service.event()) == ("read", "R", "4")


def test_request_ids_are_the_clients_where_they_are_ids(service: Audited) -> None:
    id = service.patient()
    for given, kept in (("abc-1", True), ("John Doe 1951", False), ("x" * 65, False)):
        answer = service.http.get(f"/fhir/Patient/{id}", headers={"X-Request-Id": given})
        assert (answer.headers["x-request-id"] == given) == kept
    assert "John" not in json.dumps(service.events())


def test_search_over_http_in_pages(service: Audited) -> None:
    id = service.patient()
    for _ in range(5):
        service.http.get(f"/fhir/Patient/{id}")
    url = f"/fhir/AuditEvent?patient={id}&action=R&_count=2"
    seen: list[str] = []
    while url:
        bundle = service.http.get(url).json()
        assert bundle["total"] == 5
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        url = links.get("next", "")
    assert len(set(seen)) == 5
    assert seen == sorted(seen, key=lambda one: -int(one.removeprefix("audit-")))


def test_tokens_name_the_agent_and_a_denial_is_recorded(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    token = new_token("ward-7", tokens)
    with running(tmp_path / "lake", api_token_file=str(tokens)) as service:
        service.events()
        service.http.get("/fhir/Patient", headers={"Authorization": f"Bearer {token}"})
        assert service.event()["agent"][0]["altId"] == "ward-7"
        for path in ("/fhir/Patient/p1", "/status"):
            assert service.http.get(path).status_code == 401
            event = service.event()
            assert event["agent"][0]["altId"] == "anonymous"
            assert (event["outcome"], event["outcomeDesc"]) == ("4", "unauthorized")


def test_what_cannot_be_recorded_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "lake") as service:
        id = service.patient()

        def failing(*_args: Any, **_more: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(error("unavailable", "The disk is full."))
            return future

        monkeypatch.setattr(service.lake, "record_access", failing)
        answer = service.http.get(f"/fhir/Patient/{id}")
        assert answer.status_code == 503
        assert "Zyzzyva" not in answer.text
        monkeypatch.undo()
        assert service.http.get(f"/fhir/Patient/{id}").status_code == 200


@pytest.mark.parametrize(
    ("policy", "shown"), [("full", "10.9.8.7"), ("prefix", "10.9.8.0/24"), ("none", None)]
)
def test_network_policy(tmp_path: Path, policy: str, shown: str | None) -> None:
    settings = load_settings({"nlp": False, "audit_network": policy}, environ={})
    with Lake.open(tmp_path / "lake") as lake:
        app = create_app(lake, settings)
        http = TestClient(app, base_url="http://localhost", client=("10.9.8.7", 1))
        http.get("/fhir/Patient")
        event = lake.read("AuditEvent", f"audit-{lake.audit_head().n}").resource()
    assert event["agent"][0].get("network", {}).get("address") == shown


def test_batched_reads_are_recorded_a_moment_later(tmp_path: Path) -> None:
    with running(tmp_path / "lake", audit_reads="batched") as service:
        id = service.patient()
        for _ in range(3):
            service.http.get(f"/fhir/Patient/{id}")
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.search("AuditEvent", [("subtype", "read")]).total == 3
        assert lake.verify() == []


def test_no_phi_reaches_the_audit_table(tmp_path: Path) -> None:
    """Names, values, note texts, SQL, and words put where names are expected."""
    secrets = ("Zyzzyva", "1951-02-03", "wheezing-quietly", "Miller", "secretcode", "sqlsecret")
    note = base64.b64encode(b"Patient is wheezing-quietly").decode()
    with running(tmp_path / "lake") as service:
        http = service.http
        id = http.post("/fhir/Patient", json=PATIENT, headers=FHIR).json()["id"]
        http.get("/fhir/Patient?family=Zyzzyva&birthdate=1951-02-03&Miller=1&name:Miller=2")
        http.get("/fhir/Patient?name.Miller=1&identifier=secretcode&_Miller=3")
        http.post("/fhir/Patient/_search", data={"family": "Zyzzyva", "Miller": "x"})
        http.get("/fhir/Patient/Zyzzyva Miller")
        http.get("/fhir/Miller/Zyzzyva")
        http.get("/Miller/Zyzzyva")
        http.get("/fhir/Patient/$Miller")
        http.get("/miller")
        http.post("/sql", json={"query": "SELECT 'sqlsecret' FROM patient", "parameters": []})
        http.post("/sql", json={"query": "SELECT * FROM Miller"})
        http.post(f"/notes?patient={id}&title=Miller", content=b"wheezing-quietly",
                  headers={"Content-Type": "text/plain"})  # fmt: skip
        document = {
            "resourceType": "DocumentReference", "status": "current",
            "subject": {"reference": f"Patient/{id}"},
            "content": [{"attachment": {"contentType": "text/plain", "data": note}}],
        }  # fmt: skip
        assert http.post("/fhir/DocumentReference", json=document, headers=FHIR).status_code == 201
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [
            {"request": {"method": "GET", "url": "Patient?family=Zyzzyva&Miller=1"}},
            {"request": {"method": "GET", "url": "Miller/Zyzzyva"}},
            {"request": {"method": "GET", "url": "Patient/$miller"}},
        ]}  # fmt: skip
        http.post("/fhir", json=bundle, headers=FHIR)
        http.get("/fhir/Patient", headers={"X-Purpose-Of-Use": "Miller"})
        with service.lake._database.reading() as connection:
            found = connection.execute(f"SELECT {COLUMNS} FROM audit").fetchall()
    assert len(found) == 18
    kept = repr(found).casefold()
    for secret in secrets:
        assert secret.casefold() not in kept
        assert base64.b64encode(secret.encode()).decode().casefold() not in kept


def test_commands_are_recorded_listed_exported_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "lake"
    source = tmp_path / "patients.ndjson"
    source.write_text(json.dumps({**PATIENT, "id": "p1"}) + "\n")
    folder = ["--data", str(data)]
    assert main(["import", *folder, str(source), "--no-nlp"]) == 0
    assert main(["sql", *folder, "SELECT family FROM patient"]) == 0
    assert main(["timeline", *folder, "p1"]) == 0
    assert main(["timeline", *folder, "nobody"]) == 1
    assert main(["export", *folder, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["audit", "head", *folder]) == 0
    head = capsys.readouterr().out.strip()
    out = tmp_path / "events.ndjson"
    assert main(["audit", "export", *folder, "--out", str(out)]) == 0
    assert main(["audit", "export", *folder, "--out", str(out)]) == 1
    assert out.stat().st_mode & 0o777 == 0o600
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(validate(event) == [] for event in events)
    names = [(event["subtype"][-1]["code"], event["outcome"]) for event in events]
    for name in ("import", "sql", "timeline", "export", "audit-head", "open"):
        assert (name, "0") in names
    assert ("timeline", "4") in names
    assert {event["agent"][0]["altId"].partition(":")[0] for event in events} == {"cli"}
    exported = [event for event in events if event["subtype"][-1]["code"] == "export"]
    assert references(exported[-1]) == ["Patient/p1"]
    capsys.readouterr()
    assert main(["audit", "list", *folder, "--patient", "p1", "--action", "E"]) == 0
    assert "timeline" in capsys.readouterr().out
    assert main(["audit", "list", *folder, "--since", "soon"]) == 1
    assert main(["audit", "verify", *folder, "--anchor", head]) == 0
    assert "no fault found" in capsys.readouterr().out
    wrong = f"{head.partition(':')[0]}:{'0' * 64}"
    assert main(["audit", "verify", *folder, "--anchor", wrong]) == 1
    assert "was replaced" in capsys.readouterr().out
    assert main(["audit", "verify", *folder, "--anchor", "x"]) == 1
    with Lake.open(data) as lake:
        verified = lake.search("AuditEvent", [("subtype", "verify")]).versions
        # It read everything and gave out nothing.
        assert [references(version.resource()) for version in verified] == [[], []]
        connection = lake._database.writer()
        connection.execute("UPDATE audit SET agent = 'cli:other' WHERE n = 3")
        connection.close()
    capsys.readouterr()
    assert main(["verify", *folder]) == 1
    assert "audit: event 3 was changed" in capsys.readouterr().out
