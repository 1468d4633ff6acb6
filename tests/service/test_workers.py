"""A service of several processes: the same answers, nothing stale or lost, no one left over."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.auth import new_token
from storage.lake import Lake

from .conftest import FHIR, Service, assert_outcome

Start = Callable[..., Service]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two fronts beside the process that writes; each test has its own patients."""
    running = Service(tmp_path_factory.mktemp("workers") / "lake", "--no-nlp", "--workers", "2")
    yield running
    running.stop()


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    """Whether a process, or a thread of it, goes on."""
    try:
        states = [one.read_text() for one in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return is_there(pid)
    return any(one.rpartition(")")[2].split()[0] not in "ZX" for one in states)


def gone(pids: list[int], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_there, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_there, pids))


def connections_of(pid: int, port: int) -> int:
    """How many established connections of a port a process has open."""
    local = f"0100007F:{port:04X}"
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1] == local and line.split()[3] == "01"
    }
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(descriptor).removeprefix("socket:[").rstrip("]") in inodes
        except FileNotFoundError:
            continue
    return count


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **more: str
) -> tuple[int, Any]:
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {**FHIR, **more})
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else None


def connected(service: Service, count: int) -> list[http.client.HTTPConnection]:
    """Connections that each have asked once: they are with their fronts then."""
    made = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=60) for _ in range(count)]
    for one in made:
        assert ask(one, "GET", "/fhir/Patient/none")[0] == 404
    return made


def test_connections_are_spread_evenly(shared: Service) -> None:
    _, *fronts = children(shared.process.pid)
    before = {pid: connections_of(pid, shared.port) for pid in fronts}
    open_ones = connected(shared, 16)
    counts = [connections_of(pid, shared.port) for pid in fronts]
    assert sum(counts) == 16 + sum(before.values())
    assert max(counts) - min(counts) <= 1
    for one in open_ones:
        one.close()


PATIENT = {"resourceType": "Patient", "id": "wa", "gender": "female", "name": [{"family": "Waa"}]}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "wo",
    "status": "final",
    "code": {"text": "x"},
    "subject": {"reference": "Patient/wa"},
}


def _bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _put(resource: dict[str, Any]) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


REQUESTS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("PUT", "/fhir/Patient/wa", PATIENT, {}),
    ("POST", "/fhir", _bundle("transaction", _put(OBSERVATION)), {}),
    ("POST", "/fhir", _bundle("transaction", _put(OBSERVATION), _put(OBSERVATION)), {}),
    ("POST", "/fhir", _bundle("transaction", _put({**OBSERVATION, "status": "none"})), {}),
    (
        "POST",
        "/fhir",
        _bundle(
            "batch",
            {"request": {"method": "GET", "url": "Patient/wa"}},
            _put({**OBSERVATION, "id": "wp"}),
            {"request": {"method": "DELETE", "url": "Observation/wp"}},
        ),
        {},
    ),
    (
        "POST",
        "/fhir",
        _bundle(
            "transaction",
            _put({**OBSERVATION, "id": "wq"}),
            {"request": {"method": "GET", "url": "Observation?subject=Patient/wa"}},
        ),
        {},
    ),
    ("POST", "/fhir/Patient", {"resourceType": "Patient", "gender": "none"}, {}),
    ("POST", "/fhir/Patient", {"resourceType": "Observation"}, {}),
    ("POST", "/fhir/Patient", PATIENT, {"If-None-Exist": "_id=wa"}),
    ("POST", "/fhir/Patient", PATIENT, {"If-None-Exist": "nonsense"}),
    ("PUT", "/fhir/Patient/wa", PATIENT, {"If-Match": 'W/"9"'}),
    ("GET", "/fhir/Patient/wa", None, {}),
    ("GET", "/fhir/Patient/wa/", None, {}),
    ("HEAD", "/fhir/Patient/wa", None, {}),
    ("GET", "/fhir/Patient/wa", None, {"If-None-Match": 'W/"1"'}),
    ("GET", "/fhir/Patient/wa?_format=xml", None, {}),
    ("GET", "/fhir/Patient/wa?_pretty=true&_elements=name", None, {}),
    ("GET", "/fhir/Patient/wa", None, {"Accept": "text/html"}),
    ("GET", "/fhir/Patient/wa", None, {"X-Purpose-Of-Use": "nonsense"}),
    ("GET", "/fhir/Patient/wa", None, {"Host": "example.org"}),
    ("GET", "/fhir/Patient/wa/_history/1", None, {}),
    ("GET", "/fhir/Patient/wa/_history/x", None, {}),
    ("GET", "/fhir/Patient/wa/_history", None, {}),
    ("GET", "/fhir/Observation/_history?_count=2", None, {}),
    ("GET", "/fhir/_history?_count=1", None, {}),
    ("GET", "/fhir/Patient/nobody", None, {}),
    ("GET", "/fhir/Observation/wp", None, {}),
    ("GET", "/fhir/Observation?subject=Patient/wa&_sort=_id", None, {"Accept-Encoding": "gzip"}),
    ("GET", "/fhir/Observation?nonsense=1", None, {}),
    ("GET", "/fhir/Observation?nonsense=1", None, {"Prefer": "handling=strict"}),
    ("GET", "/fhir/Patient/wa/Observation", None, {}),
    ("GET", "/fhir/Patient/wa/*?_type=Observation&_sort=_id", None, {}),
    ("GET", "/fhir?_type=Patient&_id=wa", None, {}),
    ("GET", "/fhir/Patient?_has:Observation:subject:_id=wo", None, {}),
    ("GET", "/fhir/Patient?_id=wa&at=1", None, {}),
    ("GET", "/fhir/Patient?_id=wa&at=999", None, {}),
    ("GET", "/fhir/Patient/wa/$everything", None, {}),
    ("GET", "/fhir/Nothing/1", None, {}),
    ("POST", "/fhir/Patient/$validate", PATIENT, {}),
    ("PATCH", "/fhir/Patient/wa", [], {"Content-Type": "application/json-patch+json"}),
    ("DELETE", "/fhir/Observation/wq", None, {}),
    ("GET", "/fhir/metadata", None, {}),
    ("GET", "/healthz", None, {}),
    ("GET", "/readyz", None, {}),
    ("GET", "/nowhere", None, {}),
    ("OPTIONS", "/fhir/Patient", None, {}),
    ("POST", "/sql", {"query": "SELECT count(*) FROM patient"}, {}),
]

_VARIES = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z|[0-9a-f]{8}-[0-9a-f-]{27}|_cursor=[\w-]+"
)


def _answers(service: Service) -> list[Any]:
    """What the requests are answered, without what no two services have in common."""
    found: list[Any] = []
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for number, (method, path, body, headers) in enumerate(REQUESTS):
            content = None if body is None else json.dumps(body).encode()
            kind = FHIR if content is not None else {}
            sent = {"Host": "localhost", "X-Request-Id": f"same-{number}", **kind, **headers}
            answer = client.request(method, path, content=content, headers=sent)
            told = {k: v for k, v in answer.headers.items() if k not in ("date", "last-modified")}
            told = {k: _VARIES.sub(b"?", v.encode()) for k, v in told.items()}
            if "pretty" in path or "xml" in path or "metadata" in path or "gzip" in str(told):
                told.pop("content-length", None)  # Of instants that are shorter or longer.
            found.append(
                (method, path, answer.status_code, told, _VARIES.sub(b"?", answer.content))
            )
        answer = client.get("/fhir/AuditEvent", params={"_sort": "date", "_count": 500})
        events = [_event(entry["resource"]) for entry in answer.json()["entry"]]
        found.append(sorted(one for one in events if one[0].startswith("same-")))
    return found


def _event(event: dict[str, Any]) -> tuple[str, ...]:
    """An audit event by what is the same wherever it was recorded."""
    ids = [
        one["what"]["identifier"]["value"]
        for one in event.get("entity", [])
        if "identifier" in one.get("what", {})
    ]
    about = [
        f"{one['what']['reference']}:{one.get('lifecycle', {}).get('code')}"
        for one in event.get("entity", [])
        if "reference" in one.get("what", {})
    ]
    agent = event["agent"][0]
    about = [_VARIES.sub(b"?", one.encode()).decode() for one in about]
    return (
        *ids,
        event["action"],
        event["subtype"][-1]["code"],
        event["outcome"],
        agent["name"],
        json.dumps(agent.get("network")),
        *sorted(about),
    )


def test_answers_and_audit_events_are_those_of_one_process(start_service: Start) -> None:
    one = start_service("one", "--no-nlp", "--workers", "1")
    several = start_service("several", "--no-nlp", "--workers", "2")
    differing = [
        (of_one, of_several)
        for of_one, of_several in zip(_answers(one), _answers(several), strict=True)
        if of_one != of_several
    ]
    assert differing == []


def test_what_is_acknowledged_is_in_the_next_read_and_search_of_any_front(shared: Service) -> None:
    failures: list[str] = []

    def client(number: int) -> None:
        writing, reading = connected(shared, 2)
        for turn in range(6):
            value = f"ryw-{number}-{turn}"
            patient = {"resourceType": "Patient", "identifier": [{"system": "u", "value": value}]}
            if turn % 2:
                post = {"method": "POST", "url": "Patient"}
                bundle = _bundle("transaction", {"resource": patient, "request": post})
                status, answer = ask(writing, "POST", "/fhir", bundle)
                id = answer["entry"][0]["response"]["location"].split("/")[1]
            else:
                status, answer = ask(writing, "POST", "/fhir/Patient", patient)
                id = answer["id"]
            if ask(reading, "GET", f"/fhir/Patient/{id}")[0] != 200:
                failures.append(f"read {value}")
            status, found = ask(reading, "GET", f"/fhir/Patient?identifier=u|{value}")
            if status != 200 or found["total"] != 1:
                failures.append(f"search {value}: {status}")
            ask(reading, "PUT", f"/fhir/Patient/{id}", {**patient, "id": id, "active": True})
            status, found = ask(writing, "GET", f"/fhir/Patient?identifier=u|{value}&active=true")
            if status != 200 or found["total"] != 1:
                failures.append(f"update {value}: {status}")
            ask(writing, "DELETE", f"/fhir/Patient/{id}")
            if ask(reading, "GET", f"/fhir/Patient/{id}")[0] != 410:
                failures.append(f"deleted {value}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_race_of_conditional_creates_makes_one_resource(shared: Service) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "u", "value": "race"}]}
    post = {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=u|race"}
    bundle = _bundle("transaction", {"resource": patient, "request": post})
    ids: list[str] = []

    def client() -> None:
        (one,) = connected(shared, 1)
        for _ in range(2):
            status, answer = ask(one, "POST", "/fhir", bundle)
            assert status == 200, answer
            ids.append(answer["entry"][0]["response"]["location"].split("/")[1])

    threads = [threading.Thread(target=client) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 24
    assert len(set(ids)) == 1
    # What a front remembers of the match is not so any more, once it was changed through another.
    changed = {"resourceType": "Patient", "id": ids[0]}
    for one in connected(shared, 2):
        assert ask(one, "PUT", f"/fhir/Patient/{ids[0]}", changed)[0] == 200
        _, answer = ask(one, "POST", "/fhir", bundle)
        assert answer["entry"][0]["response"]["status"] == "201 Created"
        changed["id"] = answer["entry"][0]["response"]["location"].split("/")[1]
        ids[0] = changed["id"]


def test_every_request_is_recorded_exactly_once(shared: Service) -> None:
    patient = shared.patient()
    asked = []
    for number in range(12):
        for one, (method, path) in zip(
            connected(shared, 3),
            [
                ("GET", f"/fhir/Patient/{patient}"),
                ("GET", f"/fhir/Observation?patient={patient}"),
                ("GET", "/fhir/Patient/nobody"),
            ],
            strict=True,
        ):
            asked.append(f"once-{number}-{len(asked)}")
            ask(one, method, path, **{"X-Request-Id": asked[-1]})
    created = shared.post({"resourceType": "Basic", "code": {"text": "x"}}, **{"X-Request-Id": "c"})
    asked.append("c")
    assert created.status_code == 201
    events = shared.found("AuditEvent", _count="500")
    ids = [_event(event)[0] for event in events]
    assert [ids.count(one) for one in asked] == [1] * len(asked)


def test_added_search_parameters_are_known_to_every_front_at_once(shared: Service) -> None:
    patient = shared.patient(name=[{"family": "Definition", "text": "Zed"}])
    definition = {
        "resourceType": "SearchParameter",
        "url": "http://example.org/name-text",
        "name": "NameText",
        "status": "active",
        "description": "x",
        "code": "name-text",
        "base": ["Patient"],
        "type": "string",
        "expression": "Patient.name.text",
    }
    assert shared.post(definition).status_code == 201
    fronts = connected(shared, 2)
    for one in fronts:
        assert ask(one, "GET", "/fhir/Patient?name-text=Zed", Prefer="handling=strict")[0] != 400
    deadline = time.monotonic() + 30
    for one in fronts:
        while ask(one, "GET", "/fhir/Patient?name-text=Zed")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # Rows of what is stored now are made by it, whichever front prepares them.
        text = f"Yod{fronts.index(one)}"
        made = {"resourceType": "Patient", "name": [{"text": text}]}
        assert ask(one, "POST", "/fhir/Patient", made)[0] == 201
        for other in fronts:
            _, found = ask(other, "GET", f"/fhir/Patient?name-text={text}")
            assert found["total"] == 1
            _, found = ask(other, "GET", "/fhir/Patient?name-text=Zed")
            assert [entry["resource"]["id"] for entry in found["entry"]] == [patient]


def test_what_is_erased_is_in_no_front_any_more(shared: Service) -> None:
    patient = shared.patient(identifier=[{"system": "u", "value": "erased"}])
    fronts = connected(shared, 2)
    for one in fronts:
        assert ask(one, "GET", f"/fhir/Patient/{patient}")[0] == 200
        assert ask(one, "GET", "/fhir/Patient?identifier=u|erased")[1]["total"] == 1
    reason = {"name": "reason", "valueString": "asked for"}
    answer = shared.http.post(
        f"/fhir/Patient/{patient}/$purge",
        json={"resourceType": "Parameters", "parameter": [reason]},
        headers=FHIR,
    )
    assert answer.status_code == 202, answer.text
    while (job := shared.http.get(answer.headers["content-location"])).status_code == 202:
        time.sleep(0.05)
    assert job.status_code == 200, job.text
    for one in fronts:
        assert ask(one, "GET", f"/fhir/Patient/{patient}")[0] == 404
        assert ask(one, "GET", f"/fhir/Patient/{patient}/_history/1")[0] == 404
        assert ask(one, "GET", "/fhir/Patient?identifier=u|erased")[1]["total"] == 0


def test_bodies_of_any_size_go_through_both_ways(shared: Service) -> None:
    data = "QUJD" * 1_000_000
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": data}
    stored = shared.post(binary)
    assert stored.status_code == 201
    again = shared.http.get(
        f"/fhir/Binary/{stored.json()['id']}", headers={"Accept": FHIR["Content-Type"]}
    )
    assert again.json()["data"] == data

    def pieces() -> Iterator[bytes]:
        yield b'{"resourceType":"Patient",'
        yield b'"gender":"male"}'

    chunked = shared.http.post("/fhir/Patient", content=pieces(), headers=FHIR)
    assert chunked.status_code == 201
    slow = socket.create_connection(("127.0.0.1", shared.port))
    body = b'{"resourceType":"Patient"}'
    slow.sendall(
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
        b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    assert slow.recv(1000).startswith(b"HTTP/1.1 100 ")
    slow.sendall(body)
    assert slow.recv(1000).startswith(b"HTTP/1.1 201 ")
    slow.close()


def half_a_request(service: Service) -> socket.socket:
    """A connection that is in the middle of the body of a create."""
    one = socket.create_connection(("127.0.0.1", service.port))
    one.sendall(
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
        b'Content-Length: 26\r\n\r\n{"resourceType":'
    )
    return one


def test_the_bound_is_that_of_the_service_and_a_stop_answers_what_is_under_way(
    start_service: Start, tmp_path: Path
) -> None:
    token = new_token("one", tmp_path / "tokens")
    service = start_service(
        "lake",
        "--no-nlp",
        "--workers",
        "2",
        CHARTLAKE_MAX_CONCURRENT_REQUESTS="3",
        CHARTLAKE_DATASTORES__CLINIC__DATA=str(tmp_path / "clinic"),
        CHARTLAKE_DATASTORES__CLINIC__API_TOKEN_FILE=str(tmp_path / "tokens"),
    )
    _, *fronts = pids = children(service.process.pid)
    assert len(fronts) == 2
    _datastores(service, token)
    before = sum(connections_of(pid, service.port) for pid in fronts)
    held = [half_a_request(service) for _ in range(3)]
    deadline = time.monotonic() + 20
    while sum(connections_of(pid, service.port) for pid in fronts) < before + 3:
        assert time.monotonic() < deadline
    time.sleep(0.2)
    assert_outcome(service.http.get("/fhir/Patient/p"), 503)
    assert_outcome(httpx.get(f"{service.url}/fhir/metadata"), 503)
    assert httpx.get(f"{service.url}/healthz").status_code == 200
    held[0].sendall(b'"Patient"}')
    assert held[0].recv(1000).startswith(b"HTTP/1.1 201 ")
    assert service.http.get("/fhir/Patient/p").status_code == 404
    service.process.send_signal(signal.SIGTERM)
    for pid in pids:  # As systemd does.
        os.kill(pid, signal.SIGTERM)
    time.sleep(0.2)
    for one in held[1:]:
        one.sendall(b'"Patient"}')
        assert one.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert service.process.wait(timeout=30) == 0
    assert gone(pids)
    with Lake.open(service.data) as lake:
        assert lake.search("Patient", []).total == 3
        assert lake.verify() == []


def _datastores(service: Service, token: str) -> None:
    """Each of two datastores has its own resources, tokens and log."""
    url, own = f"{service.url}/datastores/clinic/fhir", {"Authorization": f"Bearer {token}"}
    assert service.http.post(f"{url}/Patient", json=PATIENT).status_code == 401
    stored = service.http.post(f"{url}/Patient", json=PATIENT, headers={**own, **FHIR})
    assert stored.status_code == 201
    id = stored.json()["id"]
    assert stored.headers["location"].startswith(f"{url}/Patient/{id}/")
    for one in [httpx.Client(headers=own) for _ in range(2)]:
        assert one.get(f"{url}/Patient/{id}").status_code == 200
        assert one.get(f"{service.url}/fhir/Patient/{id}").status_code == 404
        assert one.get(f"{url}/Patient?_id={id}").json()["total"] == 1
        one.close()
    events = service.http.get(f"{url}/AuditEvent?patient={id}&_count=100", headers=own).json()
    named = {entry["resource"]["agent"][0]["name"] for entry in events["entry"]}
    assert named == {"one"}


def test_what_becomes_of_processes_that_are_killed(start_service: Start) -> None:
    service = start_service("lake", "--no-nlp", "--workers", "2")
    ids = [service.patient()]
    writer, *fronts = children(service.process.pid)
    open_ones = connected(service, 4)
    os.kill(fronts[0], signal.SIGKILL)
    assert gone(fronts[:1])
    alive = 0
    for one in open_ones:
        try:
            one.auto_open = 0
            alive += ask(one, "GET", f"/fhir/Patient/{ids[0]}")[0] == 200
        except (http.client.HTTPException, ConnectionError):
            continue
    assert 1 <= alive < 4
    deadline = time.monotonic() + 20
    while len(children(service.process.pid)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for one in connected(service, 4):
        assert ask(one, "GET", f"/fhir/Patient/{ids[0]}")[0] == 200
        status, answer = ask(one, "POST", "/fhir/Patient", {"resourceType": "Patient"})
        assert status == 201
        ids.append(answer["id"])
    # Without the process that writes nothing can go on.
    pids = children(service.process.pid)
    os.kill(writer, signal.SIGKILL)
    assert service.process.wait(timeout=20) == 1
    assert gone(pids)
    assert "the process that writes ended unexpectedly" in service.log.read_text()
    # None outlives the parent either; what was acknowledged is there all the same.
    service.start()
    pids = children(service.process.pid)
    ids.append(service.patient())
    service.kill()
    assert gone(pids)
    with Lake.open(service.data) as lake:
        for id in ids:
            lake.read("Patient", id)
        assert lake.verify() == []


def test_a_service_that_cannot_start_says_why_in_one_line(shared: Service) -> None:
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--workers", "2"]
    held = subprocess.run([*command, "--data", str(shared.data)], capture_output=True, timeout=60)
    assert held.returncode == 1
    assert b"is open in another process" in held.stderr.splitlines()[-1]
    assert b"Traceback" not in held.stderr


def test_a_service_that_only_reads(shared: Service) -> None:
    id = shared.patient()
    reading = Service(shared.data, "--read-only", "--workers", "2")
    try:
        for one in connected(reading, 2):
            assert ask(one, "GET", f"/fhir/Patient/{id}")[0] == 200
            assert ask(one, "GET", f"/fhir/Patient?_id={id}")[1]["total"] == 1
            assert ask(one, "POST", "/fhir/Patient", {"resourceType": "Patient"})[0] == 403
            bundle = _bundle("transaction", _put(PATIENT))
            assert ask(one, "POST", "/fhir", bundle)[0] == 403
    finally:
        reading.stop()
