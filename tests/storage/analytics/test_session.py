"""A session reaches nothing but what is registered with it, and stops when it is due."""

from __future__ import annotations

import os
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from storage.analytics.session import Engine, SessionSettings

ESCAPES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_csv('https://example.org/x.csv')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "ATTACH '{folder}/other.db'",
    "EXPORT DATABASE '{folder}/all'",
    "IMPORT DATABASE '{folder}/all'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "INSTALL '{folder}/x.duckdb_extension'",
    "CREATE SECRET (TYPE s3)",
    "SET enable_external_access = true",
    "SET temp_directory = '{folder}'",
    "SET memory_limit = '100GB'",
    "SET python_enable_replacements = true",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "PRAGMA profiling_output = '{folder}/profile.json'",
    "SELECT getenv('HOME')",
]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(SessionSettings(memory_limit_mb=128, threads=2))


@pytest.mark.parametrize("statement", ESCAPES)
def test_no_way_out(engine: Engine, tmp_path: Path, statement: str) -> None:
    with engine.session(10) as session, pytest.raises(duckdb.Error):
        session.connection.execute(statement.format(folder=tmp_path)).fetchall()
    assert list(tmp_path.iterdir()) == []


def test_python_variables_are_not_relations(engine: Engine) -> None:
    secret = pa.table({"a": [1]})
    with engine.session(10) as session, pytest.raises(duckdb.CatalogException):
        session.connection.sql("SELECT * FROM secret")
    assert secret.num_rows == 1


def test_registered_arrow_is_readable_and_private_to_its_session(engine: Engine) -> None:
    with engine.session(10) as one, engine.session(10) as other:
        one.connection.register("mine", pa.table({"a": [1, 2]}))
        assert one.connection.execute("SELECT sum(a) FROM mine").fetchall() == [(3,)]
        with pytest.raises(duckdb.CatalogException):
            other.connection.execute("SELECT * FROM mine")


def test_times_are_utc(engine: Engine) -> None:
    with engine.session(10) as session:
        ((zone,),) = session.connection.execute("SELECT current_setting('TimeZone')").fetchall()
    assert zone in ("UTC", "Etc/UTC")


def test_overdue_query_is_interrupted(engine: Engine) -> None:
    begun = time.monotonic()
    with engine.session(0.2) as session, pytest.raises(duckdb.InterruptException):
        session.connection.execute(
            "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7"
        ).fetchall()
    assert time.monotonic() - begun < 3
    assert session.timed_out


def test_interrupt_that_comes_before_the_query_is_repeated(engine: Engine) -> None:
    with engine.session(0.05) as session:
        time.sleep(0.2)
        with pytest.raises(duckdb.InterruptException):
            session.connection.execute(
                "SELECT count(*) FROM range(1000000) a, range(1000000) b "
                "WHERE a.range * b.range = 7"
            ).fetchall()


def test_nothing_spills_to_disk(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with engine.session(30) as session, pytest.raises(duckdb.OutOfMemoryException):
        session.connection.execute(
            "SELECT count(*) FROM (SELECT DISTINCT i, repeat(i::VARCHAR, 9) FROM "
            "range(20000000) r(i))"
        ).fetchall()
    assert os.listdir(tmp_path) == []


def test_engine_outlives_a_failed_query(engine: Engine) -> None:
    with pytest.raises(duckdb.Error), engine.session(10) as session:
        session.connection.execute("SELECT * FROM nowhere")
    with engine.session(10) as session:
        assert session.connection.execute("SELECT 1").fetchall() == [(1,)]
