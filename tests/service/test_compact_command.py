"""`chartlake compact`."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.cli import main
from storage.lake import Lake, Put


def test_segments_are_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        for number in range(3):
            lake.transact([Put({"resourceType": "Patient", "id": f"p{number}"})])
            lake.flush()
    assert main(["compact", "--data", str(tmp_path / "lake")]) == 0
    assert capsys.readouterr().out == "3 segments merged; the lake has 1 now\n"
    assert main(["compact", "--data", str(tmp_path / "none")]) == 1
    assert "There is no lake" in capsys.readouterr().err
