"""Operations killed at one place after another (`bench/crash`), every so many places of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage.keystore_file import KeystoreFile
from storage.lake import Lake
from storage.master_keys.key_file import KeyFileMasterKey
from storage.private_files import create_file, create_whole_file, unfinished

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_an_operation_killed_at_any_place_loses_nothing_and_leaves_nothing() -> None:
    swept = "make;write;flush;renew keys;rotate, closed;audit"
    script = [str(ROOT / "bench" / "crash_soak.py"), "--sweep", "--step", "23", "--only", swept]
    ended = subprocess.run([sys.executable, *script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = [line.split(",") for line in ended.stdout.splitlines()]
    assert [row[0] for row in rows] == [
        name.replace(", ", " ") for name in
        ("make", "write", "flush", "renew keys", "rotate, closed", "audit")
    ]  # fmt: skip
    assert all(int(row[1]) > 0 for row in rows)


def test_a_file_that_is_made_has_its_name_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"

    def broken_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("storage.private_files.os.fsync", broken_off)
        with pytest.raises(KeyboardInterrupt):
            create_whole_file(path, b"whole")
    assert not path.exists()
    create_whole_file(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        create_whole_file(path, b"other")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lake_is_made_over_a_master_key_that_a_kill_broke_off(tmp_path: Path) -> None:
    keys = tmp_path / "lake" / "keys"
    keys.mkdir(parents=True)
    create_file(unfinished(keys / "master.key"), b"half")
    create_file(unfinished(keys / "keystore.json"), b"{")
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.verify() == []
    assert sorted(path.name for path in keys.iterdir()) == ["keystore.json", "lock", "master.key"]


def test_no_second_name_of_the_master_key_is_left(tmp_path: Path) -> None:
    key = KeyFileMasterKey.create(tmp_path / "lake" / "keys" / "master.key").path
    unfinished(key).hardlink_to(key)
    with Lake.open(tmp_path / "lake"):
        pass
    assert not unfinished(key).exists()
    assert key.stat().st_nlink == 1


def test_opening_removes_what_a_broken_off_change_of_the_key_store_left(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake"):
        pass
    keys = tmp_path / "lake" / "keys"
    before = KeystoreFile(keys / "keystore.json").read()
    for name in ("keystore.json.new", "keystore.json.making", "master.key.making"):
        create_file(keys / name, b"left")
    with Lake.open(tmp_path / "lake", master_key=KeyFileMasterKey(keys / "master.key")):
        pass
    assert KeystoreFile(keys / "keystore.json").read() == before
    assert sorted(path.name for path in keys.iterdir()) == ["keystore.json", "lock", "master.key"]
