"""What an audit event costs: CPU to make and append it, bytes on disk, and finding it again.

    python bench/audit_log.py [EVENTS]

Events are reads of one resource each, with a purpose, a network address and a request id, of 2,000
patients, a thousand to a commit.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from pathlib import Path

from storage.audit_record import AuditRecord, Entity
from storage.audit_trail import AuditTrail
from storage.lake import Lake

QUERIES = (("patient", ""), ("date", "ge2020"), ("action", "R"), ("agent-name", "ward"),
           ("entity-type", "2"))  # fmt: skip


def event(patient: str) -> list[AuditRecord]:
    """The records of one read."""
    trail = AuditTrail(
        "ward-app", "read", "R", "10.2.3.4", "TREAT", os.urandom(8).hex()
    )  # fmt: skip
    trail.saw([Entity("Observation", str(uuid.uuid4()), 1, "R")], [patient])
    return trail.finish(0)


def main(count: int) -> None:
    """Print one line a measurement."""
    patients = [str(uuid.uuid4()) for _ in range(2000)]
    with tempfile.TemporaryDirectory() as folder, Lake.open(Path(folder) / "lake") as lake:
        began = time.process_time()
        records = [one for n in range(count) for one in event(patients[n % 2000])]
        made = time.process_time()
        for start in range(0, count, 1000):
            lake.record_access(records[start : start + 1000]).result()
        appended = time.process_time()
        print(f"make {(made - began) / count * 1e6:.1f} us, "
              f"append {(appended - made) / count * 1e6:.1f} us an event (CPU)")  # fmt: skip
        findings = lake.verify()
        spent = (time.process_time() - appended) / count * 1e6
        print(f"verify {spent:.1f} us an event (CPU), {len(findings)} findings")
        for name, value in QUERIES:
            began = time.perf_counter()
            page = lake.search("AuditEvent", [(name, value or patients[0]), ("_count", "20")])
            ms = (time.perf_counter() - began) * 1e3
            print(f"search {name}: {page.total} events counted, page of 20 in {ms:.1f} ms")
        lake.close()
        size = (Path(folder) / "lake" / "hot.db").stat().st_size
        print(f"{size / count:.0f} bytes an event")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
