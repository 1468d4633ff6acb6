"""What is around every answer: the same for the short way and for the routes, header by header."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service import request_body, request_limits
from service.app import Application, create_app
from service.auth import new_token
from service.direct import MAX_BODY_BYTES
from service.settings import SettingError, load_settings
from storage.lake import Lake

FHIR = {"Content-Type": "application/fhir+json"}
PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "Mill"}], "gender": "female"}


class Served:
    """A service in this process, and its lake."""

    def __init__(self, lake: Lake, app: Application) -> None:
        self.lake = lake
        self.app = app
        self.http = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)

    def routed(self) -> TestClient:
        """A client whose every request takes the route."""
        app = create_app(self.lake, load_settings({"nlp": False}, environ={}))
        app.edge.direct.find = lambda _scope: None  # type: ignore[method-assign]
        return TestClient(app, base_url="http://localhost")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Makes services over lakes of their own."""
    lakes: list[Lake] = []

    def start(**settings: Any) -> Served:
        lake = Lake.open(tmp_path / f"lake{len(lakes)}")
        lakes.append(lake)
        return Served(lake, create_app(lake, load_settings({"nlp": False, **settings}, environ={})))

    yield start
    for lake in lakes:
        lake.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service, shared: a patient with two versions, one that is deleted, an observation."""
    with Lake.open(tmp_path_factory.mktemp("edge") / "lake") as lake:
        one = Served(lake, create_app(lake, load_settings({"nlp": False}, environ={})))
        one.http.put("/fhir/Patient/p", json={**PATIENT, "gender": "other"}, headers=FHIR)
        one.http.put("/fhir/Patient/p", json=PATIENT, headers=FHIR)
        one.http.put("/fhir/Patient/gone", json={**PATIENT, "id": "gone"}, headers=FHIR)
        one.http.delete("/fhir/Patient/gone")
        observation = {
            "resourceType": "Observation",
            "id": "o",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": "Patient/p"},
        }
        one.http.put("/fhir/Observation/o", json=observation, headers=FHIR)
        yield one


def events(lake: Lake, request_id: str) -> list[tuple[Any, ...]]:
    """What the audit log says of a request."""
    with lake._database.reading() as connection:
        from storage.audit import rows

        found = [row.record() for row in rows(connection, "1 ORDER BY n")]
    return [
        (
            one.action,
            one.name,
            one.agent,
            one.outcome,
            one.failure,
            one.network,
            one.purpose,
            one.parameters,
            one.results,
            [(e.resource_type, e.version, e.done) for e in one.entities],
            len(one.patients) if one.action == "C" else one.patients,
        )
        for one in found
        if one.request_id == request_id
    ]


SAME = (
    ("GET", "Patient/p", {}),
    ("HEAD", "Patient/p", {}),
    ("GET", "Patient/p", {"If-None-Match": 'W/"2"'}),
    ("GET", "Patient/p", {"If-None-Match": 'W/"1"'}),
    ("GET", "Patient/p", {"Accept-Encoding": "gzip"}),
    ("GET", "Patient/none", {}),
    ("GET", "Patient/gone", {}),
    ("GET", "Patient/p/_history/1", {}),
    ("GET", "Patient/p/_history/7", {}),
    ("GET", "Patient/gone/_history/2", {}),
    ("GET", "Patient?name=mill", {}),
    ("HEAD", "Patient?name=mill", {}),
    ("GET", "Observation?patient=p&_count=1", {"Accept-Encoding": "gzip"}),
    ("GET", "Observation?subject:Patient.name=mill", {}),
    ("GET", "Patient?unheard=of", {}),
    ("GET", "Patient?unheard=of", {"Prefer": "handling=strict"}),
    ("GET", "Patient?birthdate=yesterday", {}),
    ("GET", "Patient/p", {"Host": "example.org"}),
    ("GET", "Patient/p", {"Origin": "https://example.org"}),
    ("GET", "Patient/p", {"X-Purpose-Of-Use": "TREAT"}),
    ("GET", "Patient/p", {"X-Purpose-Of-Use": "FUN"}),
    ("POST", "Patient", {"Prefer": "return=minimal"}),
    ("POST", "Patient", {"Prefer": "return=OperationOutcome"}),
    ("POST", "Patient", {}),
    ("POST", "Observation", {}),
    ("POST", "Patient", {"Content-Type": "text/plain"}),
    ("POST", "Patient", {"Content-Type": "application/fhir+json; charset=latin-1"}),
    ("POST", "Patient", {"X-Purpose-Of-Use": "HRESCH"}),
)


@pytest.mark.parametrize(("method", "path", "headers"), SAME)
def test_both_ways_answer_and_record_the_same(
    served: Served, method: str, path: str, headers: dict[str, str]
) -> None:
    answers, recorded = [], []
    for number, client in enumerate((served.http, served.http, served.routed())):
        request_id = f"{method}-{abs(hash((path, str(headers))))}-{number}"
        more: dict[str, Any] = {}
        if method == "POST":
            more["content"] = json.dumps({k: v for k, v in PATIENT.items() if k != "id"})
        sent = {"Accept": "application/fhir+json", "Accept-Encoding": "identity"}
        asked = {**sent, **FHIR, "X-Request-Id": request_id, **headers}
        before = served.lake.t
        with client.stream(method, f"/fhir/{path}", headers=asked, **more) as response:
            body = b"".join(response.iter_raw())
        assert response.headers["x-request-id"] == request_id
        changing = ("x-request-id", "location", "last-modified", "chartlake-commit")
        kept = sorted((k, v) for k, v in response.headers.items() if k not in changing)
        names = sorted(response.headers)
        if method == "POST" and response.status_code == 201:
            assert served.lake.t == before + 1
            body = b"" if not body else b"a body"
        answers.append((response.status_code, kept, names, body))
        recorded.append(events(served.lake, request_id))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] < 500
    assert recorded[0] == recorded[1] == recorded[2]
    assert len(recorded[0]) == 1
    assert {"cache-control", "x-content-type-options"} <= set(answers[0][2])


def test_the_short_way_is_taken_and_others_are_not(served: Served) -> None:
    def way(method: str, path: str, query: str = "", **headers: str) -> bool:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        }
        return served.app.edge.direct.find(scope) is not None

    assert way("GET", "/fhir/Patient/p")
    assert way("HEAD", "/fhir/Patient/p", accept="*/*")
    assert way("GET", "/fhir/Patient/p/_history/1")
    assert way("GET", "/fhir/Patient", "name=x")
    assert way("POST", "/fhir/Patient", content_length="100")
    assert not way("GET", "/fhir/Patient/p", "at=1")
    assert not way("GET", "/fhir/Patient/p", "_format=xml")
    assert not way("GET", "/fhir/Patient/p", accept="application/fhir+xml")
    assert not way("GET", "/fhir/Patient/$op")
    assert not way("GET", "/fhir/Nothing/p")
    assert not way("GET", "/fhir/Patient", "name=x&%5Fformat=xml")
    assert not way("GET", "/fhir/Patient", "_summary=true")
    assert not way("POST", "/fhir/Patient", content_length=str(MAX_BODY_BYTES + 1))
    assert not way("POST", "/fhir/Patient", content_length="100", if_none_exist="identifier=x")
    assert not way("POST", "/fhir/Patient", "identifier=x", content_length="100")
    assert not way("POST", "/fhir/Patient")
    assert not way("POST", "/fhir/DocumentReference", content_length="100")
    assert not way("PUT", "/fhir/Patient/p", content_length="100")
    assert not way("GET", "/fhirPatient/p")


def test_tokens_are_asked_for_on_both_ways(serve: Callable[..., Served], tmp_path: Path) -> None:
    token = new_token("lab", tmp_path / "tokens")
    one = serve(api_token_file=str(tmp_path / "tokens"))
    for path in ("Patient/p", "Patient?name=x", "Patient/p?at=1", "_history", "nothing"):
        refused = one.http.get(f"/fhir/{path}", headers={"X-Request-Id": "r"})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    refused = one.http.post("/fhir/Patient", content=b"{}", headers=FHIR)
    assert refused.status_code == 401
    xml = one.http.get("/fhir/Patient/p", headers={"Accept": "application/fhir+xml"})
    assert xml.status_code == 401 and xml.content.startswith(b"<?xml")
    assert xml.headers["www-authenticate"] == "Bearer"
    assert one.http.get("/fhir/Patient/p?_format=nothing").status_code == 401
    known = {"Authorization": f"Bearer {token}", "X-Request-Id": "k"}
    assert one.http.get("/fhir/Patient/p", headers=known).status_code == 404
    assert {event[2] for event in events(one.lake, "r")} == {"anonymous"}
    assert {event[2] for event in events(one.lake, "k")} == {"lab"}


@pytest.mark.parametrize(
    "path",
    ["/fhir/Patient/p", "/fhir/Patient", "/fhir/metadata", "/fhir/_history", "/healthz", "/status"],
)
def test_head_is_get_without_its_body(served: Served, path: str) -> None:
    for encoding in ("identity", "gzip"):
        sent = {"Accept-Encoding": encoding, "X-Request-Id": "same"}
        with served.http.stream("GET", path, headers=sent) as get:
            body = b"".join(get.iter_raw())
        head = served.http.head(path, headers=sent)
        assert head.content == b""
        if path != "/status":  # Each access adds to it.
            assert dict(head.headers) == dict(get.headers)
            assert int(head.headers["content-length"]) == len(body)
        assert head.status_code == get.status_code == 200


def test_large_answers_are_compressed_where_that_is_asked_for(served: Served) -> None:
    sent = {"Accept-Encoding": "gzip;q=0.5, br", "X-Request-Id": "g"}
    with served.http.stream("GET", "/fhir/metadata", headers=sent) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"].lower()
    plain = served.http.get("/fhir/metadata", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert "accept-encoding" in plain.headers["vary"].lower()
    assert gzip.decompress(raw) == plain.content
    assert len(raw) * 5 < len(plain.content)
    small = served.http.get("/fhir/Patient/p", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_compression_can_be_switched_off(serve: Callable[..., Served]) -> None:
    answer = serve(gzip_min_bytes=0).http.get("/fhir/metadata", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


def test_a_body_may_be_packed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({**PATIENT, "id": "packed"}).encode()
    packed = {**FHIR, "Content-Encoding": "gzip"}
    put = served.http.put("/fhir/Patient/packed", content=gzip.compress(body), headers=packed)
    assert put.status_code == 201, put.text
    two = gzip.compress(body[:20]) + gzip.compress(body[20:])
    assert served.http.put("/fhir/Patient/packed", content=two, headers=packed).status_code == 200
    for wrong in (b"", body, gzip.compress(body)[:-9], gzip.compress(body) + b"more"):
        answer = served.http.put("/fhir/Patient/packed", content=wrong, headers=packed)
        assert answer.status_code == 400, wrong
    other = served.http.put(
        "/fhir/Patient/packed", content=body, headers={**FHIR, "Content-Encoding": "br"}
    )
    assert other.status_code == 415


def test_what_is_unpacked_is_bounded(serve: Callable[..., Served]) -> None:
    one = serve(max_body_bytes=100_000)
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    answer = one.http.post(
        "/fhir/Patient", content=bomb, headers={**FHIR, "Content-Encoding": "gzip"}
    )
    assert answer.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "PATIENCE_S", 0.01)

    async def call() -> int:
        import asyncio

        statuses = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/fhir/Patient",
            "raw_path": b"/fhir/Patient",
            "query_string": b"",
            "scheme": "http",
            "server": ("localhost", 80),
            "headers": [
                (b"host", b"localhost"),
                (b"content-length", b"50"),
                (b"content-type", b"application/fhir+json"),
            ],
        }
        await served.app(scope, receive, send)
        return statuses[0]

    import asyncio

    assert asyncio.run(call()) == 408


def test_bounds_of_addresses_and_headers(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "MAX_ADDRESS_BYTES", 1_000)
    monkeypatch.setattr(request_limits, "MAX_HEADER_BYTES", 2_000)
    long = served.http.get("/fhir/Patient?_id=" + "x" * 1_000)
    assert long.status_code == 414
    assert long.json()["issue"][0]["code"] == "too-long"
    large = served.http.get("/fhir/Patient/p", headers={"X-A": "x" * 2_000})
    assert large.status_code == 431


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/fhir/Patient/p/_history", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/fhir", None),
        ("TRACE", "/fhir/Patient/p", None),
    ],
)
def test_a_method_that_is_not_possible_says_which_are(
    served: Served, method: str, path: str, allowed: set[str] | None
) -> None:
    answer = served.http.request(method, path)
    assert answer.status_code == 405, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    found = set(answer.headers["allow"].split(", "))
    assert method not in found
    if allowed is not None:
        assert found == allowed
    options = served.http.options(path)
    assert options.status_code == 204
    assert set(options.headers["allow"].split(", ")) == found


def test_addresses_that_are_none(served: Served) -> None:
    for path in ("/nothing", "/fhir/Patient/p/nothing/more/and/more", "/fhirx"):
        for method in ("GET", "OPTIONS"):
            assert served.http.request(method, path).status_code == 404, path
    assert served.http.get("/fhir/Nothing/p").status_code == 404
    assert served.http.get("/fhir/Patient/gone").status_code == 410


def test_unchanged_versions_are_not_sent_again(served: Served) -> None:
    def status(path: str, **headers: str) -> int:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        answer = served.http.get(f"/fhir/Patient/p{path}", headers=named)
        if answer.status_code == 304:
            assert answer.content == b""
            assert answer.headers["etag"] and answer.headers["last-modified"]
        return answer.status_code

    modified = served.http.get("/fhir/Patient/p").headers["last-modified"]
    early, late = "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 2100 00:00:00 GMT"
    assert status("", If_None_Match='W/"2"') == 304
    assert status("", If_None_Match='"2"') == 304
    assert status("", If_None_Match='W/"1", W/"2"') == 304
    assert status("", If_None_Match="*") == 304
    assert status("", If_None_Match='W/"1"') == 200
    assert status("/_history/1", If_None_Match='W/"1"') == 304
    assert status("/_history/1", If_None_Match='W/"2"') == 200
    assert status("", If_Modified_Since=modified) == 304
    assert status("", If_Modified_Since=late) == 304
    assert status("", If_Modified_Since=early) == 200
    assert status("", If_Modified_Since="never") == 200
    assert status("", If_Modified_Since="Thu, 01 Jan 1970 00:00:00 -0000") == 200
    # Where both are sent, the date is not looked at.
    assert status("", If_None_Match='W/"1"', If_Modified_Since=late) == 200


def test_beyond_the_bound_requests_are_refused_at_once(serve: Callable[..., Served]) -> None:
    one = serve(max_concurrent_requests=1)
    one.app.edge.overload._counts[0] = 1
    for path in ("/fhir/Patient/p", "/fhir/metadata", "/sql"):
        refused = one.http.get(path)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert refused.json()["issue"][0]["code"] == "transient"
        assert refused.headers["cache-control"] == "no-store"
        assert refused.headers["x-request-id"]
    assert one.http.get("/healthz").status_code == 200
    of_datastore = {"path": "/datastores/d/healthz", "root_path": "/datastores/d"}
    assert one.app.edge.overload.enter(of_datastore) is None
    one.app.edge.overload._counts[0] = 0
    for _ in range(3):
        assert one.http.get("/fhir/metadata").status_code == 200
    assert one.app.edge.overload._counts[0] == 0


def test_web_pages_of_other_sites_are_let_in_by_a_setting_only(
    serve: Callable[..., Served], served: Served
) -> None:
    page = {"Origin": "https://app.example.org"}
    ask = {**page, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "a"}
    assert served.http.get("/fhir/metadata", headers=page).status_code == 403
    assert served.http.options("/fhir/Patient", headers=ask).status_code == 403
    one = serve(cors_origins="https://app.example.org, https://other.example.org")
    preflight = one.http.options("/fhir/Patient/p", headers=ask)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == page["Origin"]
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "a"
    answer = one.http.get("/fhir/Patient/none", headers=page)
    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == page["Origin"]
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["vary"] == "Origin"
    other = {"Origin": "https://evil.example.org"}
    assert one.http.get("/fhir/metadata", headers=other).status_code == 403
    statement = one.http.get("/fhir/metadata").json()
    assert statement["rest"][0]["security"]["cors"] is True


def test_no_lake_without_tokens_is_open_to_every_web_page(serve: Callable[..., Served]) -> None:
    with pytest.raises(SettingError, match="cors_origins"):
        serve(cors_origins="*")


def test_a_failure_has_the_form_that_was_asked_for(served: Served) -> None:
    for path in ("Patient/none", "Patient/p?at=x", "nothing/x"):
        answer = served.http.get(f"/fhir/{path}", headers={"Accept": "application/fhir+xml"})
        assert answer.headers["content-type"].startswith("application/fhir+xml"), path
        assert b"<OperationOutcome" in answer.content


def test_the_path_of_a_datastore_is_no_part_of_the_interaction(served: Served) -> None:
    scope = {"root_path": "/datastores/clinic", "path": "/datastores/clinic/fhir/Patient/p"}
    recording = served.app.edge.recorder.recording(
        {"type": "http", "method": "GET", "headers": [], **scope}
    )
    assert recording.trail.name == "read"
    assert recording.trail.target is not None
