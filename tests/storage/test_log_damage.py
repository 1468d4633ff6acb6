"""A log that was damaged is refused before anything is lost; one with a torn end is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.lake import Lake, Put

Make = Callable[..., dict[str, Any]]

_COMMITS = 8
_FRAME = 24 + 4096


@pytest.fixture
def crashed(tmp_path: Path, patient: Make) -> Path:
    """A lake folder as a process leaves it that was killed: commits are in the log alone."""
    folder = tmp_path / "crashed"
    with Lake.open(tmp_path / "lake") as lake:
        for number in range(_COMMITS):
            lake.transact([Put(patient(f"p{number}"))])
        lake.search("Patient", [])
        shutil.copytree(tmp_path / "lake", folder)
    return folder


def log_of(folder: Path) -> Path:
    return folder / "hot.db-wal"


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x40
    path.write_bytes(content)


def commit_marks(log: bytes) -> list[int]:
    """Where the frames are that end a transaction."""
    starts = range(32, len(log) - _FRAME + 1, _FRAME)
    return [
        at for at in starts if log[at + 4 : at + 8] != bytes(4) and log[at + 8 :][:8] == log[16:24]
    ]


def test_a_sound_log_is_read_to_its_end(crashed: Path) -> None:
    with Lake.open(crashed) as lake:
        assert lake.t == _COMMITS
        assert lake.verify() == []


def test_damage_before_acknowledged_commits_is_refused_and_nothing_changed(crashed: Path) -> None:
    third = commit_marks(log_of(crashed).read_bytes())[2]
    flip(log_of(crashed), third + 24 + 100)
    before = {name: (crashed / name).read_bytes() for name in ("hot.db", "hot.db-wal")}
    with pytest.raises(FhirError, match=r"hot\.db-wal is damaged after byte .* commits"):
        Lake.open(crashed)
    assert {name: (crashed / name).read_bytes() for name in before} == before


def test_the_first_frame_counts_too(crashed: Path) -> None:
    flip(log_of(crashed), 32 + 24 + 7)
    with pytest.raises(FhirError, match="is damaged after byte 32"):
        Lake.open(crashed)


@pytest.mark.parametrize("offset", [2, 9, 17, 25])
def test_a_damaged_header_is_refused(crashed: Path, offset: int) -> None:
    flip(log_of(crashed), offset)
    with pytest.raises(FhirError, match="is damaged after byte 0"):
        Lake.open(crashed)


def test_a_torn_end_is_what_a_crash_leaves(crashed: Path) -> None:
    content = log_of(crashed).read_bytes()
    last = commit_marks(content)[-1]
    flip(log_of(crashed), last + 24 + 100)
    with Lake.open(crashed) as lake:
        assert lake.t <= _COMMITS
        assert lake.verify() == []


def test_what_can_be_read_is_there_after_cutting(crashed: Path) -> None:
    marks = commit_marks(log_of(crashed).read_bytes())
    flip(log_of(crashed), marks[-4] + 24)
    with pytest.raises(FhirError) as refused:
        Lake.open(crashed)
    told = str(refused.value.issues[0].diagnostics)
    size = int(told.split("after byte ")[1].split(":")[0])
    with log_of(crashed).open("r+b") as log:
        log.truncate(size)
    with Lake.open(crashed) as lake:
        assert 0 < lake.t < _COMMITS
        assert lake.verify() == []


def test_a_log_begun_anew_has_old_frames_behind_its_end(tmp_path: Path, patient: Make) -> None:
    folder = tmp_path / "crashed"
    with Lake.open(tmp_path / "lake") as lake:
        for number in range(20):
            lake.transact([Put(patient(f"p{number}"))])
        lake.search("Patient", [])
        lake._writer.run(lambda _connection: None)
        lake._writer._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        lake.transact([Put(patient("last"))])
        shutil.copytree(tmp_path / "lake", folder)
    assert len(commit_marks(log_of(folder).read_bytes())) < 20
    with Lake.open(folder) as lake:
        assert lake.t == 21
