"""Master keys by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from storage.master_keys.aws_kms import AwsKmsMasterKey
from storage.master_keys.key_file import KeyFileMasterKey
from storage.master_keys.named import named
from storage.master_keys.passphrase import PassphraseMasterKey
from storage.master_keys.vault_transit import VaultTransitMasterKey


def test_each_kind_has_its_form(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("correct horse battery\n")
    assert isinstance(named(f"passphrase-file:{tmp_path}/phrase"), PassphraseMasterKey)
    file = named(f"file:{tmp_path}/a.key")
    assert isinstance(file, KeyFileMasterKey)
    assert file.path == tmp_path / "a.key"
    arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    kms = named(f"aws-kms:{arn}?endpoint_url=http://127.0.0.1:5000")
    assert isinstance(kms, AwsKmsMasterKey)
    assert (kms.key_id, kms._region, kms._endpoint_url) == (
        arn,
        "eu-central-1",
        "http://127.0.0.1:5000",
    )
    alias = named("aws-kms:alias/lake?region=us-east-1")
    assert isinstance(alias, AwsKmsMasterKey)
    assert (alias.key_id, alias._region) == ("alias/lake", "us-east-1")
    vault = named(
        "vault-transit:https://vault.example:8200/a/transit/keys/lake?token_file=/run/token"
    )
    assert isinstance(vault, VaultTransitMasterKey)
    assert vault.describe() == "the Vault key a/transit/lake at https://vault.example:8200"
    assert vault._token_file == Path("/run/token")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file",
        "file:",
        "/etc/master.key",
        "gcp-kms:x",
        "aws-kms:?region=x",
        "aws-kms:alias/lake?secret=x",
        "aws-kms:alias/lake?endpoint_url=http://kms.example",
        "aws-kms:alias/lake?endpoint_url=https://user:password@kms.example",
        "vault-transit:vault.example/transit/keys/lake",
        "vault-transit:http://vault.example/transit/keys/lake",
        "vault-transit:https://user:password@vault.example/transit/keys/lake",
        "vault-transit:https://vault.example/lake",
        "vault-transit:https://vault.example:port/transit/keys/lake",
        "vault-transit:https://vault.example/transit/keys/lake?token=hvs.secret",
    ],
)
def test_what_names_no_key_is_refused_without_repeating_secrets(text: str) -> None:
    with pytest.raises(FhirError) as refused:
        named(text)
    assert refused.value.category == "value"
    assert "names no master key" in str(refused.value)
    assert "password" not in str(refused.value)
    assert "hvs.secret" not in str(refused.value)
