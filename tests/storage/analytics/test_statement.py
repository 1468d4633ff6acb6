"""Which statements are read-only, and what they read."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from schemas.outcomes import FhirError
from storage.analytics.session import Engine
from storage.analytics.statement import inspect

_ENGINE = Engine()


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with _ENGINE.session(10) as session:
        yield session.connection


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("SELECT * FROM observation", {"observation"}),
        ("FROM Observation", {"observation"}),
        ("WITH c AS (SELECT * FROM condition) SELECT * FROM c, patient", {"condition", "patient"}),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM claim)", {"claim"}),
        ("SELECT (SELECT max(t) FROM document) FROM patient", {"document", "patient"}),
        ("SELECT * FROM patient JOIN (FROM encounter) e USING (patient_id)", {"encounter"}),
        ("DESCRIBE procedure", {"procedure"}),
        ("SUMMARIZE procedure", {"procedure"}),
        ("EXPLAIN SELECT * FROM claim", {"claim"}),
        ("/* why */ EXPLAIN ANALYZE SELECT * FROM claim", {"claim"}),
        ("EXPLAIN (FORMAT json) SELECT * FROM claim", {"claim"}),
        ("VALUES (1)", set()),
        ("SHOW TABLES", set()),
        ("SELECT * FROM claim WHERE id = ?", {"claim"}),
        ("SELECT * FROM claim WHERE id = $id", {"claim"}),
        ("FROM (PIVOT claim ON status IN ('a') USING count(*))", {"claim"}),
    ],
)
def test_tables(connection: duckdb.DuckDBPyConnection, query: str, tables: set[str]) -> None:
    assert tables <= inspect(connection, query).tables


def test_only_the_columns_named(connection: duckdb.DuckDBPyConnection) -> None:
    found = inspect(connection, "SELECT o.Code, count(*) FROM observation o GROUP BY ALL")
    assert not found.whole
    assert "code" in found.names
    assert "value" not in found.names


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM observation",
        "SELECT o.* EXCLUDE (id) FROM observation o",
        "SELECT COLUMNS('c.*') FROM observation",
        "SELECT o FROM observation o",
        "SELECT observation FROM observation",
        "SELECT count(*) FROM observation NATURAL JOIN patient",
        "FROM observation",
        "DESCRIBE observation",
        "SELECT x.* FROM observation o, LATERAL (SELECT o.*) x",
        "SELECT unnest(o) FROM observation o",
    ],
)
def test_all_columns(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    assert "observation" in inspect(connection, query).whole


@pytest.mark.parametrize(
    "query",
    [
        "WITH o AS (SELECT code FROM observation) SELECT * FROM o",
        "SELECT * FROM (SELECT code FROM observation)",
        "SELECT count(*) FROM observation",
        "SELECT code FROM observation WHERE id IN (SELECT * FROM (VALUES ('a')))",
        "SELECT p.* FROM patient p WHERE EXISTS (SELECT 1 FROM observation o)",
    ],
)
def test_star_of_something_else(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    assert "observation" not in inspect(connection, query).whole


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO patient VALUES (1)",
        "DELETE FROM patient",
        "UPDATE patient SET id = 1",
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "DROP VIEW patient",
        "COPY patient TO 'x.csv'",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 1",
        "PRAGMA version",
        "CALL pragma_version()",
        "PREPARE a AS SELECT 1",
        "BEGIN",
        "CHECKPOINT",
        "EXPLAIN DELETE FROM patient",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x'",
        "WITH x AS (INSERT INTO patient VALUES (1) RETURNING *) SELECT * FROM x",
        "PIVOT claim ON status USING count(*)",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE patient",
        "",
        "-- nothing",
    ],
)
def test_refused(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(FhirError) as caught:
        inspect(connection, query)
    assert caught.value.category in ("not-supported", "invalid")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM query_table('patient')",
        "SELECT * FROM arrow_scan(1, 2, 3)",
        "SELECT * FROM json_execute_serialized_sql('{}')",
        "WITH x AS (SELECT * FROM glob('*')) SELECT * FROM x",
        "SELECT (SELECT count(*) FROM read_text('/etc/passwd'))",
    ],
)
def test_table_functions_that_reach_out(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(FhirError, match="is not available") as caught:
        inspect(connection, query)
    assert caught.value.category == "not-supported"


def test_harmless_table_functions(connection: duckdb.DuckDBPyConnection) -> None:
    inspect(connection, "SELECT * FROM range(3), unnest([1]), generate_series(1, 2)")


def test_relations_of_the_lake_itself(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(FhirError, match="the lake's own"):
        inspect(connection, "SELECT * FROM __LAKE_patient_0_columns")


def test_syntax_error_quotes_no_literal(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(FhirError, match="cannot be parsed") as caught:
        inspect(connection, "SELECT * FORM patient WHERE family = 'Smith'")
    assert "Smith" not in str(caught.value)


def test_comments_are_not_tried_in_every_combination(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert inspect(connection, "/**/" * 5000 + "SELECT 1").tables == frozenset()
    assert inspect(connection, "/**/" * 5000 + "EXPLAIN FROM claim").tables == {"claim"}


def test_deep_nesting_is_refused_or_read(connection: duckdb.DuckDBPyConnection) -> None:
    for depth in (50, 900, 20_000):
        query = "SELECT " + "(1 + " * depth + "1" + ")" * depth
        try:
            inspect(connection, query)
        except FhirError as exc:
            assert exc.category == "invalid"
            assert depth > 50
