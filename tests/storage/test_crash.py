"""SIGKILL at random moments: every acknowledged commit is there, and none by half."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.outcomes import FhirError
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


def test_a_kill_while_the_lake_is_made_leaves_a_folder_that_opens(tmp_path: Path) -> None:
    code = "import sys\nfrom storage.lake import Lake\nprint(flush=True)\nLake.open(sys.argv[1])"
    for number, delay in enumerate((0.0, 0.002, 0.004, 0.008)):
        path = tmp_path / f"lake{number}"
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.communicate()
        try:
            with Lake.open(path) as lake:
                assert lake.verify() == []
        except FhirError as failure:
            pytest.fail(f"after a kill at {delay} s: {failure}")
