"""SIGKILL at random moments: every acknowledged commit is there, and none by half."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from storage.lake import Lake

SOAK = Path(__file__).parents[2] / "bench" / "crash_soak.py"
KILLS = 12


@pytest.mark.slow
def test_no_acknowledged_commit_is_lost_and_none_is_there_by_half(tmp_path: Path) -> None:
    """The first kills of `bench/crash_soak.py`, which says what is checked."""
    spec = importlib.util.spec_from_file_location("crash_soak", SOAK)
    assert spec is not None and spec.loader is not None
    soak = importlib.util.module_from_spec(spec)
    sys.modules["crash_soak"] = soak
    spec.loader.exec_module(soak)
    run = soak.Soak(tmp_path / "lake", random.Random(20240305))
    segments = 0
    for kill in range(KILLS):
        run.kill_once(run.chance.uniform(0.0, 0.4))
        run.check(verify=kill % 3 == 2)
        with Lake.open(tmp_path / "lake") as lake:
            segments = max(segments, lake.stats()["segments"])
    assert len(run.acknowledged) > KILLS
    assert segments > 0
