"""Master keys in Vault: what opens, what is refused, and that nothing secret is said."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.keys import new_key
from storage.lake import Lake, Put
from storage.master_keys.vault_transit import VaultTransitMasterKey

LAKE = "7d6a2d9e-0000-4000-8000-000000000000"


@pytest.fixture
def master(vault: Any, tmp_path: Path) -> VaultTransitMasterKey:
    (tmp_path / "token").write_text("good-token\n")
    return VaultTransitMasterKey(vault.address, "lake", token_file=tmp_path / "token")


def refusal(master: VaultTransitMasterKey, wrapped: dict[str, object] | None) -> FhirError:
    with pytest.raises(FhirError) as refused:
        master.wrap(new_key(), LAKE) if wrapped is None else master.unwrap(wrapped, LAKE)
    assert "token" not in str(wrapped)
    assert "good-token" not in str(refused.value)
    assert "transit/lake" in str(refused.value)
    return refused.value


def test_what_vault_wrapped_it_unwraps_also_after_it_rotated_the_key(
    vault: Any, master: VaultTransitMasterKey
) -> None:
    key = new_key()
    first = master.wrap(key, LAKE)
    vault.rotate()
    second = master.wrap(key, LAKE)
    assert [str(w["key"])[:9] for w in (first, second)] == ["vault:v1:", "vault:v2:"]
    assert master.unwrap(first, LAKE) == master.unwrap(second, LAKE) == key


def test_keys_are_bound_to_the_lake(master: VaultTransitMasterKey) -> None:
    wrapped = master.wrap(new_key(), LAKE)
    with pytest.raises(FhirError) as refused:
        master.unwrap(wrapped, "another lake")
    assert refused.value.category == "forbidden"
    changed = {**wrapped, "key": str(wrapped["key"])[:-6] + "AAAA=="}
    assert refusal(master, changed).category == "forbidden"
    assert refusal(master, {**wrapped, "key": "vault:v1"}).category == "forbidden"


def test_refusals_say_what_is_wrong(
    vault: Any, master: VaultTransitMasterKey, tmp_path: Path
) -> None:
    wrapped = master.wrap(new_key(), LAKE)
    vault.rotate()
    vault.min_decryption_version = 2
    failure = refusal(master, wrapped)
    assert failure.category == "forbidden"
    assert "min_decryption_version" in str(failure)
    vault.min_decryption_version = 1
    vault.sealed = True
    failure = refusal(master, wrapped)
    assert (failure.category, "sealed" in str(failure)) == ("unavailable", True)
    vault.sealed = False
    (tmp_path / "token").write_text("revoked-token")
    for operand in (wrapped, None):
        failure = refusal(master, operand)
        assert failure.category == "forbidden"
        assert "refuses this token" in str(failure)
        assert "revoked-token" not in str(failure)
    (tmp_path / "token").write_text("good-token")
    vault.keys.clear()
    failure = refusal(master, wrapped)
    assert (failure.category, "no such key" in str(failure)) == ("forbidden", True)
    vault.mount = "elsewhere"
    failure = refusal(master, wrapped)
    assert (failure.category, "no transit engine" in str(failure)) == ("forbidden", True)


def test_a_vault_that_is_not_there_is_unavailable(vault: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("good-token")
    gone = VaultTransitMasterKey("http://127.0.0.1:1", "lake", token_file=tmp_path / "token")
    assert refusal(gone, None).category == "unavailable"


def test_the_token_is_that_of_the_file_and_else_of_the_environment(
    vault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    bare = VaultTransitMasterKey(vault.address, "lake")
    assert "set VAULT_TOKEN" in str(refusal(bare, None))
    monkeypatch.setenv("VAULT_TOKEN", "good-token")
    wrapped = bare.wrap(new_key(), LAKE)
    monkeypatch.setenv("VAULT_TOKEN", "bad")
    (tmp_path / "token").write_text("good-token")
    VaultTransitMasterKey(vault.address, "lake", token_file=tmp_path / "token").unwrap(
        wrapped, LAKE
    )
    (tmp_path / "token").write_text("")
    empty = VaultTransitMasterKey(vault.address, "lake", token_file=tmp_path / "token")
    assert "is empty" in str(refusal(empty, wrapped))


def test_a_lake_opens_with_its_vault_key_alone(
    vault: Any, master: VaultTransitMasterKey, tmp_path: Path
) -> None:
    path = tmp_path / "lake"
    with Lake.open(path, master_key=master) as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "p1"})])
        lake.flush()
    assert not (path / "keys" / "master.key").exists()
    vault.rotate()
    with Lake.open(path, master_key=master) as lake:
        assert lake.read("Patient", "p1").version_id == 1
    vault.keys["lake"] = {1: new_key()}
    with pytest.raises(FhirError) as refused:
        Lake.open(path, master_key=master)
    assert refused.value.category == "forbidden"


def test_without_hvac_it_is_said_what_to_install(
    master: VaultTransitMasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("hvac"):
            raise ImportError
        return present(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(FhirError, match=r"pip install 'chartlake\[vault\]'"):
        master.wrap(new_key(), LAKE)
