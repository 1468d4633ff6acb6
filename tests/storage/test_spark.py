"""A real Spark reads the encrypted segments in place, and finds what the lake itself finds."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage import spark as lake_spark
from storage.lake import Delete, Lake, Put

Make = Callable[..., dict[str, Any]]

BUILD = Path(__file__).parents[2] / "deploy" / "spark" / "build"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("pyspark", reason="pip install 'chartlake[spark]' to test with Spark")
    if shutil.which("javac") is None:
        pytest.skip("Spark needs Java 17 with javac (Debian: openjdk-17-jdk-headless)")
    folder = tmp_path_factory.mktemp("spark")
    jar = folder / "chartlake-spark.jar"
    subprocess.run(
        [BUILD, jar], check=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    )
    builder = lake_spark.spark_session(str(jar), "local[2]")
    builder = builder.config("spark.sql.shuffle.partitions", "2")
    builder = builder.config("spark.driver.host", "127.0.0.1")
    builder = builder.config("spark.local.dir", str(folder))
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def filled(lake: Lake, patient: Make, observation: Make) -> Lake:
    """Two segments of Observations, hot rows, an update, a deletion."""
    for start in (0, 50):
        lake.transact([Put(observation(f"o{n}")) for n in range(start, start + 50)])
        lake.flush()
    lake.transact([Put(observation("o1", status="amended")), Delete("Observation", "o2")])
    lake.flush()
    lake.transact([Put(observation("hot")), Put(observation("o3", status="corrected"))])
    lake.transact([Put(patient("p1"))])
    return lake


def rows(frame: Any) -> list[tuple[Any, ...]]:
    found = frame.select("id", "version_id", "status", "t", "body").collect()
    return sorted(tuple(row) for row in found)


def expected(lake: Lake, at: int | None = None) -> list[tuple[Any, ...]]:
    query = "SELECT id, version_id, status, t, body FROM observation ORDER BY id"
    return sorted(lake.sql(query, at=at).rows())


def test_spark_finds_what_the_lake_finds_now_and_as_of_any_commit(filled: Lake, spark: Any) -> None:
    assert len(expected(filled)) == 100
    assert rows(lake_spark.read(spark, filled, "Observation")) == expected(filled)
    for at in range(1, filled.t + 1):
        assert rows(lake_spark.read(spark, filled, "Observation", at=at)) == expected(filled, at)


def test_what_is_only_hot_or_not_there_at_all(filled: Lake, spark: Any) -> None:
    assert [row.id for row in lake_spark.read(spark, filled, "Patient").collect()] == ["p1"]
    assert lake_spark.read(spark, filled, "Encounter").count() == 0


def test_the_segments_cannot_be_read_without_their_keys(filled: Lake, spark: Any) -> None:
    paths = [segment.path for segment in filled.snapshot().segments("Observation")]
    with pytest.raises(Exception, match=r"(?i)encrypt|crypto|footer"):
        spark.read.parquet(*paths).count()
    with pytest.raises(Exception, match="no key for segment"):
        (
            spark.read.option("parquet.crypto.factory.class", lake_spark._FACTORY)
            .option("parquet.encryption.kms.client.class", lake_spark._KMS_CLIENT)
            .option("parquet.encryption.key.access.token", "other=AAAA")
            .parquet(*paths)
            .count()
        )


def test_a_session_that_would_spill_plaintext_is_refused(filled: Lake, spark: Any) -> None:
    class Careless:
        class conf:
            @staticmethod
            def get(name: str, default: str) -> str:
                return {"spark.sql.session.timeZone": "UTC"}.get(name, default)

    with pytest.raises(FhirError, match=r"spark\.io\.encryption\.enabled"):
        lake_spark.read(Careless(), filled, "Observation")


def test_an_unknown_type_is_refused(filled: Lake, spark: Any) -> None:
    with pytest.raises(FhirError, match="not a resource type"):
        lake_spark.read(spark, filled, "Observatory")


def test_keys_are_not_shown_in_plans(filled: Lake, spark: Any) -> None:
    frame = lake_spark.read(spark, filled, "Observation")
    plan = frame._jdf.queryExecution().toString()
    for segment in filled.snapshot().segments("Observation"):
        assert base64.b64encode(filled.segment_key(segment.name)).decode() not in plan
