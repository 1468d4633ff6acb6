"""Master keys: files, passphrases, and what they refuse."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from schemas.outcomes import FhirError
from storage.keys import (
    KeyFileMasterKey,
    PassphraseMasterKey,
    new_key,
    unwrap_key,
    wrap_key,
)

LAKE = "7d6a2d9e-0000-4000-8000-000000000000"


def test_wrapped_key_needs_the_same_key_and_purpose() -> None:
    wrapping, key = new_key(), new_key()
    wrapped = wrap_key(wrapping, key, b"purpose")
    assert key not in wrapped
    assert unwrap_key(wrapping, wrapped, b"purpose") == key
    for other in ((new_key(), wrapped, b"purpose"), (wrapping, wrapped, b"another purpose")):
        with pytest.raises(InvalidTag):
            unwrap_key(*other)
    for position in (0, 20, len(wrapped) - 1):
        changed = bytearray(wrapped)
        changed[position] ^= 1
        with pytest.raises(InvalidTag):
            unwrap_key(wrapping, bytes(changed), b"purpose")
    with pytest.raises(InvalidTag):
        unwrap_key(wrapping, b"", b"purpose")


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


def test_passphrase_opens_only_with_itself() -> None:
    key = new_key()
    wrapped = PassphraseMasterKey("correct horse battery").wrap(key, LAKE)
    assert int(str(wrapped["n"])) >= 2**15
    assert "horse" not in str(wrapped)
    assert PassphraseMasterKey("correct horse battery").unwrap(wrapped, LAKE) == key
    with pytest.raises(FhirError) as refused:
        PassphraseMasterKey("correct horse batterz").unwrap(wrapped, LAKE)
    assert refused.value.category == "forbidden"


def test_short_passphrase_is_refused() -> None:
    with pytest.raises(FhirError, match="at least 12"):
        PassphraseMasterKey("hunter2")


def test_providers_do_not_open_each_others_keys(tmp_path: Path) -> None:
    file = KeyFileMasterKey.create(tmp_path / "master.key")
    passphrase = PassphraseMasterKey("correct horse battery")
    with pytest.raises(FhirError, match="key-file"):
        passphrase.unwrap(file.wrap(new_key(), LAKE), LAKE)
    with pytest.raises(FhirError, match="passphrase"):
        file.unwrap(passphrase.wrap(new_key(), LAKE), LAKE)


@pytest.mark.parametrize("cost", [{"n": 2}, {"n": 2**40}, {"r": "x"}, {"salt": "?"}])
def test_passphrase_refuses_forged_costs(cost: dict[str, object]) -> None:
    master = PassphraseMasterKey("correct horse battery")
    with pytest.raises(FhirError):
        master.unwrap({**master.wrap(new_key(), LAKE), **cost}, LAKE)
