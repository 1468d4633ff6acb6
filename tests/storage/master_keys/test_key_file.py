"""Master keys in files, and what they refuse."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from storage.keys import new_key
from storage.master_keys.key_file import KeyFileMasterKey

LAKE = "7d6a2d9e-0000-4000-8000-000000000000"


def test_key_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    master = KeyFileMasterKey.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(FhirError) as refused:
        KeyFileMasterKey.create(path)
    assert refused.value.category == "conflict"
    assert path.read_bytes() == before
    key = new_key()
    assert KeyFileMasterKey(path).unwrap(master.wrap(key, LAKE), LAKE) == key


def test_key_file_readable_by_others_is_refused(tmp_path: Path) -> None:
    master = KeyFileMasterKey.create(tmp_path / "master.key")
    for mode in (0o640, 0o604, 0o660):
        os.chmod(master.path, mode)
        with pytest.raises(FhirError, match="chmod 600"):
            master.wrap(new_key(), LAKE)


@pytest.mark.parametrize("content", [b"", b"not base64!", b"c2hvcnQ="])
def test_key_file_with_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(FhirError, match="no master key file"):
        KeyFileMasterKey(path).wrap(new_key(), LAKE)


def test_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FhirError, match=r"gone\.key"):
        KeyFileMasterKey(tmp_path / "gone.key").wrap(new_key(), LAKE)
