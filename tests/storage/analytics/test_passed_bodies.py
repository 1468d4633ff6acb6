"""Bodies that a statement only hands through are read late, and the answer is the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import duckdb
import pytest

from schemas.outcomes import FhirError, error
from storage.analytics import scan, sql
from storage.analytics.statement import inspect

HANDED_THROUGH = [
    "SELECT body FROM observation ORDER BY id",
    "SELECT id, body FROM observation WHERE patient_id = 'a' ORDER BY id DESC LIMIT 3",
    "SELECT o.body AS b, o.id FROM observation o ORDER BY o.effective, o.id LIMIT 4 OFFSET 1",
    "SELECT * FROM observation ORDER BY id",
    "FROM observation ORDER BY id",
    "SELECT o.*, p.body AS person FROM observation o JOIN patient p ON p.id = o.patient_id "
    "ORDER BY o.id",
    "SELECT * FROM patient p LEFT JOIN condition c ON c.patient_id = p.id AND c.id = 'none' "
    "ORDER BY p.id",
    "SELECT body, body AS again, BODY FROM observation ORDER BY id",
    "SELECT resource_type, id, body FROM resource ORDER BY resource_type, id",
    "SELECT body FROM observation WHERE id IN (SELECT max(id) FROM observation)",
    "WITH few AS (SELECT id FROM observation LIMIT 2) "
    "SELECT o.body FROM observation o JOIN few ON few.id = o.id ORDER BY o.id",
    "SELECT body FROM observation WHERE id = 'nothing'",
    "SELECT row_number() OVER (ORDER BY id) n, body FROM observation ORDER BY n",
]
SEEN = [
    "SELECT id FROM observation ORDER BY id",
    "SELECT length(body) FROM observation ORDER BY 1",
    "SELECT id, body FROM observation WHERE body LIKE '%x%' ORDER BY id",
    "SELECT body FROM observation ORDER BY body",
    "SELECT body AS b FROM observation ORDER BY b",
    "SELECT body AS b, length(b) AS n FROM observation ORDER BY n, id",
    "SELECT body, id FROM observation ORDER BY 1",
    "SELECT body, id FROM observation ORDER BY ALL",
    "SELECT DISTINCT body FROM observation ORDER BY id",
    "SELECT DISTINCT ON (code) id, body FROM observation ORDER BY code, id",
    "SELECT body, count(*) FROM observation GROUP BY body ORDER BY 2",
    "SELECT body, count(*) FROM observation GROUP BY ALL ORDER BY count(*)",
    "SELECT min(id) FROM observation GROUP BY body ORDER BY 1",
    "SELECT body FROM observation UNION SELECT body FROM patient",
    "SELECT body FROM (SELECT * FROM observation) ORDER BY id",
    "WITH o AS (SELECT * FROM observation) SELECT body FROM o ORDER BY id",
    "WITH o AS (FROM observation) SELECT body FROM o ORDER BY id",
    "SELECT o FROM observation o ORDER BY o.id",
    "SELECT body, o FROM observation o ORDER BY o.id",
    "SELECT COLUMNS('bod.*') FROM observation ORDER BY id",
    "SELECT * EXCLUDE (body) FROM observation ORDER BY id",
    "SELECT * REPLACE (upper(body) AS body) FROM observation ORDER BY id",
    "SELECT * RENAME (body AS other) FROM observation ORDER BY other",
    "SELECT b FROM observation AS o(a, b) ORDER BY a",
    "SELECT body FROM observation NATURAL JOIN patient",
    "SELECT o.body FROM observation o JOIN observation p USING (body) ORDER BY o.id",
    "SELECT body FROM observation QUALIFY row_number() OVER (PARTITION BY body ORDER BY id) = 1 "
    "ORDER BY id",
    "SELECT body FROM observation o WHERE EXISTS (SELECT 1 FROM patient p WHERE p.body < o.body) "
    "ORDER BY id",
    "DESCRIBE SELECT body FROM observation",
    "EXPLAIN SELECT body FROM observation",
    "SUMMARIZE observation",
    "SELECT #1 FROM observation",
    "SELECT id AS body, body AS x FROM observation ORDER BY body",
    "SELECT CAST(body AS JSON) FROM observation ORDER BY id",
]


def passes(query: str) -> bool:
    return inspect(duckdb.connect(), query).passes_bodies


@pytest.mark.parametrize("query", HANDED_THROUGH)
def test_handed_through(query: str) -> None:
    assert passes(query)


@pytest.mark.parametrize("query", SEEN)
def test_not_only_handed_through(query: str) -> None:
    assert not passes(query)


@pytest.fixture
def snapshot(make_lake: Callable[[], Any]) -> Any:
    """Observations in two segments and hot, some superseded or deleted."""
    lake = make_lake()
    for part in range(3):
        lake.commit(
            *(
                {
                    "resourceType": "Observation",
                    "id": f"o{part}{n}",
                    "status": "final",
                    "subject": {"reference": f"Patient/{'ab'[n % 2]}"},
                    "effectiveDateTime": f"2024-01-{10 + n:02}",
                    "code": {"text": f"é{part}"},
                }
                for n in range(6)
            ),
            {"resourceType": "Patient", "id": "ab"[part % 2], "gender": "male"},
            {"resourceType": "Condition", "id": f"c{part}", "subject": {"reference": "Patient/a"}},
        )
        lake.commit({"resourceType": "Observation", "id": "o00", "status": f"amended{part}"})
        if part < 2:
            lake.flush()
    return lake.at()


def without_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sql, "inspect", lambda *given: replace(inspect(*given), passes_bodies=False)
    )


@pytest.mark.parametrize("query", HANDED_THROUGH)
def test_the_answer_is_the_same(snapshot: Any, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_lazy_branch", lambda *_: pytest.fail("it was not read late"))
    late = sql.run(snapshot, query)
    monkeypatch.undo()
    without_places(monkeypatch)
    plain = sql.run(snapshot, query)
    assert late.arrow.schema == plain.arrow.schema
    assert late.rows() == plain.rows()


def test_truncated_like_any(snapshot: Any) -> None:
    found = sql.run(snapshot, "SELECT id, body FROM observation ORDER BY id", max_rows=3)
    assert found.truncated and [row[0] for row in found.rows()] == ["o00", "o01", "o02"]
    assert "amended2" in found.rows()[0][1]


def test_columns_beyond_the_cache_are_read_lazily(
    snapshot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT * FROM observation ORDER BY id"
    expected = sql.run(snapshot, query).rows()
    monkeypatch.setattr(scan.CACHE, "max_bytes", 1)
    assert sql.run(snapshot, query).rows() == expected


def test_too_large_an_answer_is_refused(snapshot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_MAX_RESULT_BYTES", 1500)
    with pytest.raises(FhirError) as caught:
        sql.run(snapshot, "SELECT body FROM observation")
    assert caught.value.category == "too-large"


def test_a_body_that_cannot_be_read_is_told(snapshot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scan.CACHE.forget("")
    kind = type(snapshot.segments("Observation")[0])
    monkeypatch.setattr(kind, "open_bodies", lambda self: (_ for _ in ()).throw(OSError()))
    monkeypatch.setattr(kind, "failure", lambda self, _: error("internal", "segment s"))
    with pytest.raises(FhirError) as caught:
        sql.run(snapshot, "SELECT body FROM observation")
    assert caught.value.category == "internal"


def test_a_wrong_query_is_told_as_it_was_sent(snapshot: Any) -> None:
    with pytest.raises(FhirError) as caught:
        sql.run(snapshot, "SELECT body, nothing FROM observation")
    assert "nothing" in caught.value.issues[0].diagnostics
    assert "__lake" not in caught.value.issues[0].diagnostics
