"""The demonstration runs from nothing and says that all is well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_demo_ends_well(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "demo", "--data", str(tmp_path / "demo")]
    result = subprocess.run(
        [*command, "--patients", "40"], capture_output=True, text=True, timeout=280
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    for heading in ("timeline", "cohort", "restart", "go on"):
        assert heading in result.stdout
    assert " 0 with plaintext" in result.stdout
    again = subprocess.run(
        [sys.executable, "-m", "service.cli", "demo", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert again.returncode == 1
    assert "not a demonstration's" in again.stdout
