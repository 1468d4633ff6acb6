"""Python client of a running service.

lake = Chartlake("http://127.0.0.1:8080", token="…")
lake.timeline("patient-id")
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from service.notices import COMMIT_HEADER, ERASURES_HEADER, erasure_warning

FHIR_JSON = "application/fhir+json"


class ServiceError(Exception):
    """The service refused a request; the text is its own explanation. `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Chartlake:
    """One connection pool to one service."""

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = 300) -> None:
        """`url` is the root of the service (without `/fhir`)."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.notices: list[str] = []
        """What the service said of its answers as of a past commit, for people."""
        self._http = httpx.Client(
            base_url=url.rstrip("/").removesuffix("/fhir"), headers=headers, timeout=timeout_s
        )

    def __enter__(self) -> Chartlake:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def is_ready(self) -> bool:
        """True when the service takes requests and its note reader is loaded."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def status(self) -> dict[str, Any]:
        """Counts of the lake and the backlog of notes."""
        return self._json("GET", "/status")

    def post_bundle(self, bundle: bytes) -> dict[str, Any]:
        """Send a transaction or batch Bundle."""
        return self._json("POST", "/fhir", content=bundle, headers={"Content-Type": FHIR_JSON})

    def create(self, resource_type: str, resource: bytes) -> dict[str, Any]:
        """Create a resource and return it as stored."""
        return self._json(
            "POST",
            f"/fhir/{resource_type}",
            content=resource,
            headers={"Content-Type": FHIR_JSON},
        )

    def update(self, resource_type: str, id: str, resource: bytes) -> dict[str, Any]:
        """Store a resource under its id and return it as stored."""
        return self._json(
            "PUT",
            f"/fhir/{resource_type}/{id}",
            content=resource,
            headers={"Content-Type": FHIR_JSON},
        )

    def read(self, resource_type: str, id: str, *, at: int | str | None = None) -> dict[str, Any]:
        """The version of a resource that is current, or was `at` a commit or an instant."""
        return self._json("GET", f"/fhir/{resource_type}/{id}", params=_as_of(at))

    def history(
        self, resource_type: str | None = None, id: str | None = None, **params: str | int
    ) -> Iterator[dict[str, Any]]:
        """Bundle entries of the versions of a resource, a type or the lake, newest first.

        `params` as in FHIR: `_since`, `_at`, `_count` (a page's), `_type`; and `at`.
        """
        parts = ["/fhir", *(part for part in (resource_type, id) if part), "_history"]
        for page in self._pages("/".join(parts), list(params.items())):
            yield from page.get("entry", [])

    def search(
        self, resource_type: str, params: Sequence[tuple[str, str]] = (), **more: str | int
    ) -> Iterator[dict[str, Any]]:
        """All matches, page by page; `params` for a parameter that is given twice.

        `at` (a commit or an instant) gives those of a past state.
        """
        for page in self._pages(f"/fhir/{resource_type}", [*params, *more.items()]):
            for entry in page.get("entry", []):
                if entry.get("search", {}).get("mode") == "match":
                    yield entry["resource"]

    def _pages(self, url: str, params: Sequence[tuple[str, str | int]]) -> Iterator[dict[str, Any]]:
        page = self._json("GET", url, params=params)
        while True:
            yield page
            links = [link["url"] for link in page.get("link", []) if link["relation"] == "next"]
            if not links:
                return
            page = self._json("GET", links[0])

    def note(self, text: str, patient: str, **params: str) -> dict[str, Any]:
        """Store a plain text note of a patient and return its DocumentReference."""
        return self._json(
            "POST",
            "/notes",
            params={"patient": patient, **params},
            content=text.encode(),
            headers={"Content-Type": "text/plain; charset=utf-8"},
        )

    def findings(self, note_id: str, *, wait_s: int = 30) -> dict[str, Any]:
        """What the NLP found in a stored note, waiting for it if need be."""
        return self._json("GET", f"/notes/{note_id}/findings", params={"wait": wait_s})

    def nlp_queue(self) -> dict[str, Any]:
        """How far the reading of notes is, in figures."""
        return self._json("GET", "/nlp/queue")

    def nlp_failures(self) -> list[dict[str, Any]]:
        """Notes that could not be read, each with version, time and reason."""
        found: list[dict[str, Any]] = self._json("GET", "/nlp/failures")["failures"]
        return found

    def nlp_retry(self, notes: Sequence[str] = ()) -> int:
        """Have these notes, or all that could not be read, read again; how many those are."""
        answer = self._json("POST", "/nlp/retry", params=[("note", id) for id in notes])
        return int(answer["retrying"])

    def nlp_reread(self) -> int:
        """Have all notes read again with the pipeline of today; how many versions are looked at."""
        return int(self._json("POST", "/nlp/reread")["rereading"])

    def erase(
        self, keys: Sequence[tuple[str, str]], reason: str, *, keep_derived: bool = False
    ) -> dict[str, Any]:
        """Erase all versions of one resource, and wait until it is done; what was erased."""
        if len(keys) != 1:
            raise ServiceError(0, "a service erases one resource at a time")
        (resource_type, id), options = keys[0], {"keepDerived": keep_derived}
        return self._erase(f"/fhir/{resource_type}/{id}/$erase", reason, options)

    def purge(self, id: str, reason: str, *, include_shared: bool = False) -> dict[str, Any]:
        """Erase a patient's whole record, and wait until it is done; what was erased."""
        options = {"includeShared": include_shared}
        return self._erase(f"/fhir/Patient/{id}/$purge", reason, options)

    def timeline(self, patient_id: str, **params: str | int) -> list[dict[str, Any]]:
        """A patient's events in clinical order; `at` a commit or an instant: as known then."""
        events: list[dict[str, Any]] = self._json(
            "GET", f"/patients/{patient_id}/timeline", params=params
        )
        return events

    def cohort(self, definition: dict[str, Any], *, at: int | str | None = None) -> dict[str, Any]:
        """Run a cohort definition, as of `at`."""
        return self._json("POST", "/cohorts", json=definition, params=_as_of(at))

    def sql(
        self, query: str, parameters: list[Any] | None = None, *, at: int | str | None = None
    ) -> Any:
        """Run a query; `{"columns": […], "rows": […], "truncated": …, "t": …, "warnings": […]}`."""
        body: dict[str, Any] = {"query": query, "parameters": parameters or []}
        if at is not None:
            body["at"] = at
        return self._json("POST", "/sql", json=body)

    def _erase(self, url: str, reason: str, options: dict[str, bool]) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"name": "reason", "valueString": reason}]
        parts += [{"name": name, "valueBoolean": value} for name, value in options.items()]
        body = {"resourceType": "Parameters", "parameter": parts}
        started = self._request("POST", url, json=body)
        # The path alone: behind a proxy the service may know itself by another name.
        status = urlsplit(started.headers["content-location"]).path
        status = status[status.index("/fhir/") :]
        while (answer := self._request("GET", status)).status_code == 202:
            time.sleep(min(float(answer.headers.get("retry-after", "1")), 1.0))
        return _erased(answer.json())

    def _request(self, method: str, url: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, url, **options)
        except httpx.TransportError as failure:
            raise ServiceError(0, f"the service cannot be reached: {failure}") from None
        if response.status_code >= 400:
            raise ServiceError(response.status_code, explain(response))
        return response

    def _json(self, method: str, url: str, **options: Any) -> Any:
        response = self._request(method, url, **options)
        if "at" in (options.get("params") or {}) or "at" in (options.get("json") or {}):
            self.notices.append(f"as of commit {response.headers.get(COMMIT_HEADER)}")
        erasures = response.headers.get(ERASURES_HEADER)
        if erasures is not None:
            commit = int(response.headers[COMMIT_HEADER])
            self.notices.append(erasure_warning(commit, int(erasures)))
        return response.json()


def _as_of(at: int | str | None) -> dict[str, int | str]:
    return {} if at is None else {"at": at}


def explain(response: httpx.Response) -> str:
    """The issues of an OperationOutcome response in one line."""
    try:
        issues = response.json().get("issue", [])
    except ValueError:
        return f"HTTP {response.status_code}"
    parts = []
    for issue in issues[:5]:
        place = ", ".join(issue.get("expression", []))
        parts.append((f"{place}: " if place else "") + issue.get("diagnostics", issue["code"]))
    return "; ".join(parts) or f"HTTP {response.status_code}"


def _erased(parameters: dict[str, Any]) -> dict[str, Any]:
    """The result of an erase from its Parameters."""
    found: dict[str, Any] = {"resources": {}}
    for part in parameters.get("parameter", []):
        if part["name"] == "resources":
            found["resources"].update([_count(part)])
        elif part["name"] in ("shared", "referring"):
            values = {p["name"]: p.get("valueInteger", 0) for p in part["part"]}
            named = [p["valueString"] for p in part["part"] if p["name"] == "examples"]
            types = dict(_count(p) for p in part["part"] if p["name"] == "types")
            found[part["name"]] = {"total": values["total"], "types": types, "examples": named}
        else:
            found[part["name"]] = part.get("valueInteger", part.get("valueString"))
    return found


def _count(part: dict[str, Any]) -> tuple[str, int]:
    members = {p["name"]: p.get("valueString", p.get("valueInteger")) for p in part["part"]}
    return members["type"], members["count"]
