"""Master keys from passphrases, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from storage.keys import new_key
from storage.master_keys.key_file import KeyFileMasterKey
from storage.master_keys.passphrase import PassphraseMasterKey

LAKE = "7d6a2d9e-0000-4000-8000-000000000000"


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


def test_passphrase_from_a_file_is_its_line(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_text("correct horse battery\n")
    wrapped = PassphraseMasterKey("correct horse battery").wrap(b"k" * 32, LAKE)
    assert PassphraseMasterKey.from_file(path).unwrap(wrapped, LAKE) == b"k" * 32
    with pytest.raises(FhirError, match="none cannot be read"):
        PassphraseMasterKey.from_file(tmp_path / "none")
