"""A search that comes again is answered from the order kept of it, and the same without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage.lake import Lake, Put
from storage.query import kept_sets
from storage.query.matches import Matches


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Matches]:
    """Of which matches a method is called from now on."""
    called: list[Matches] = []
    method = getattr(Matches, name)

    def counting(self: Matches) -> Any:
        called.append(self)
        return method(self)

    monkeypatch.setattr(Matches, name, counting)
    return called


def test_an_order_too_long_to_keep_is_not_worked_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid_out, totals = counted(monkeypatch, "versions"), counted(monkeypatch, "total")
    asked = [("_count", "2"), ("_sort", "-_lastUpdated"), ("_total", "none")]
    with Lake.open(tmp_path / "lake") as lake:
        for number in range(5):
            lake.transact([Put({"resourceType": "Patient", "id": f"p{number}"})])
        monkeypatch.setattr(kept_sets, "MOST_NUMBERS", 4)
        for _ in range(4):
            found = lake.search("Patient", asked)
            assert [one.id for one in found.versions] == ["p4", "p3"]
            following = lake.search("Patient", [*asked, ("_cursor", str(found.next))])
            assert [one.id for one in following.versions] == ["p2", "p1"]
        assert laid_out == []
        assert len(totals) == 1
        monkeypatch.setattr(kept_sets, "MOST_NUMBERS", 5)
        lake.transact([Put({"resourceType": "Patient", "id": "p4"})])
        for _ in range(3):
            assert [one.id for one in lake.search("Patient", asked).versions] == ["p4", "p3"]
        assert len(laid_out) == 1
