"""Master keys in AWS KMS: against moto's server, and what that does not refuse against answers."""

from __future__ import annotations

import builtins
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from schemas.outcomes import FhirError
from storage.keys import new_key
from storage.lake import Lake, Put
from storage.master_keys.aws_kms import AwsKmsMasterKey

LAKE = "7d6a2d9e-0000-4000-8000-000000000000"
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """moto as a server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kms(endpoint: str) -> Any:
    return boto3.client("kms", region_name=REGION, endpoint_url=endpoint)


def refusal(master: AwsKmsMasterKey, wrapped: dict[str, object] | None = None) -> FhirError:
    with pytest.raises(FhirError) as refused:
        master.wrap(new_key(), LAKE) if wrapped is None else master.unwrap(wrapped, LAKE)
    assert master.key_id in str(refused.value)
    for secret in ("secret-of-aws", "AKIAEXAMPLE"):
        assert secret not in str(refused.value)
    return refused.value


@pytest.mark.slow
def test_a_key_by_arn_id_or_alias_opens_what_it_wrapped(endpoint: str, kms: Any) -> None:
    made = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/lake", TargetKeyId=made["KeyId"])
    key = new_key()
    by_arn = AwsKmsMasterKey(made["Arn"], endpoint_url=endpoint)  # its region is in the ARN
    by_id = AwsKmsMasterKey(made["KeyId"], region=REGION, endpoint_url=endpoint)
    by_alias = AwsKmsMasterKey("alias/lake", region=REGION, endpoint_url=endpoint)
    for wrapping in (by_arn, by_id, by_alias):
        wrapped = json.loads(json.dumps(wrapping.wrap(key, LAKE)))
        assert wrapped["key_id"] == made["Arn"]
        for unwrapping in (by_arn, by_id, by_alias):
            assert unwrapping.unwrap(wrapped, LAKE) == key


def test_another_key_another_lake_and_damage_are_refused(endpoint: str, kms: Any) -> None:
    first, second = (
        AwsKmsMasterKey(kms.create_key()["KeyMetadata"]["Arn"], endpoint_url=endpoint)
        for _ in range(2)
    )
    wrapped = first.wrap(new_key(), LAKE)
    assert refusal(second, wrapped).category == "forbidden"
    with pytest.raises(FhirError) as refused:
        first.unwrap(wrapped, "another lake")
    assert refused.value.category == "forbidden"
    for damaged in ("", "?", "AAAA" + str(wrapped["key"])[4:]):
        assert refusal(first, {**wrapped, "key": damaged}).category in ("forbidden", "unavailable")


def test_a_lake_opens_with_its_kms_key_alone(endpoint: str, kms: Any, tmp_path: Path) -> None:
    first, second = (
        AwsKmsMasterKey(kms.create_key()["KeyMetadata"]["Arn"], endpoint_url=endpoint)
        for _ in range(2)
    )
    path = tmp_path / "lake"
    with Lake.open(path, master_key=first) as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "p1"})])
        lake.flush()
    with pytest.raises(FhirError) as refused:
        Lake.open(path, master_key=second)
    assert refused.value.category == "forbidden"
    with Lake.open(path, master_key=first) as lake:
        assert lake.read("Patient", "p1").version_id == 1


def test_an_unknown_key_and_missing_credentials_are_said(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = AwsKmsMasterKey(f"arn:aws:kms:{REGION}:1:key/none", endpoint_url=endpoint)
    assert refusal(unknown).category == "forbidden"
    assert "no such key" in str(refusal(unknown))
    assert "needs a region" in str(refusal(AwsKmsMasterKey("alias/lake", endpoint_url=endpoint)))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    failure = refusal(unknown)
    assert (failure.category, "no AWS credentials" in str(failure)) == ("forbidden", True)


def test_an_endpoint_that_is_not_there_is_unavailable() -> None:
    gone = AwsKmsMasterKey("alias/lake", region=REGION, endpoint_url="http://127.0.0.1:1")
    assert refusal(gone).category == "unavailable"


@pytest.mark.parametrize(
    ("code", "status", "category", "text"),
    [
        ("AccessDeniedException", 400, "forbidden", "refuses these credentials"),
        ("DisabledException", 400, "forbidden", "disabled"),
        ("KMSInvalidStateException", 400, "forbidden", "pending deletion"),
        ("NotFoundException", 400, "forbidden", "no such key"),
        ("InvalidCiphertextException", 400, "forbidden", "another master"),
        ("IncorrectKeyException", 400, "forbidden", "another master"),
        ("ExpiredTokenException", 400, "forbidden", "expired"),
        ("KMSInternalException", 500, "unavailable", "KMSInternalException"),
        ("DependencyTimeoutException", 503, "unavailable", "DependencyTimeout"),
    ],
)
def test_each_answer_of_kms_is_said_in_words(
    code: str, status: int, category: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Retrying is botocore's own; waiting for it here would only take time.
    monkeypatch.setattr("storage.master_keys.aws_kms._ATTEMPTS", 1)

    class Kms(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"__type": code, "message": "quoting AKIAEXAMPLE"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Kms)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        master = AwsKmsMasterKey("alias/lake", region=REGION, endpoint_url=address)
        wrapped: dict[str, object] = {"provider": "aws-kms", "key_id": "k", "key": "AAAA"}
        for failure in (refusal(master), refusal(master, wrapped)):
            assert failure.category == category
            assert text in str(failure)
    finally:
        server.shutdown()
        server.server_close()


def test_without_boto3_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    present = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "boto3":
            raise ImportError
        return present(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(FhirError, match=r"pip install 'chartlake\[aws\]'"):
        AwsKmsMasterKey("alias/lake", region=REGION).wrap(new_key(), LAKE)
