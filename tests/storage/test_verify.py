"""Damage is found and named; a sound lake has no findings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, Put

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def filled(lake: Lake, patient: Make, observation: Make) -> Lake:
    """Versions in both tiers, one superseded, one deleted."""
    lake.transact([Put(patient("p1")), Put(patient("p2")), Put(observation("o1"))])
    lake.flush()
    lake.transact([Put(patient("p1", active=True)), Put(observation("o2"))])
    lake.transact([Delete("Patient", "p2")])
    return lake


def tamper(lake: Lake, sql: str) -> None:
    """Change the database behind the lake's back."""

    def change(connection: apsw.Connection) -> None:
        connection.execute(sql)

    lake._writer.run(change)


def problems(lake: Lake) -> str:
    return "\n".join(str(finding) for finding in lake.verify())


def test_a_sound_lake_has_no_findings(filled: Lake) -> None:
    assert filled.verify() == []
    assert filled.verify(sample=2) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DELETE FROM token_index WHERE v = 4", "not indexed as they should be (Patient/p1)"),
        ("INSERT INTO token_index (v, p, code, system) VALUES (4, 1, 'x', 0)", "token_index"),
        ("UPDATE date_index SET low = low + 1", "not indexed"),
        ("DELETE FROM index_block WHERE id = (SELECT min(id) FROM index_block)", "missing"),
        ("UPDATE index_block SET block = zeroblob(length(block))", "damaged"),
        ("UPDATE index_block SET block = substr(block, 1, 9)", "damaged"),
        ("UPDATE index_part SET directory = x'00'", "damaged"),
        ("UPDATE index_part SET versions = x'00'", "damaged"),
        ("DELETE FROM index_part WHERE type = 1", "0 of 2 versions"),
        ("UPDATE index_part SET segment = segment + 9", "of no segment"),
        ("INSERT INTO index_block SELECT id + 99, block FROM index_block", "blocks, not"),
        ("DELETE FROM hot_body WHERE v = 4", "neither a hot body nor"),
        ("UPDATE version SET t_end = NULL WHERE v = 1", "superseded"),
        ("UPDATE version SET segment_row = 1 - segment_row WHERE type = 1", "not the versions"),
        ("UPDATE resource_count SET count = count + 1", "counts are wrong"),
        ("DELETE FROM commit_log WHERE t = 3", "not in the log"),
        ("UPDATE segment SET rows = rows + 1", "rows, not"),
    ],
)
def test_database_damage_is_found(filled: Lake, sql: str, expected: str) -> None:
    tamper(filled, sql)
    assert expected in problems(filled)


def test_a_missing_segment_is_named(filled: Lake) -> None:
    segment = filled.snapshot().segments("Observation")[0]
    Path(segment.path).unlink()
    assert segment.name in problems(filled)
    assert "missing" in problems(filled)


def test_an_unknown_file_is_named_and_kept(filled: Lake, tmp_path: Path) -> None:
    stray = tmp_path / "lake" / "lake" / "Patient" / "stray.parquet"
    stray.write_bytes(b"x")
    assert "stray.parquet" in problems(filled)
    filled.close()
    with Lake.open(tmp_path / "lake"):
        assert stray.exists()


def test_every_changed_byte_of_a_segment_is_found(filled: Lake) -> None:
    segment = filled.snapshot().segments("Patient")[0]
    sound = Path(segment.path).read_bytes()
    for position in range(0, len(sound), max(1, len(sound) // 40)):
        changed = bytearray(sound)
        changed[position] ^= 0x40
        Path(segment.path).write_bytes(bytes(changed))
        assert segment.name in problems(filled), position
    Path(segment.path).write_bytes(sound[:-20])
    assert segment.name in problems(filled)
    Path(segment.path).write_bytes(sound)
    assert filled.verify() == []


def test_a_damaged_segment_is_an_error_not_an_answer(filled: Lake) -> None:
    segment = filled.snapshot().segments("Observation")[0]
    changed = bytearray(Path(segment.path).read_bytes())
    for position in range(4, len(changed) - 8):
        changed[position] ^= 0x5A
    Path(segment.path).write_bytes(bytes(changed))
    with pytest.raises(FhirError) as failure:
        filled.read("Observation", "o1")
    assert failure.value.category == "internal"
    assert filled.read("Observation", "o2").version_id == 1


def test_a_damaged_database_page_is_found(tmp_path: Path, patient: Make) -> None:
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        lake.transact([Put(patient(f"p{n}", text={"div": "x" * 900})) for n in range(300)])
    database = path / "hot.db"
    changed = bytearray(database.read_bytes())
    changed[len(changed) * 2 // 3] ^= 1
    database.write_bytes(bytes(changed))
    try:
        with Lake.open(path) as lake:
            found = lake.verify()
    except FhirError as failure:
        assert failure.category in ("forbidden", "internal")
    else:
        assert "hot.db" in str(found[0])


def test_reindex_repairs_the_index(filled: Lake, found: Callable[..., list[str]]) -> None:
    for name in ("token", "date", "string", "reference"):
        tamper(filled, f"DELETE FROM {name}_index")
    tamper(filled, "DELETE FROM index_part")
    assert found(filled, "Observation", ("code", "4548-4")) == []
    assert filled.verify()
    filled.reindex()
    assert filled.verify() == []
    assert found(filled, "Observation", ("code", "4548-4")) == ["o1", "o2"]
    assert found(filled, "Patient", ("gender", "female"), at=1) == ["p1", "p2"]
