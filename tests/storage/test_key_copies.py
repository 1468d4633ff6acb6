"""Registered copies of the key store follow it, and say when they cannot."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from storage.lake import Lake


def keystore(lake: Lake) -> bytes:
    return lake.folder.keystore.read_bytes()


def test_a_copy_follows_the_key_store(lake: Lake, tmp_path: Path) -> None:
    copy = lake.key_copies.register(tmp_path / "safe")
    assert copy.read_bytes() == keystore(lake)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    lake._keystore.renew_datastore_key()
    assert copy.read_bytes() != keystore(lake)
    before = copy.read_bytes()
    with copy.open("rb") as old:
        assert lake.key_copies.update_all() == {}
        assert copy.read_bytes() == keystore(lake)
        # Who still has the old file open finds nothing in it.
        assert before[:60] not in old.read()
    assert [path.name for path in copy.parent.iterdir()] == [
        f"{lake._keystore.lake_id}.keystore.json"
    ]


def test_registering_again_is_no_second_copy(lake: Lake, tmp_path: Path) -> None:
    lake.key_copies.register(tmp_path / "safe")
    lake._keystore.renew_datastore_key()
    copy = lake.key_copies.register(tmp_path / "safe")
    assert copy.read_bytes() == keystore(lake)
    assert lake.key_copies.folders() == [str(tmp_path / "safe")]


def test_a_copy_out_of_reach_is_named_and_not_made_anew(lake: Lake, tmp_path: Path) -> None:
    away, here = tmp_path / "away", tmp_path / "here"
    copy = lake.key_copies.register(here)
    lake.key_copies.register(away).rename(tmp_path / "taken")
    lake._keystore.renew_datastore_key()
    assert list(lake.key_copies.update_all()) == [str(away)]
    # The empty mount point of a disk that is away is not where the copy belongs.
    assert list(away.iterdir()) == []
    assert copy.read_bytes() == keystore(lake)
    lake.key_copies.forget(away)
    assert lake.key_copies.update_all() == {}


def test_two_lakes_may_share_a_folder_but_no_file(lake: Lake, tmp_path: Path) -> None:
    mine = lake.key_copies.register(tmp_path / "safe")
    with Lake.open(tmp_path / "other") as other:
        theirs = other.key_copies.register(tmp_path / "safe")
        assert theirs.read_bytes() == keystore(other)
    assert mine.read_bytes() == keystore(lake)
    before = theirs.read_bytes()
    mine.write_bytes(before)
    assert list(lake.key_copies.update_all()) == [str(tmp_path / "safe")]
    with pytest.raises(FhirError, match="another lake"):
        lake.key_copies.register(tmp_path / "safe")
    assert mine.read_bytes() == before


def test_the_lakes_own_keys_are_no_copy(lake: Lake) -> None:
    with pytest.raises(FhirError, match="outside"):
        lake.key_copies.register(lake.folder.keystore.parent)
