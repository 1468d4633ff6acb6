"""Whatever parameters come, a search answers or refuses: nothing else is raised or changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage.lake import Lake, Put, Scope

WORDS = [
    *("_has", "_id", "_filter", "_list", "_sort", "_count", "_total", "_include", "_revinclude"),
    *("_cursor", "_lastUpdated", "_type", "subject", "patient", "code", "name", "birthdate"),
    *("Patient", "Observation", "value-quantity", "identifier", "iterate", "missing", "not", "*"),
    *("exact", "organization", "general-practitioner", "code-value-quantity", "combo-code"),
]
SIGNS = [":", ".", ",", "|", "$", "\\", "-", " ", "(", ")", "[", "]", '"', "'", ";", "%", "_", ""]
VALUES = ["1", "ge2024", "true", "a eq b", "name co x", "not", "and", "or", "pr", "Patient/1", "x"]

texts = st.lists(st.sampled_from([*WORDS, *SIGNS, *VALUES]) | st.text(max_size=3), max_size=6).map(
    "".join
)
names = texts | st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).flatmap(
    lambda words: st.sampled_from([":".join(words), ".".join(words), ":".join(words) + ".name"])
)
scopes = st.sampled_from([
    Scope(("Patient",)), Scope(("Observation",)), Scope(), Scope(("Patient", "Observation")),
    Scope((), ("Patient", "1")), Scope(("Observation",), ("Patient", "1")), Scope(("AuditEvent",)),
])  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake.open(tmp_path_factory.mktemp("any") / "lake") as lake:
        code = {"coding": [{"system": "s", "code": "x"}]}
        subject = {"reference": "Patient/1"}
        lake.transact([Put({"resourceType": "Patient", "id": "1", "name": [{"family": "x"}]})])
        for id in ("a", "b"):
            made = {"resourceType": "Observation", "id": id, "status": "final", "code": code}
            lake.transact([Put({**made, "subject": subject})])
            lake.flush()
        yield lake


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(scopes, st.lists(st.tuples(names, texts), max_size=3), st.booleans())
def test_any_parameters(
    small: Lake, scope: Scope, params: list[tuple[str, str]], strict: bool
) -> None:
    before = small.t
    try:
        page = small.search(scope, params, strict=strict)
    except FhirError as failure:
        assert failure.category in (
            "value", "invalid", "not-supported", "unknown-type", "not-found", "unavailable"
        )  # fmt: skip
    else:
        assert len(page.versions) <= 1000
        assert page.total is None or page.total <= 5_000
    assert small.t == before
    assert small.search("Observation", []).total == 2
