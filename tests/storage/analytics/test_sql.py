"""SQL over the views of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas import codes
from schemas.outcomes import FhirError
from storage.analytics import scan, sql

from .conftest import MemoryLake, MemorySnapshot
from .fhir_samples import about, condition, medication_request, mention, observation, patient


@pytest.fixture(params=["hot", "flushed", "both"])
def snapshot(request: pytest.FixtureRequest, lake: MemoryLake) -> Iterator[MemorySnapshot]:
    lake.commit(patient("a", gender="female", birthDate="1970-01-31"), patient("b"))
    lake.commit(*(observation(f"o{n}", "a", n, "%", when=f"2020-01-{n + 1:02}") for n in range(9)))
    if request.param != "hot":
        lake.flush()
    lake.commit(observation("o0", "a", 100, "%"), observation("x", "b", 7), deletes=("Patient/b",))
    lake.commit(condition("c", "a", "E11.9", onsetDateTime="2019-05"), deletes=("Observation/o8",))
    if request.param == "flushed":
        lake.flush()
    yield lake.at()


def test_rows_are_the_current_ones(snapshot: MemorySnapshot) -> None:
    found = sql.run(snapshot, "SELECT id, value_number FROM observation ORDER BY id")
    assert found.rows() == [
        ("o0", 100.0), *((f"o{n}", float(n)) for n in range(1, 8)), ("x", 7.0),
    ]  # fmt: skip
    assert sql.run(snapshot, "SELECT count(*) n FROM patient").to_dicts() == [{"n": 1}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT {} FROM observation ORDER BY id",
        "SELECT {} FROM (SELECT * FROM observation) ORDER BY id",
        "WITH o AS (SELECT * FROM observation WHERE patient_id = 'a') SELECT {} FROM o ORDER BY id",
    ],
)
def test_both_ways_of_reading_agree(snapshot: MemorySnapshot, query: str) -> None:
    columns = [name for name in scan.view_columns("observation") if name != "body"]
    cached = sql.run(snapshot, query.format(", ".join(columns)))
    lazy = sql.run(snapshot, query.format("* EXCLUDE (body)"))
    assert cached.to_dicts() == lazy.to_dicts()
    assert cached.columns == lazy.columns
    assert len(cached) in (8, 9)


def test_body_is_text(snapshot: MemorySnapshot) -> None:
    ((body,),) = sql.run(snapshot, "SELECT body->>'id' FROM condition").rows()
    assert body == "c"


def test_as_of_a_past_commit(snapshot: MemorySnapshot) -> None:
    past = MemorySnapshot(snapshot.lake, 2)
    counts = (
        "SELECT (SELECT count(*) FROM patient) p, (SELECT sum(value_number) FROM observation) s"
    )
    assert sql.run(past, counts).to_dicts() == [{"p": 2, "s": 36.0}]
    assert sql.run(MemorySnapshot(snapshot.lake, 0), counts).to_dicts() == [{"p": 0, "s": None}]


def test_parameters(snapshot: MemorySnapshot) -> None:
    by_place = sql.run(snapshot, "SELECT id FROM observation WHERE value_number > ?", [50])
    by_name = sql.run(snapshot, "SELECT id FROM observation WHERE value_number > $x", {"x": 50})
    assert by_place.to_dicts() == by_name.to_dicts() == [{"id": "o0"}]


def test_times_are_utc(snapshot: MemorySnapshot) -> None:
    found = sql.run(snapshot, "SELECT effective, last_updated FROM observation WHERE id = 'o1'")
    assert found.to_dicts() == [
        {"effective": "2020-01-02T00:00:00Z", "last_updated": "2024-06-15T12:02:00Z"}
    ]


@pytest.mark.parametrize(("limit", "truncated"), [(5, True), (8, True), (9, False), (50, False)])
def test_cut_off_is_told(snapshot: MemorySnapshot, limit: int, truncated: bool) -> None:
    found = sql.run(snapshot, "SELECT id FROM observation ORDER BY id", max_rows=limit)
    assert (len(found), found.truncated) == (min(limit, 9), truncated)


def test_every_view_can_be_read_and_described(snapshot: MemorySnapshot) -> None:
    listed = {row[0] for row in sql.run(snapshot, "SHOW TABLES").rows()}
    assert listed == set(scan.view_names())
    for view in scan.view_names():
        described = sql.run(snapshot, f"DESCRIBE {view}").to_dicts()
        assert {d["column_name"]: d["column_type"] for d in described} == {
            name: kind.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")
            for name, kind in scan.view_columns(view).items()
        }
        sql.run(snapshot, f"SELECT * FROM {view}")
        sql.run(snapshot, f"SELECT count(*) FROM {view}")


def test_resource_view_has_every_type(snapshot: MemorySnapshot) -> None:
    query = "SELECT resource_type, count(*) n FROM resource GROUP BY 1 ORDER BY 1"
    found = sql.run(snapshot, query)
    assert found.rows() == [("Condition", 1), ("Observation", 9), ("Patient", 1)]


def test_nlp_entity_has_what_notes_say_alone(lake: MemoryLake) -> None:
    lake.commit(condition("c", "a", "I10"), mention(condition("d", "a", "I10"), "NEGATED"))
    found = sql.run(lake.at(), "SELECT id, nlp_traits FROM nlp_entity")
    assert found.to_dicts() == [{"id": "d", "nlp_traits": ["NEGATED"]}]


def test_medication_by_reference_has_its_codes(lake: MemoryLake) -> None:
    metformin = {"coding": [{"system": codes.RXNORM, "code": "6809", "display": "metformin"}]}
    lake.commit(
        {"resourceType": "Medication", "id": "m", "code": metformin},
        medication_request("r1", "a", None, medicationReference={"reference": "Medication/m"}),
        medication_request("r2", "a", "aspirin"),
    )
    for _ in range(2):
        found = sql.run(lake.at(), "SELECT id, code, codes, code_text FROM medication ORDER BY id")
        assert found.rows() == [
            ("r1", "6809", [f"{codes.RXNORM}|6809"], "metformin"),
            ("r2", None, None, "aspirin"),
        ]
        lake.flush()


def test_components_are_rows(lake: MemoryLake) -> None:
    def part(code: str, value: float) -> dict[str, object]:
        quantity = {"value": value, "unit": "mmHg", "code": "mm[Hg]"}
        return {
            "code": {"coding": [{"system": codes.LOINC, "code": code}]}, "valueQuantity": quantity,
        }  # fmt: skip

    panel = about(
        "Observation", "bp", "a", status="final", code={"text": "BP"},
        component=[part("8480-6", 120), part("8462-4", 80)],
    )  # fmt: skip
    lake.commit(panel, observation("o", "a", 1, "%"))
    lake.flush()
    lake.commit(panel | {"id": "bp2"}, panel | {"id": "bp3"})
    lake.commit(deletes=("Observation/bp3",))
    found = sql.run(
        lake.at(),
        "SELECT id, component, code, value_number, value_unit, patient_id "
        "FROM observation_component ORDER BY id, component",
    )
    assert found.rows() == [
        ("bp", 0, "8480-6", 120.0, "mm[Hg]", "a"), ("bp", 1, "8462-4", 80.0, "mm[Hg]", "a"),
        ("bp2", 0, "8480-6", 120.0, "mm[Hg]", "a"), ("bp2", 1, "8462-4", 80.0, "mm[Hg]", "a"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "category", "says"),
    [
        ("SELECT valeu_number FROM observation", "invalid", 'Candidate bindings: "value_number"'),
        ("SELECT 1 FROM observations", "invalid", "did you mean observation?"),
        ("SELECT foo(1)", "invalid", "foo does not exist"),
        ("SELECT CAST(family AS INTEGER) FROM patient", "invalid", "to INT32 in column family"),
        ("SELECT error(family) FROM patient", "invalid", "failed while running"),
        ("SELECT strptime(family, '%Y') FROM patient", "invalid", "failed while running"),
        ("SELECT family::DATE FROM patient", "invalid", "failed while running"),
        ("SELECT regexp_matches('', family || '(') FROM patient", "invalid", "failed while"),
        ("DELETE FROM patient", "not-supported", "only one SELECT"),
        ("SELECT * FROM __lake_patient_0_columns, patient", "invalid", "the lake's own"),
        ("SELECT id FROM patient WHERE id = $a", "invalid", "parameters"),
        ("SELECT * FROM read_csv('/etc/passwd')", "not-supported", "read_csv() is not available"),
        ("SELECT * FROM '/etc/passwd'", "invalid", "there is no view"),
    ],
)
def test_errors_say_what_to_do_and_no_data(
    lake: MemoryLake, query: str, category: str, says: str
) -> None:
    lake.commit(patient("a", name=[{"family": "Zyzzyva"}]))
    with pytest.raises(FhirError) as caught:
        sql.run(lake.at(), query)
    assert caught.value.category == category
    assert says in str(caught.value)
    assert "Zyzzyva" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_timeout_is_told(snapshot: MemorySnapshot) -> None:
    slow = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7"
    with pytest.raises(FhirError, match=r"stopped after 0\.2 s") as caught:
        sql.run(snapshot, slow, timeout_s=0.2)
    assert caught.value.category == "timeout"


def test_timeout_while_rows_are_taken(snapshot: MemorySnapshot) -> None:
    with pytest.raises(FhirError) as caught:
        sql.run(snapshot, "SELECT i FROM range(1000000000000) r(i)", timeout_s=0.2, max_rows=10**12)
    assert caught.value.category in ("timeout", "too-large")


def test_pagination_does_not_run_the_whole_query(snapshot: MemorySnapshot) -> None:
    found = sql.run(snapshot, "SELECT i FROM range(1000000000000) r(i)", max_rows=3)
    assert found.rows() == [(0,), (1,), (2,)]
    assert found.truncated


def test_many_queries_at_once(snapshot: MemorySnapshot) -> None:
    def ask(n: int) -> list[tuple[object, ...]]:
        return sql.run(snapshot, "SELECT count(*) + ? FROM observation", [n]).rows()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(64))) == [[(9 + n,)] for n in range(64)]
