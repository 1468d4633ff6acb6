"""Making, opening and refusing lake folders."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from storage.lake import Lake, Put
from storage.master_keys.key_file import KeyFileMasterKey
from storage.master_keys.passphrase import PassphraseMasterKey

PATIENT = {"resourceType": "Patient", "id": "p1"}


def make(path: Path, **options: object) -> None:
    with Lake.open(path, **options) as lake:  # type: ignore[arg-type]
        lake.transact([Put(PATIENT)])
        lake.flush()


def refusal(path: Path, **options: object) -> FhirError:
    with pytest.raises(FhirError) as refused:
        Lake.open(path, **options)  # type: ignore[arg-type]
    return refused.value


def test_everything_is_private_to_the_owner(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        make(tmp_path / "lake")
        with Lake.open(tmp_path / "lake") as lake:
            lake.transact([Put(PATIENT)])
            for path in [tmp_path / "lake", *(tmp_path / "lake").rglob("*")]:
                allowed = 0o700 if path.is_dir() else 0o600
                assert stat.S_IMODE(path.stat().st_mode) & ~allowed == 0, path
    finally:
        os.umask(previous)


def test_layout_is_the_documented_one(tmp_path: Path) -> None:
    make(tmp_path / "lake")
    files = {
        str(p.relative_to(tmp_path / "lake")) for p in (tmp_path / "lake").rglob("*") if p.is_file()
    }
    parquet = {name for name in files if name.endswith(".parquet")}
    keys = {"keys/keystore.json", "keys/lock", "keys/master.key"}
    assert files - parquet == {*keys, "hot.db", "lock"}
    assert len(parquet) == 1
    assert next(iter(parquet)).startswith("lake/Patient/")


def test_without_create_a_missing_lake_is_not_made(tmp_path: Path) -> None:
    failure = refusal(tmp_path / "none", create=False)
    assert failure.category == "not-found"
    assert not (tmp_path / "none").exists()


def test_another_master_key_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "lake", master_key=KeyFileMasterKey.create(tmp_path / "a.key"))
    other = KeyFileMasterKey.create(tmp_path / "b.key")
    failure = refusal(tmp_path / "lake", master_key=other)
    assert failure.category == "forbidden"
    assert "b.key" in failure.issues[0].diagnostics
    assert refusal(tmp_path / "lake").category == "not-found"
    with Lake.open(tmp_path / "lake", master_key=KeyFileMasterKey(tmp_path / "a.key")) as lake:
        assert lake.read("Patient", "p1").version_id == 1


def test_passphrase_lake_has_no_key_file(tmp_path: Path) -> None:
    make(tmp_path / "lake", master_key=PassphraseMasterKey("correct horse battery"))
    assert not (tmp_path / "lake" / "keys" / "master.key").exists()
    assert (
        refusal(tmp_path / "lake", master_key=PassphraseMasterKey("wrong horse battery")).category
        == "forbidden"
    )


def test_missing_keystore_is_refused_and_not_replaced(tmp_path: Path) -> None:
    make(tmp_path / "lake")
    keystore = tmp_path / "lake" / "keys" / "keystore.json"
    saved = keystore.read_bytes()
    keystore.unlink()
    assert "keystore.json is missing" in str(refusal(tmp_path / "lake"))
    assert not keystore.exists()
    keystore.write_bytes(saved)
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.t == 1


def test_missing_database_is_refused_and_not_replaced(tmp_path: Path) -> None:
    make(tmp_path / "lake")
    (tmp_path / "lake" / "hot.db").unlink()
    assert "hot.db is missing" in str(refusal(tmp_path / "lake"))
    assert not (tmp_path / "lake" / "hot.db").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"format": 2}', b"\xff"])
def test_damaged_keystore_is_refused(tmp_path: Path, content: bytes) -> None:
    make(tmp_path / "lake")
    (tmp_path / "lake" / "keys" / "keystore.json").write_bytes(content)
    assert refusal(tmp_path / "lake").category == "invalid"


def test_keystore_of_an_earlier_release_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "lake")
    (tmp_path / "lake" / "keys" / "keystore.json").write_bytes(b'{"format": 1}')
    failure = refusal(tmp_path / "lake")
    assert failure.category == "not-supported"
    assert "format 1; this release reads format 2" in str(failure)


def test_keystore_of_another_lake_is_refused(tmp_path: Path) -> None:
    key = KeyFileMasterKey.create(tmp_path / "master.key")
    make(tmp_path / "a", master_key=key)
    make(tmp_path / "b", master_key=key)
    before = (tmp_path / "a" / "hot.db").read_bytes()
    shutil.copy(tmp_path / "b" / "keys" / "keystore.json", tmp_path / "a" / "keys")
    failure = refusal(tmp_path / "a", master_key=key)
    assert failure.category == "forbidden"
    assert "another lake" in str(failure)
    assert (tmp_path / "a" / "hot.db").read_bytes() == before


def test_second_opening_is_refused_while_the_first_lasts(tmp_path: Path) -> None:
    path = tmp_path / "lake"
    with Lake.open(path):
        assert refusal(path).category == "conflict"
        code = f"from storage.lake import Lake\nLake.open({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "open in another process" in other.stderr
    with Lake.open(path) as lake:
        assert lake.t == 0


def test_a_crash_while_making_the_lake_can_be_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "lake"
    with Lake.open(path):
        pass
    # Between the keystore and the database's final name.
    (path / "hot.db").rename(path / "hot.db.new")
    with Lake.open(path) as lake:
        lake.transact([Put(PATIENT)])
    # Before the keystore: nothing was ever stored, so it begins anew.
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "hot.db.new").write_bytes(b"half")
    with Lake.open(fresh) as lake:
        assert lake.t == 0


def test_a_failed_opening_gives_the_folder_back(tmp_path: Path) -> None:
    make(tmp_path / "lake")
    other = KeyFileMasterKey.create(tmp_path / "b.key")
    refusal(tmp_path / "lake", master_key=other)
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.t == 1
