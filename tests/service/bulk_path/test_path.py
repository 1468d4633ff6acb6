"""The fast way: the same outcome as the ordinary one, in one process and by several."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from schemas.parse import canonical_bytes
from service.bulk_path import Batch, BulkPath
from service.bulk_path import accepting as accepting_module
from service.ingest import Ingest
from service.synth import generate_resources
from storage.lake import Lake, Put


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with Lake.open(tmp_path / "lake") as lake:
        yield Ingest(lake, max_note_bytes=100_000)


@pytest.fixture
def every_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting_module, "LEAST_ROWS", 1)


def observation(n: int, **more: Any) -> bytes:
    return canonical_bytes(
        {
            "resourceType": "Observation",
            "id": f"o{n}",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": f"{n % 5}-1"}]},
            "subject": {"reference": f"Patient/p{n % 9}"},
            **more,
        }
    )


def test_each_body_has_one_outcome(ingest: Ingest, every_type: None) -> None:
    bodies = [
        observation(0),
        b'{"resourceType":"Observation","id":"o1"}',
        b'{"resourceType":"Observation",',
        observation(2, status="wrong"),
        observation(0, status="amended"),
        canonical_bytes({"resourceType": "ValueSet", "id": "v", "status": "draft"}),
        b'{"resourceType":"Patient"}',
        observation(7, meta={"tag": [{"system": "urn:a", "code": "b"}]}),
        b' {"resourceType": "Patient", "id": "p1"}\n',
    ]
    with BulkPath(ingest, processes=0) as path:
        (outcome,) = path.run([Batch(bodies, tag="file")])
        assert outcome.stored == {0: 1, 7: 1, 8: 1}
        assert sorted(outcome.refused) == [1, 2, 3]
        assert outcome.refused[3].issues[0].expression == ("Observation.status",)
        assert outcome.left == [4, 5, 6]
        assert outcome.kinds == {"Observation": 2, "Patient": 1}
        (again,) = path.run([Batch(bodies)])
    assert (again.stored, again.unchanged, again.t) == ({}, [0, 7, 8], outcome.t)
    assert ingest.lake.read("Observation", "o7").resource()["meta"]["tag"][0]["code"] == "b"
    assert ingest.lake.verify() == []


def test_few_resources_of_a_type_are_left(ingest: Ingest) -> None:
    bodies = [observation(n) for n in range(300)] + [b'{"resourceType":"Patient","id":"p"}']
    with BulkPath(ingest, processes=0) as path:
        (outcome,) = path.run([Batch(bodies)])
    assert (len(outcome.stored), outcome.left) == (300, [300])


def test_profiles_of_the_lake_are_applied(ingest: Ingest, every_type: None) -> None:
    profile: dict[str, Any] = {
        "resourceType": "StructureDefinition",
        "id": "sd",
        "url": "http://example.org/sd",
        "name": "Sd",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Observation",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation",
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Observation", "path": "Observation"},
                {"id": "Observation.method", "path": "Observation.method", "min": 1},
            ]
        },
    }
    claims = {"meta": {"profile": ["http://example.org/sd"]}}
    with BulkPath(ingest, processes=0) as path:
        (before,) = path.run([Batch([observation(1, **claims)])])
        ingest.lake.transact([Put(profile)])
        (after,) = path.run([Batch([observation(2, **claims), observation(3)])])
    assert before.stored == {0: 1}
    assert list(after.refused) == [0] and after.stored == {1: 1}


def test_processes_do_the_same(ingest: Ingest, tmp_path: Path) -> None:
    bodies = [
        canonical_bytes(resource) for index in range(8) for resource in generate_resources(index, 3)
    ]
    batches = [bodies[at : at + 1200] for at in range(0, len(bodies), 1200)]
    with Lake.open(tmp_path / "other") as other, BulkPath(ingest, processes=2) as path:
        alone = BulkPath(Ingest(other, max_note_bytes=100_000), processes=0)
        ours = list(path.run(Batch(one) for one in batches))
        theirs = list(alone.run(Batch(one) for one in batches))
        assert [(o.stored, o.left, o.kinds) for o in ours] == [
            (o.stored, o.left, o.kinds) for o in theirs
        ]
        assert sum(len(o.stored) for o in ours) > 250
        assert not any(o.refused for o in ours)
        for worker in path._workers:
            worker._process.kill()
        with pytest.raises(FhirError, match="ended before it was done"):
            list(path.run([Batch([observation(n) for n in range(300)])]))
        for params in ([("code", "http://loinc.org|8867-4")], [("date", "gt2015")]):
            found = [
                [v.id for v in lake.search("Observation", params).versions]
                for lake in (ingest.lake, other)
            ]
            assert found[0] == found[1]
    assert ingest.lake.verify(sample=300) == []


_IMPORT = """
import sys
from schemas.parse import canonical_bytes
from service.bulk_path import Batch, BulkPath
from service.ingest import Ingest
from storage.lake import Lake
from tests.service.bulk_path.batches import batch

with Lake.open(sys.argv[1]) as lake:
    path = BulkPath(Ingest(lake, max_note_bytes=1000), processes=0)
    first = lake.cursor("import") + 1
    batches = (Batch(batch(n), cursor=("import", n), tag=n) for n in range(first, 10_000))
    for outcome in path.run(batches):
        print(outcome.batch.tag, flush=True)
"""


def test_killed_at_any_moment_batches_are_whole(tmp_path: Path) -> None:
    """SIGKILL in the middle of batches: all that was acknowledged is there, and no half batch."""
    folder, acknowledged = tmp_path / "lake", 0
    script = tmp_path / "run.py"
    script.write_text(_IMPORT.replace("from tests.service.bulk_path.batches import batch", _BATCH))
    for wait_s in (0.05, 0.3):
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        acknowledged = int(process.stdout.readline())
        time.sleep(wait_s)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        acknowledged = max([acknowledged, *map(int, rest)])
        process.wait()
        with Lake.open(folder) as lake:
            done = lake.cursor("import")
            assert done >= acknowledged
            counts = [
                lake.search("Observation", [("code", f"b{n}"), ("_total", "accurate")]).total
                for n in range(1, done + 3)
            ]
            assert counts == [300] * done + [0, 0]
            assert lake.t == done
            assert lake.verify() == []


_BATCH = """
def batch(n):
    return [
        canonical_bytes({
            "resourceType": "Observation", "id": f"o{n}-{k}", "status": "final",
            "code": {"coding": [{"code": f"b{n}"}]},
            "subject": {"reference": f"Patient/p{k % 9}"},
        })
        for k in range(300)
    ]
"""
