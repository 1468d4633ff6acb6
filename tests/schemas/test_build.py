"""The data files are what the build script makes of HL7's package, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.r4 import build


def test_files_are_reproduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ.get("CHARTLAKE_R4_EXAMPLES", ""))
    if not (folder / build.PACKAGE).is_file():
        pytest.skip(f"CHARTLAKE_R4_EXAMPLES does not name a folder with {build.PACKAGE} (npm)")
    shipped = build.HERE
    monkeypatch.setattr(build, "HERE", tmp_path)
    monkeypatch.setattr("sys.argv", ["build", str(folder)])
    build.main()
    made = sorted(tmp_path.iterdir())
    assert len(made) == 7
    for file in made:
        assert file.read_bytes() == (shipped / file.name).read_bytes(), file.name


def test_the_folder_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["build"])
    with pytest.raises(SystemExit, match="usage"):
        build.main()
