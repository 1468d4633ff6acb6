"""`chartlake keys`: rotation beside a running service; what is refused; what it shows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from service.cli import main
from storage.lake import Lake, Put
from storage.master_keys.key_file import KeyFileMasterKey

from .conftest import Service

PATIENT = {"resourceType": "Patient", "id": "p1"}


@pytest.fixture
def done(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must succeed; what it prints."""

    def run(*arguments: str) -> str:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused in one line; that line."""

    def run(*arguments: str) -> str:
        assert main(list(arguments)) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    return run


def make(path: Path, key: Path) -> None:
    with Lake.open(path, master_key=KeyFileMasterKey.create(key)) as lake:
        lake.transact([Put(PATIENT)])
        lake.flush()
        lake.transact([Put({**PATIENT, "active": True})])


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder: when it was changed, and what is in it."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.slow
def test_the_master_key_is_rotated_while_the_service_runs(
    tmp_path: Path,
    start_service: Callable[..., Service],
    done: Callable[..., str],
    refused: Callable[..., str],
) -> None:
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    done("keys", "init", str(old))
    done("keys", "init", str(new))
    service = start_service("lake", "--no-nlp", "--master-key", f"file:{old}")
    before = service.patient()
    folder = ("--data", str(service.data))
    said = done("keys", "rotate", *folder, "--master-key-file", str(old), "--to", f"file:{new}")
    assert "not renewed" in said
    assert str(new) in said
    after = service.patient()
    assert service.http.get(f"/fhir/Patient/{before}").status_code == 200
    # So many that they move into a segment when the service ends: its key is added then.
    resource = {"resourceType": "Patient"}
    entry = {"resource": resource, "request": {"method": "POST", "url": "Patient"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry] * 1_100}
    assert service.http.post("/fhir", json=bundle).status_code == 200
    service.stop()
    assert list((service.data / "lake").rglob("*.parquet"))
    line = refused("sql", *folder, "--master-key", f"file:{old}", "SELECT 1")
    assert "another master key" in line
    service.options = ("--no-nlp", "--master-key", f"file:{new}")
    service.start()
    for id in (before, after):
        assert service.http.get(f"/fhir/Patient/{id}").status_code == 200
    service.stop()
    with Lake.open(service.data, master_key=KeyFileMasterKey(new)) as lake:
        assert lake.verify() == []
    # Now that nothing has the lake open, the datastore key is renewed too.
    store = service.data / "keys" / "keystore.json"
    wrapped = json.loads(store.read_bytes())["keys"]
    said = done("keys", "rotate", *folder, "--master-key", f"file:{new}", "--to", f"file:{old}")
    assert "datastore key renewed" in said
    assert not set(wrapped.values()) & set(json.loads(store.read_bytes())["keys"].values())
    with Lake.open(service.data, master_key=KeyFileMasterKey(old)) as lake:
        assert lake.verify() == []
    assert "another master key" in refused("keys", "show", *folder, "--master-key", f"file:{new}")


def test_show_says_which_key_and_no_secret(
    tmp_path: Path, done: Callable[..., str], refused: Callable[..., str]
) -> None:
    key = tmp_path / "a.key"
    make(tmp_path / "lake", key)
    shown = done("keys", "show", "--data", str(tmp_path / "lake"), "--master-key", f"file:{key}")
    document = json.loads((tmp_path / "lake" / "keys" / "keystore.json").read_bytes())
    assert document["lake"] in shown
    assert "key-file" in shown
    assert "segment keys 1" in shown
    assert str(key) in shown
    assert key.read_text().strip() not in shown
    assert document["datastore"]["key"] not in shown
    assert "no lake" in refused("keys", "show", "--data", str(tmp_path / "none"))


@pytest.mark.parametrize("wrong", ["another", "missing", "public", "damaged", "kind"])
def test_without_its_master_key_a_lake_is_refused_and_not_touched(
    tmp_path: Path, wrong: str, refused: Callable[..., str]
) -> None:
    folder, key = tmp_path / "lake", tmp_path / "a.key"
    make(folder, key)
    name = f"file:{key}"
    if wrong == "another":
        key.unlink()
        KeyFileMasterKey.create(key)
    elif wrong == "missing":
        key.unlink()
    elif wrong == "public":
        key.chmod(0o644)
    elif wrong == "damaged":
        key.write_text("not a key")
    else:
        (tmp_path / "phrase").write_text("correct horse battery")
        name = f"passphrase-file:{tmp_path}/phrase"
    before = state(folder)
    with_key = ("--data", str(folder), "--master-key", name)
    refused("sql", *with_key, "SELECT 1")
    refused("keys", "rotate", *with_key, "--to", name)
    if wrong == "another":
        command = [sys.executable, "-m", "service.cli", "serve", *with_key, "--port", "0"]
        served = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert served.returncode == 1
        assert len(served.stderr.strip().splitlines()) == 1, served.stderr
    assert state(folder) == before


def test_keys_of_another_lake_are_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    key = KeyFileMasterKey.create(tmp_path / "a.key")
    for name in ("a", "b"):
        with Lake.open(tmp_path / name, master_key=key) as lake:
            lake.transact([Put(PATIENT)])
    store = tmp_path / "a" / "keys" / "keystore.json"
    store.write_bytes((tmp_path / "b" / "keys" / "keystore.json").read_bytes())
    before = state(tmp_path / "a")
    with pytest.raises(FhirError, match="belongs to another lake"):
        Lake.open(tmp_path / "a", master_key=key)
    assert state(tmp_path / "a") == before


def test_a_new_master_key_that_does_not_work_changes_nothing(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    folder, key = tmp_path / "lake", tmp_path / "a.key"
    make(folder, key)
    before = (folder / "keys" / "keystore.json").read_bytes()
    command = ("keys", "rotate", "--data", str(folder), "--master-key", f"file:{key}", "--to")
    assert "no master key file" in refused(*command, f"file:{tmp_path}/none.key")
    assert "names no master key" in refused(*command, str(key))
    vault = "vault-transit:http://127.0.0.1:1/transit/keys/lake"
    assert "no token" in refused(*command, vault)
    assert (folder / "keys" / "keystore.json").read_bytes() == before


# Rotates the lake argv[1] from argv[2] to argv[3] and dies at the argv[4]-th change of the disk.
DIE = """
import os, sys
from pathlib import Path
from storage import keystore_file, rotation
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey
left = [int(sys.argv[4])]
def dying(method):
    def call(*args, **kwargs):
        if left[0] == 0:
            os._exit(9)
        left[0] -= 1
        return method(*args, **kwargs)
    return call
for name in ("rename", "unlink"):
    setattr(Path, name, dying(getattr(Path, name)))
for name in ("sync_folder", "create_file"):
    setattr(keystore_file, name, dying(getattr(keystore_file, name)))
old, new = (KeyFileMasterKey(name) for name in sys.argv[2:4])
rotation.rotate(LakeFolder(Path(sys.argv[1])), old, new)
"""


@pytest.mark.parametrize("step", [0, 2, 3, 5, 8])
def test_a_rotation_that_dies_leaves_exactly_one_master_key(tmp_path: Path, step: int) -> None:
    folder, old, new = tmp_path / "lake", tmp_path / "a.key", tmp_path / "b.key"
    make(folder, old)
    KeyFileMasterKey.create(new)
    died = subprocess.run(
        [sys.executable, "-c", DIE, str(folder), str(old), str(new), str(step)], capture_output=True
    )
    assert died.returncode == (9 if step < 8 else 0), died.stderr
    opened = []
    for key in (old, new):
        try:
            with Lake.open(folder, master_key=KeyFileMasterKey(key)) as lake:
                assert lake.read("Patient", "p1").version_id == 2
                assert lake.verify() == []
            opened.append(key)
        except FhirError as failure:
            assert failure.category == "forbidden"
    assert opened == [old if step <= 2 else new]
