"""A lake whose segments are in an object store: moto's server, spoken to over HTTP."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto.server")

import boto3
from moto.server import ThreadedMotoServer

from schemas.outcomes import FhirError
from storage import s3_segment_files
from storage.backup.backup_folder import BackupFolder
from storage.backup.restore import restore
from storage.lake import Lake, Put
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey
from storage.s3_segment_files import MARKER, S3SegmentFiles

Make = Callable[..., dict[str, Any]]
BUCKET = "hospital"


class Store:
    """A server that can be stopped and started again, with its objects."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.server: ThreadedMotoServer | None = None
        self.start()
        self.client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1"
        )
        self.client.create_bucket(Bucket=BUCKET)

    def start(self) -> None:
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def url(self, prefix: str) -> str:
        address = f"endpoint_override=127.0.0.1:{self.port}"
        return f"s3://{BUCKET}/{prefix}?{address}&region=us-east-1&scheme=http"

    def keys(self, prefix: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")
        return [item["Key"][len(prefix) + 1 :] for item in found.get("Contents", [])]

    def uploads(self) -> int:
        return len(self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setattr(s3_segment_files, "_TRIES", 1)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        found = Store()
        yield found
        found.stop()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)[:60].strip("_[]")


def fill(lake: Lake, patient: Make, observation: Make, times: int = 3) -> None:
    for number in range(times):
        lake.transact(
            [Put(patient("p1", multipleBirthInteger=number))]
            + [Put(observation(f"o{number}-{n}", patient="p1")) for n in range(5)]
        )
        lake.flush()


@pytest.mark.slow
def test_everything_works_from_the_store(
    store: Store, prefix: str, tmp_path: Path, patient: Make, observation: Make
) -> None:
    path = tmp_path / "lake"
    with Lake.open(path, segments_url=store.url(prefix)) as lake:
        fill(lake, patient, observation)
        before = [(v.id, v.body) for v in lake.changes(0)]
        assert lake.stats()["bytes"] > sum(f.stat().st_size for f in path.rglob("*.db"))
        assert not list((path / "lake").rglob("*.parquet"))
        assert len(store.keys(prefix)) == 7
    with Lake.open(path) as lake:  # it knows where its segments are
        assert [(v.id, v.body) for v in lake.changes(0)] == before
        assert lake.sql("SELECT count(*), count(body) FROM observation").rows() == [(15, 15)]
        assert len(lake.timeline("p1", types=["Observation"])) == 15
        assert lake.verify() == []
        assert lake.compact() == 6
        assert lake.verify() == []
        assert [(v.id, v.body) for v in lake.changes(0)] == before
        assert lake._retirement.remove(grace_s=0) == 6
        assert len(store.keys(prefix)) == 3
        assert lake.verify() == []
        assert lake.sql("SELECT count(*), count(body) FROM observation").rows() == [(15, 15)]
    assert store.uploads() == 0


def test_a_cohort_is_found_in_the_store(
    store: Store, prefix: str, tmp_path: Path, patient: Make, observation: Make
) -> None:
    with Lake.open(tmp_path / "lake", segments_url=store.url(prefix)) as lake:
        fill(lake, patient, observation, times=1)
        code = {"system": "http://loinc.org", "code": "4548-4"}
        found = lake.cohort({"name": "a1c", "include": [{"observation": {"codes": [code]}}]})
        assert [member["patient_id"] for member in found.members] == ["p1"]


def test_large_segments_go_in_parts_and_a_failed_one_leaves_nothing(
    store: Store, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_segment_files, "_PART_BYTES", 5 * 2**20)
    files = S3SegmentFiles(store.url(prefix))
    content = bytes(range(256)) * 4096 * 13
    with files.writing("Patient", "whole") as sink:
        for start in range(0, len(content), 100_000):
            sink.write(content[start : start + 100_000])
    assert files.size("Patient", "whole") == len(content) == sink.bytes
    assert files.sha256("Patient", "whole") == sink.sha256
    with pytest.raises(RuntimeError), files.writing("Patient", "half") as sink:
        sink.write(content)
        assert store.uploads() == 1
        raise RuntimeError
    assert files.list() == ["Patient/whole.parquet"]
    assert store.uploads() == 0
    key = f"{prefix}/Patient/crashed.parquet"
    store.client.create_multipart_upload(Bucket=BUCKET, Key=key)
    files.delete("Patient", "crashed")
    files.delete("Patient", "whole")
    assert (store.uploads(), files.list()) == (0, [])


def test_a_store_that_is_away_stops_segments_but_not_the_hot_tier(
    store: Store, prefix: str, tmp_path: Path, patient: Make, observation: Make
) -> None:
    path = tmp_path / "lake"
    with Lake.open(path, segments_url=store.url(prefix)) as lake:
        fill(lake, patient, observation, times=1)
    with Lake.open(path) as lake:
        lake.transact([Put(patient("hot"))])
        store.stop()
        try:
            for work in (
                lambda: lake.read("Patient", "p1"),
                lambda: lake.sql("SELECT count(code) FROM observation"),
                lambda: lake.sql("SELECT body FROM observation"),
                lambda: lake.timeline("p1"),
                lake.flush,
                lake.compact,
                lake.verify,
            ):
                with pytest.raises(FhirError) as told:
                    work()
                assert told.value.category == "unavailable", work
                assert store.url(prefix) in told.value.issues[0].diagnostics
            assert lake.read("Patient", "hot").version_id == 1
            lake.transact([Put(patient("hot", active=True))])
            assert lake.stats()["hot_rows"] == 2
        finally:
            lake.close()
        with Lake.open(path) as lake:  # opens without its store, too
            assert lake.read("Patient", "hot").version_id == 2
            store.start()
            store.client.create_bucket(Bucket=BUCKET)


def test_what_was_not_flushed_for_a_store_that_was_away_is_flushed_later(
    store: Store,
    prefix: str,
    tmp_path: Path,
    patient: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Lake.open(tmp_path / "lake", segments_url=store.url(prefix)) as lake:
        lake.transact([Put(patient("p1"))])

        def away(*_args: Any, **_named: Any) -> Any:
            raise OSError("AWS Error NETWORK_CONNECTION")

        with monkeypatch.context() as patched:
            patched.setattr(s3_segment_files._Upload, "complete", away)
            with pytest.raises(FhirError, match="cannot be used"):
                lake.flush()
        assert lake.read("Patient", "p1").version_id == 1
        lake.flush()
        assert lake.stats()["hot_rows"] == 0
        assert len(store.keys(prefix)) == 2
        assert lake.verify() == []


def test_a_backup_of_it_is_restored_into_a_folder_and_lets_its_store_be(
    store: Store, prefix: str, tmp_path: Path, patient: Make, observation: Make
) -> None:
    path, target = tmp_path / "lake", tmp_path / "restored"
    with Lake.open(path, segments_url=store.url(prefix)) as lake:
        fill(lake, patient, observation, times=2)
        before = [(v.id, v.body) for v in lake.changes(0)]
        lake.backup(tmp_path / "backups")
    there = store.keys(prefix)
    restore(
        BackupFolder(tmp_path / "backups"),
        LakeFolder(target),
        path / "keys" / "keystore.json",
        KeyFileMasterKey(path / "keys" / "master.key"),
    )
    with Lake.open(target, master_key=KeyFileMasterKey(path / "keys" / "master.key")) as lake:
        assert [(v.id, v.body) for v in lake.changes(0)] == before
        assert lake.verify() == []
        assert lake.compact() == 4
        lake._retirement.remove(grace_s=0)
    assert store.keys(prefix) == there


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_object_is_named(
    store: Store, prefix: str, tmp_path: Path, patient: Make, damage: str
) -> None:
    with Lake.open(tmp_path / "lake", segments_url=store.url(prefix)) as lake:
        lake.transact([Put(patient(f"p{n}")) for n in range(40)])
        lake.flush()
        (key,) = [key for key in store.keys(prefix) if key != MARKER]
        at = {"Bucket": BUCKET, "Key": f"{prefix}/{key}"}
        content = bytearray(store.client.get_object(**at)["Body"].read())
        if damage == "gone":
            store.client.delete_object(**at)
        elif damage == "cut":
            store.client.put_object(**at, Body=bytes(content[: len(content) // 2]))
        else:
            content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
            store.client.put_object(**at, Body=bytes(content))
        name = key.split("/")[1].removesuffix(".parquet")
        assert name in "\n".join(map(str, lake.verify()))
        for work in (
            lambda: [v.body for v in lake.changes(0)],
            lambda: lake.sql("SELECT body, * FROM patient"),
        ):
            with pytest.raises(FhirError) as told:
                work()
            assert told.value.category == "internal"


def test_another_place_or_another_lakes_store_is_refused(
    store: Store, prefix: str, tmp_path: Path, patient: Make
) -> None:
    path, other = tmp_path / "lake", tmp_path / "other"
    with Lake.open(path, segments_url=store.url(prefix)) as lake:
        lake.transact([Put(patient("p1"))])
        lake.flush()
    with pytest.raises(FhirError, match="keeps its segments in"):
        Lake.open(path, segments_url=store.url("elsewhere"))
    with pytest.raises(FhirError, match="segments of another lake"):
        Lake.open(other, segments_url=store.url(prefix))
    assert not (other / "hot.db").exists()
    assert not (other / "keys" / "keystore.json").exists()
    with Lake.open(other):
        pass
    with pytest.raises(FhirError, match="keeps its segments in"):
        Lake.open(other, segments_url=store.url("elsewhere"))
    at = {"Bucket": BUCKET, "Key": f"{prefix}/{MARKER}"}
    marker = store.client.get_object(**at)["Body"].read()
    for content in (None, b'{"lake": "another"}', b"?"):
        store.client.delete_object(**at)
        if content:
            store.client.put_object(**at, Body=content)
        with pytest.raises(FhirError) as told:
            Lake.open(path)
        assert told.value.category == "invalid"
        assert store.url(prefix) in told.value.issues[0].diagnostics
    store.client.put_object(**at, Body=marker)
    with Lake.open(path) as lake:
        assert lake.read("Patient", "p1").version_id == 1


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3:///prefix",
        "https://bucket/prefix",
        "s3://key:secret@bucket/prefix",
        "s3://bucket/prefix?access_key=x",
        "s3://bucket/prefix?scheme=ftp",
    ],
)
def test_malformed_urls_are_refused_without_repeating_secrets(url: str, tmp_path: Path) -> None:
    with pytest.raises(FhirError) as told:
        Lake.open(tmp_path / "lake", segments_url=url)
    assert told.value.category == "value"
    assert "secret" not in str(told.value)
    assert not (tmp_path / "lake" / "hot.db").exists()


def test_a_crash_between_the_steps_leaves_no_orphan(
    store: Store, prefix: str, tmp_path: Path, patient: Make
) -> None:
    path = tmp_path / "lake"
    with Lake.open(path, segments_url=store.url(prefix)) as lake:
        lake.transact([Put(patient("p1"))])
    code = """
import os, sys
from storage.lake import Lake
from storage.new_segments import NewSegments
NewSegments.record = lambda *_: os._exit(9)
Lake.open(sys.argv[1]).flush()
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == 9
    assert len(store.keys(prefix)) == 2
    with Lake.open(path) as lake:
        assert store.keys(prefix) == [MARKER]
        assert lake.verify() == []
        lake.flush()
        assert len(store.keys(prefix)) == 2
        assert lake.verify() == []
