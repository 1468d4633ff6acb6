"""No request whatever has the service fail: odd paths, encodings, bodies, parameters, injections.

Raw requests go to the application as a server hands them on, so that no client tidies them up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.app import Application, create_app
from service.settings import load_settings
from service.surface import routes_of
from service.surfaces import FHIR_SURFACES, PLAIN_ROUTERS
from storage.lake import Lake, Put

TYPES = (
    *("Patient", "Patient", "Observation", "Observation", "AuditEvent", "DocumentReference"),
    *("Binary", "Bundle", "Parameters", "Nothing", "$x"),
)
PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "Mill"}]}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "subject": {"reference": "Patient/p"},
    "valueQuantity": {"value": 1, "unit": "1"},
}

INJECTIONS = (
    "' OR 1=1 --",
    '"; DROP TABLE version; --',
    "x' UNION SELECT body FROM hot_body --",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "\x00",
    "${7*7}",
    "{{7*7}}",
    '{"$ne": null}',
    "]]>",
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "\\",
    "\\,",
    "|",
    "||",
    ",",
    "$",
    "*",
    "%",
    "_",
    "[0]",
    "\ud800",
    "\uffff",
    "٣",
    "²",
    "9" * 40,
    "-0",
    "1e400",
    "NaN",
    "0000-00-00",
    "9999-12-31T23:59:60+14:00",
    "gt" * 30,
    "Patient/p/_history/99999999999999999999",
    "urn:uuid:x",
    "http://[::1",
    "a" * 5_000,
)
NAMES = (
    "_id",
    "_count",
    "_sort",
    "_cursor",
    "_since",
    "_at",
    "at",
    "_type",
    "_format",
    "_summary",
    "_elements",
    "_pretty",
    "_total",
    "_include",
    "_revinclude",
    "_has:Observation:patient:code",
    "_has",
    "_filter",
    "_list",
    "_lastUpdated",
    "_tag",
    "_profile",
    "_text",
    "_content",
    "name",
    "name:exact",
    "name:missing",
    "birthdate",
    "identifier",
    "identifier:of-type",
    "subject",
    "subject:Patient.name",
    "patient",
    "code",
    "code:in",
    "code:below",
    "value-quantity",
    "code-value-quantity",
    "date",
    "wait",
    "types",
    "mode",
    "",
    ":",
    ".",
)
TYPES_OF_BODY = (
    "application/fhir+json",
    "application/json",
    "application/fhir+xml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "text/plain; charset=utf-16",
    "text/plain; charset=nothing",
    "application/sql",
    "multipart/form-data; boundary=x",
    "",
    ";",
    "application/fhir+json; charset=\x80",
)
HEADERS = (
    (b"accept", b"application/fhir+xml"),
    (b"accept", b"text/html"),
    (b"accept", b"image/png, */*;q=0.x"),
    (b"accept", b"application/fhir+json; fhirVersion=5.0"),
    (b"accept-encoding", b"gzip;q=nan, *;q=-1"),
    (b"accept-charset", b"latin-1"),
    (b"if-match", b'W/"999999999999999999999999"'),
    (b"if-match", b"*"),
    (b"if-none-match", b"*"),
    (b"if-none-match", b'W/"1", ,"'),
    (b"if-modified-since", b"Mon, 99 Jan 99999999999 99:99:99 GMT"),
    (b"if-none-exist", b"name=x&&&"),
    (b"if-none-exist", b"%ff=%00"),
    (b"prefer", b"return=everything, handling=strict; wait=x, respond-async"),
    (b"prefer", b"return=minimal"),
    (b"content-encoding", b"gzip"),
    (b"content-length", b"\xb2"),
    (b"content-length", b"99999999999999999999"),
    (b"content-length", b"-1"),
    (b"x-request-id", b"\xff" * 10),
    (b"x-purpose-of-use", b"\xff"),
    (b"authorization", b"Bearer \xff"),
    (b"origin", b"null"),
    (b"origin", b"http://[x"),
    (b"host", b"[::1"),
    (b"host", b"localhost:99999999"),
    (b"x-forwarded-for", b"\x80"),
    (b"range", b"bytes=0-1"),
    (b"cookie", b"a=\xff; b"),
    (b"expect", b"100-continue"),
)
BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"1e9999",
    b"\xff\xfe",
    b"\x00",
    b'{"resourceType":"Patient"}',
    b'{"resourceType":"Patient","id":"p"}',
    b'{"resourceType":"Patient","id":1}',
    b'{"resourceType":"Patient","name":{"family":[]}}',
    b'{"resourceType":"Observation","status":"final"}',
    b'{"resourceType":"Bundle","type":"batch","entry":[{}]}',
    b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"%"}}]}',
    b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET",'
    b'"url":"Patient?name=\\u0000"}},{"request":{"method":"HEAD","url":"//x/y"}},'
    b'{"request":{"method":"DELETE","url":"Patient/x?a=b"}}]}',
    b'{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","resource":'
    b'{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}',
    b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":1,"url":[]}}]}',
    b'{"resourceType":"Parameters","parameter":[{"name":"reason","valueString":"\\ud800"}]}',
    b'{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{}}]}',
    b'{"query":"SELECT 1","parameters":[1]}',
    b'{"query":"SELECT * FROM read_csv(\'/etc/passwd\')"}',
    b'[{"op":"replace","path":"/name/0/family","value":"x"}]',
    b'[{"op":"copy","from":"/","path":"/~2"}]',
    b'{"name":"x","criteria":[{"has":{}}]}',
    b"a=b&c=%ff&_count=x",
    b'<Patient xmlns="http://hl7.org/fhir"><id value="p"/></Patient>',
    b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Patient xmlns="http://hl7.org/fhir">&a;</Patient>',
    b"[" * 100_000,
    b'{"resourceType":"Patient","extension":'
    + b'[{"extension":' * 300
    + b"[]"
    + b"}]" * 300
    + b"}",
)
METHODS = (
    *("GET", "GET", "GET", "GET", "POST", "POST", "POST", "PUT", "PUT", "PATCH", "DELETE"),
    *("HEAD", "OPTIONS", "TRACE", "FOO"),
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A service in this process."""
    with Lake.open(tmp_path_factory.mktemp("fuzz") / "lake") as lake:
        lake.transact([Put(PATIENT), Put(OBSERVATION)])
        yield create_app(lake, load_settings({"nlp": False, "sql_timeout_s": 2}, environ={}))


def paths() -> list[str]:
    """The path of every route, with places for its parameters."""
    below = [path for surface in FHIR_SURFACES for _, path in routes_of(surface.router)]
    plain = [path for router in PLAIN_ROUTERS for _, path in routes_of(router)]
    return sorted({*(f"/fhir{path}" for path in below), *plain, "/", "/openapi.json"})


words = st.one_of(
    st.sampled_from(INJECTIONS),
    st.sampled_from(("p", "o", "1", "Patient/p", "2020", "true", "x|y", "name", "count", "-date")),
    st.text(max_size=12),
)
segments = st.one_of(st.sampled_from(TYPES), words, st.sampled_from(("p", "o", "_history", "1")))


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request in the form of an ASGI scope, with its body."""
    if draw(st.booleans()):
        path = draw(st.sampled_from(paths()))
        if path.startswith("/fhir/{}"):
            path = path.replace("{}", draw(st.sampled_from(TYPES)), 1)
        if draw(st.booleans()):
            path = path.replace("{}", draw(st.sampled_from(("p", "o", "1"))), 1)
        while "{}" in path:
            path = path.replace("{}", draw(segments), 1)
    else:
        path = "/" + "/".join(draw(st.lists(segments, max_size=5)))
        path = draw(st.sampled_from(("/fhir", ""))) + path
    names = st.one_of(st.sampled_from(NAMES), words)
    pairs = draw(st.lists(st.tuples(names, words), max_size=4))
    if draw(st.integers(0, 4)) == 0:
        query = draw(st.binary(max_size=30))
    else:
        query = b"&".join(n.encode("utf-8", "surrogatepass") + b"=" + quoted(v) for n, v in pairs)
    headers = draw(st.one_of(st.just([]), st.lists(st.sampled_from(HEADERS), max_size=3)))
    body = draw(st.one_of(st.sampled_from(BODIES), st.binary(max_size=40)))
    kind = draw(st.sampled_from(TYPES_OF_BODY))
    return {
        "method": draw(st.sampled_from(METHODS)),
        "path": unquote(path),
        "query_string": query,
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", kind.encode("latin-1")),
            *headers,
            *([] if draw(st.booleans()) else [(b"content-length", b"%d" % len(body))]),
        ],
        "body": body,
        "chunk": draw(st.sampled_from((1, 7, 10_000_000))),
    }


def quoted(value: str) -> bytes:
    """A value of a query: what separates is escaped, all else is sent as it is."""
    escaped = value.replace("&", "%26").replace("+", "%2B")
    return escaped.encode("utf-8", "surrogatepass")


async def answer(app: Application, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer."""
    body, chunk = asked["body"], asked["chunk"]
    if len(body) > 1_000:
        chunk = 10_000_000
    waiting = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    started: list[dict[str, Any]] = []
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        else:
            parts.append(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "state": {},
        "raw_path": asked["path"].encode("utf-8", "surrogatepass"),
        **{key: asked[key] for key in ("method", "path", "query_string", "headers")},
    }
    await app(scope, receive, send)
    assert len(started) == 1
    for name, value in started[0]["headers"]:
        assert b"\n" not in name + value and b"\r" not in name + value
    headers = {k.decode(): v.decode("latin-1") for k, v in started[0]["headers"]}
    return started[0]["status"], headers, b"".join(parts)


@pytest.mark.slow
@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(asked=requests())
def test_no_request_has_the_service_fail(app: Application, asked: dict[str, Any]) -> None:
    status, headers, body = asyncio.run(answer(app, asked))
    assert status < 500, body
    assert "x-request-id" in headers and headers["cache-control"] == "no-store"
    if asked["method"] == "HEAD":
        assert body == b""
    elif status >= 400 and "xml" not in headers["content-type"]:
        outcome = json.loads(body)
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"][0]["diagnostics"]
    assert b"Traceback" not in body and b"site-packages" not in body and b"root:" not in body


@pytest.mark.parametrize("value", INJECTIONS)
def test_no_value_of_a_parameter_finds_more_than_it_says(app: Application, value: str) -> None:
    """A value that stands for no patient finds none: it is never a part of a statement."""
    for name in ("_id", "name:exact", "identifier", "birthdate", "_tag", "organization"):
        asked = {
            "method": "GET",
            "path": "/fhir/Patient",
            "query_string": name.encode() + b"=" + quoted(value),
            "headers": [(b"host", b"localhost")],
            "body": b"",
            "chunk": 1,
        }
        status, _, body = asyncio.run(answer(app, asked))
        assert status in (200, 400), (name, body)
        if status == 200:
            assert json.loads(body)["total"] == 0, name
