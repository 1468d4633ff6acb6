"""What callers are told when the database cannot write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from schemas.outcomes import FhirError
from storage.lake import Lake, Put

Make = Callable[..., dict[str, Any]]


def test_a_full_disk_refuses_and_recovers(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient("a"))])
    lake._writer.run(lambda c: None)
    pages = lake._writer._connection.execute("PRAGMA page_count").get
    lake._writer._connection.execute(f"PRAGMA max_page_count = {pages}")
    large = {"text": {"status": "generated", "div": "<div>" + "x" * 200_000 + "</div>"}}
    with pytest.raises(FhirError) as failure:
        lake.transact([Put(patient("b", **large))])
    assert failure.value.category == "unavailable"
    assert "full" in str(failure.value)
    assert lake.t == 1
    lake._writer._connection.execute("PRAGMA max_page_count = 1073741823")
    assert lake.transact([Put(patient("b", **large))]).t == 2
    assert lake.verify() == []


@pytest.mark.parametrize("kind", [apsw.IOError, apsw.CorruptError])
def test_after_a_disk_failure_nothing_is_acknowledged_any_more(
    tmp_path: Path, patient: Make, kind: type[apsw.Error]
) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient("a"))])

        def fail(_connection: apsw.Connection) -> None:
            raise kind("x")

        for call in (lambda: lake._writer.run(fail), lambda: lake.transact([Put(patient("b"))])):
            with pytest.raises(FhirError) as failure:
                call()
            assert failure.value.category == "unavailable"
        assert "restart" in str(failure.value)
        assert lake.read("Patient", "a").version_id == 1
    with Lake.open(tmp_path / "lake") as lake:
        assert (lake.t, lake.stats()["resources"]) == (1, {"Patient": 1})
        assert lake.transact([Put(patient("b"))]).t == 2
