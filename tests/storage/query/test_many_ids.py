"""Sets of many ids find the same resources, however many versions are hot."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.lake import Delete, Lake, Put
from storage.query import plan

PATIENTS = 60


@pytest.mark.parametrize("most_hot", [0, 5, 500])
def test_ids_from_elsewhere_find_hot_and_flushed_resources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_hot: int
) -> None:
    monkeypatch.setattr(plan, "_FEW_HOT", most_hot)
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact(
            [
                Put({"resourceType": "Patient", "id": f"p{n}", "active": n % 2 == 0})
                for n in range(PATIENTS)
            ]
        )
        lake.transact([
            Put({
                "resourceType": "Observation",
                "id": f"o{n}",
                "status": "final",
                "code": {"text": "weight"},
                "subject": {"reference": f"Patient/p{n}"},
            })
            for n in range(PATIENTS)
        ])  # fmt: skip
        everyone = {f"p{n}" for n in range(PATIENTS)}

        def found(*params: tuple[str, str], at: int | None = None) -> set[str]:
            asked = [("_has:Observation:subject:status", "final"), ("_count", "100"), *params]
            page = lake.search("Patient", asked, at=at)
            assert page.total == len(page.versions)
            return {version.id for version in page.versions}

        assert found() == everyone
        lake.flush()
        assert found() == found() == everyone
        flushed_t = lake.t

        lake.transact(
            [
                Delete("Patient", "p0"),
                *(
                    Put({"resourceType": "Patient", "id": f"p{n}", "active": False})
                    for n in range(2, 12)
                ),
                Put({"resourceType": "Patient", "id": "new"}),
            ]
        )
        assert found() == everyone - {"p0"}
        active = {f"p{n}" for n in range(12, PATIENTS, 2)}
        assert found(("active", "true")) == active
        assert found(("active", "false")) == everyone - active - {"p0"}
        assert found(at=flushed_t) == everyone
        lake.flush()
        assert found() == everyone - {"p0"}
