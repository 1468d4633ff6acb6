"""Compaction leaves backups readable; an erase afterwards reaches what compaction replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from storage import former_segments, index
from storage.backup.backup_folder import BackupFolder
from storage.backup.restore import restore
from storage.lake import Lake, Put
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey
from storage.rewrite import Rewriting

Make = Callable[..., dict[str, Any]]


def live(lake: Lake, resource_type: str = "Observation") -> list[int]:
    with lake._database.reading() as connection:
        number = lake._terms.find(connection, resource_type)
        rows = connection.execute(
            "SELECT id FROM segment WHERE state = 1 AND type = ? ORDER BY id", (number,)
        )
        return [id for (id,) in rows]


def names(lake: Lake) -> set[str]:
    return {segment.name for segment in lake.snapshot().segments("Observation")}


def compact(lake: Lake) -> None:
    lake._rewriter.rewrite([Rewriting("Observation", live(lake))])
    lake._retirement.remove(grace_s=0)


def take_out(lake: Lake, id: str) -> None:
    """What an erase does to the versions of one Observation."""
    with lake._database.reading() as connection:
        rows = connection.execute("SELECT v FROM version WHERE id = ?", (id,)).fetchall()

    def forget(connection: apsw.Connection) -> None:
        for (v,) in rows:
            for table in index.TABLES:
                connection.execute(f"DELETE FROM {table.NAME} WHERE v = ?", (v,))
            connection.execute("DELETE FROM version WHERE v = ?", (v,))
        connection.execute("UPDATE resource_count SET count = count - 1")

    lake._rewriter.rewrite(
        [Rewriting("Observation", live(lake))], {v for (v,) in rows}, also=forget, erase=True
    )
    lake._retirement.remove()


def flushed(lake: Lake, observation: Make, *ids: str) -> set[str]:
    """Names of the segments after one more."""
    lake.transact([Put(observation(id)) for id in ids])
    lake.flush()
    return names(lake)


def test_the_keys_of_what_compaction_replaced_stay_until_an_erase(
    lake: Lake, observation: Make
) -> None:
    flushed(lake, observation, "a", "b")
    first = flushed(lake, observation, "c")
    compact(lake)
    second = flushed(lake, observation, "d")
    compact(lake)
    last = names(lake)
    keys = lake._keystore.segment_names()
    assert first | second | last == keys
    assert len(keys) == 5
    assert lake.verify() == []
    lake.flush()
    assert lake._keystore.segment_names() == keys
    take_out(lake, "a")
    assert lake._keystore.segment_names() == names(lake)
    assert not names(lake) & keys
    with lake._database.reading() as connection:
        assert former_segments.kept(connection) == former_segments.doomed(connection) == set()
    assert lake.verify() == []
    assert [v.id for v in lake.search("Observation", []).versions] == ["b", "c", "d"]


def test_an_erase_does_not_wait_for_files_that_compaction_has_just_replaced(
    lake: Lake, observation: Make, tmp_path: Path
) -> None:
    flushed(lake, observation, "a", "b")
    old = flushed(lake, observation, "c")
    lake._rewriter.rewrite([Rewriting("Observation", live(lake))])
    lake._retirement.remove()
    assert old < {path.stem for path in (tmp_path / "lake" / "lake").rglob("*.parquet")}
    take_out(lake, "a")
    assert {path.stem for path in (tmp_path / "lake" / "lake").rglob("*.parquet")} == names(lake)
    assert lake._keystore.segment_names() == names(lake)


def test_a_backup_from_before_a_compaction_can_be_restored(
    lake: Lake, observation: Make, tmp_path: Path
) -> None:
    flushed(lake, observation, "a", "b")
    flushed(lake, observation, "c")
    lake.backup(tmp_path / "backups")
    compact(lake)
    keys = tmp_path / "lake" / "keys"
    master_key = KeyFileMasterKey(keys / "master.key")
    report = restore(
        BackupFolder(tmp_path / "backups"),
        LakeFolder(tmp_path / "restored"),
        keys / "keystore.json",
        master_key,
    )
    assert (report.segments, report.shredded, report.rebuilt) == (2, [], False)
    with Lake.open(tmp_path / "restored", master_key=master_key) as restored:
        assert restored.verify() == []
        assert [v.id for v in restored.search("Observation", []).versions] == ["a", "b", "c"]
