"""Spark over the encrypted segments, in place: when one machine is too small.

    spark = spark_session("chartlake-spark.jar").getOrCreate()
    observations = read(spark, lake, "Observation", at=1200)

Spark's own Parquet reader decrypts the segments (Parquet Modular Encryption), with the segment keys
that this process takes from the lake's key store; `deploy/spark` has the class that it asks for
them. Needs pyspark (`pip install 'chartlake[spark]'`) and Java 17.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from schemas.outcomes import error
from schemas.structure import RESOURCE_TYPES
from storage.process_trail import process_trail

if TYPE_CHECKING:
    from storage.lake import Lake
    from storage.segments import SegmentFile

_FACTORY = "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory"
_KMS_CLIENT = "org.chartlake.SegmentKmsClient"

_REQUIRED = {
    # What Spark shuffles, spills and caches on disk is encrypted, with a key of the application's.
    "spark.io.encryption.enabled": "true",
    # Times are UTC, as in every other answer of the lake.
    "spark.sql.session.timeZone": "UTC",
}


def spark_session(jar: str, master: str = "local[*]") -> Any:
    """A `SparkSession.Builder` that can read lakes; `jar` is what `deploy/spark/build` made.

    Raises FhirError `not-supported` when pyspark is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise error(
            "not-supported", "Spark is not installed: pip install 'chartlake[spark]'."
        ) from None
    builder = SparkSession.builder.master(master).config("spark.jars", jar)
    for name, value in _REQUIRED.items():
        builder = builder.config(name, value)
    # The event log and the web UI would show filters, which may name patients.
    return builder.config("spark.eventLog.enabled", "false").config("spark.ui.enabled", "false")


def read(spark: Any, lake: Lake, resource_type: str, *, at: int | None = None) -> Any:
    """A Spark DataFrame of the resources of a type that are current at `at` (None: now).

    Columns are those of the segments: `id`, `patient_id`, `version_id`, `last_updated`, `t`, the
    type's flat columns, and `body` (JSON text). Later commits do not change it. When compaction
    or an erase removes one of its files, Spark says that the file is missing: read again then.

    It is recorded in the audit log, with the type, as `spark` by this process's user.

    Raises FhirError: `unknown-type`, `value` (no such commit), `forbidden` for a session that would
    write plaintext to disk.
    """
    if resource_type not in RESOURCE_TYPES:
        raise error("unknown-type", f"{resource_type[:64]!r} is not a resource type of FHIR R4.")
    for name, value in _REQUIRED.items():
        if spark.conf.get(name, "").lower() != value.lower():
            raise error(
                "forbidden",
                f"This Spark session must be made with {name}={value}; use spark_session().",
            )
    # Spark reads when it likes, so what is recorded is that it was let in: to which type.
    with process_trail(lake, "spark", "E", parameters=(resource_type,)):
        return _current(spark, lake, resource_type, at)


def _current(spark: Any, lake: Lake, resource_type: str, at: int | None) -> Any:
    snapshot = lake.snapshot(at)
    segments = snapshot.segments(resource_type)
    hot = spark.createDataFrame(snapshot.hot_rows(resource_type))
    if segments:
        keys = ",".join(
            f"{segment.name}={base64.b64encode(lake.segment_key(segment.name)).decode()}"
            for segment in segments
        )
        reader = (
            spark.read.option("parquet.crypto.factory.class", _FACTORY)
            .option("parquet.encryption.kms.client.class", _KMS_CLIENT)
            .option("parquet.encryption.key.access.token", keys)
            # Segments of an older release may lack a column.
            .option("mergeSchema", "false")
            .schema(hot.schema)
        )
        found = reader.parquet(*[_uri(segment) for segment in segments]).unionByName(hot)
    else:
        found = hot
    hidden = pa.table({"v": snapshot.superseded(resource_type)})
    current = found.filter("not deleted")
    if hidden.num_rows:
        current = current.join(spark.createDataFrame(hidden), "v", "left_anti")
    current = current.withColumn("body", current["body"].cast("string"))
    return current.drop("v", "deleted", "method")


def _uri(segment: SegmentFile) -> str:
    """Where Hadoop's file systems find a segment."""
    scheme = {"local": "file://", "s3": "s3a://"}[segment.filesystem.type_name]
    return f"{scheme}{segment.path}"
