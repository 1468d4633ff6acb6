"""The proof: with the keys as they are after a purge, no byte of the patient can be had.

Not from a copy of everything but the keys that was made before, and not from the lake as it is.
Everything that any key of the key store opens is decrypted and searched.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import database_renewal, segments
from storage.backup.backup_folder import BackupFolder
from storage.backup.restore import restore
from storage.keystore import Keystore
from storage.lake import Lake
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey
from storage.rewrite import Rewriting

Fill = Callable[[Lake, list[str]], None]

ANN, BEA, CAL = "quetzal-7f3a", str(uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF)), "cal-9"


def secrets_of(patient: str) -> list[bytes]:
    """Identifiers, names, ids and the note's text, in each form in which they may be stored."""
    text = f"The patient Family{patient} coughs privately."
    words = [patient, f"MRN-{patient}-4711", f"Family{patient}", f"Given{patient}", text]
    found = [word.encode() for word in words]
    found += [word.casefold().encode() for word in words]
    # Inside of a base64 text its own base64 begins at the same offset: the attachment's start.
    found.append(base64.b64encode(text.encode())[:40])
    with contextlib.suppress(ValueError):
        found.append(uuid.UUID(patient).bytes)
    return found


def ids_of(patient: str) -> set[bytes]:
    """The id alone, in each form that it is kept in."""
    found = {patient.encode(), patient.casefold().encode()}
    with contextlib.suppress(ValueError):
        found.add(uuid.UUID(patient).bytes)
    return found


def keystore_of(lake: Path) -> Keystore:
    return Keystore.open(
        lake / "keys" / "keystore.json", KeyFileMasterKey(lake / "keys/master.key")
    )


def keys_of(store: Keystore) -> list[bytes]:
    """Every key that the key store holds."""
    return [store.database_key, *(store.segment_key(name) for name in store.segment_names())]


AUDIT_LOG = "audit log"


def decrypted(path: Path, key: bytes) -> tuple[bytes, bytes]:
    """A database as plaintext: every page, those that are free too, with what its log holds.

    The pages of the audit log by themselves: it keeps ids.
    """
    if not database_renewal.opens(path, key):
        return b"", b""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for file in (path, *database_renewal.companions(path)):
            if file.exists():
                shutil.copy(file, copy.with_name(file.name))
        connection = database_renewal.connect(copy, key, apsw.SQLITE_OPEN_READWRITE)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA rekey = ''")
        size = connection.execute("PRAGMA page_size").get
        of_audit = {
            number - 1
            for (number,) in connection.execute(
                "SELECT pageno FROM dbstat WHERE name LIKE 'audit%'"
            )
        }
        connection.close()
        content = copy.read_bytes()
    assert content.startswith(b"SQLite format 3")
    assert of_audit
    pages = [content[start : start + size] for start in range(0, len(content), size)]
    log = b"".join(page for number, page in enumerate(pages) if number in of_audit)
    return b"".join(page for number, page in enumerate(pages) if number not in of_audit), log


def rows(path: Path, keys: list[bytes]) -> Iterator[bytes]:
    """Every value of a segment, decrypted with whichever key opens it."""
    for key in keys:
        properties = segments.decryption_properties(path.stem, key)
        try:
            table = pq.read_table(path, decryption_properties=properties)
        except (OSError, ValueError, pa.ArrowException):
            continue
        for column in table.columns:
            for value in column.to_pylist():
                yield value if isinstance(value, bytes) else str(value).encode()


def readable(folder: Path, keys: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """All that can be read of a folder with some keys: raw bytes, pages and rows."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()
    for path in folder.rglob("*.parquet"):
        for value in rows(path, keys):
            yield path.name, value
    for path in folder.glob("hot.db*"):
        if not path.name.endswith(("-wal", "-shm")):
            for key in keys:
                rest, log = decrypted(path, key)
                yield path.name, rest
                yield AUDIT_LOG, log


def found(folder: Path, keys: list[bytes], patient: str) -> set[tuple[str, bytes]]:
    wanted = secrets_of(patient)
    return {
        (name, secret)
        for name, content in readable(folder, keys)
        for secret in wanted
        if secret in content and not (name == AUDIT_LOG and secret in ids_of(patient))
    }


def copied(lake: Path, to: Path) -> Path:
    """What any backup may hold: all but the keys."""
    return Path(shutil.copytree(lake, to, ignore=shutil.ignore_patterns("keys", "lock")))


@pytest.fixture
def filled(tmp_path: Path, fill: Fill) -> Path:
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        fill(lake, [ANN, BEA, CAL])
    return path


@pytest.mark.parametrize("patient", [ANN, BEA])
def test_no_copy_and_no_file_yields_the_patient(filled: Path, tmp_path: Path, patient: str) -> None:
    old_keys = keys_of(keystore_of(filled))
    with Lake.open(filled) as lake:
        lake.search("Patient", [("family", "family")])
        others = {
            (v.resource_type, v.id, v.version_id): v.body for v in lake.changes(0, limit=10_000)
        }
        backup = copied(filled, tmp_path / "backup")
        old_store = (filled / "keys" / "keystore.json").read_bytes()
        files = {path.name for path in backup.rglob("*.parquet")}
        # The search can fail: before, with the keys of before, it finds everything in the copy.
        there = {secret for _, secret in found(backup, old_keys, patient)}
        note = base64.b64encode(secrets_of(patient)[4])[:40]
        assert there >= {*secrets_of(patient)[:4], note}
        assert {name for name, _ in found(backup, old_keys, patient)} >= {"hot.db"}
        assert found(backup, old_keys, CAL)

        lake.purge(patient, reason="request", include_shared=True)

        keys = keys_of(keystore_of(filled))
        assert lake._keystore.segment_names() == {p.stem for p in filled.rglob("*.parquet")}
        assert found(filled, keys, patient) == set()
        remaining = {
            (v.resource_type, v.id, v.version_id): v.body for v in lake.changes(0, limit=10_000)
        }
        assert lake.verify() == []
    assert found(filled, keys, patient) == set()
    # The old copy: its database does not open, nor does any segment that held the patient.
    assert not any(database_renewal.opens(backup / "hot.db", key) for key in keys)
    assert found(backup, keys, patient) == set()
    rewritten = files - {path.name for path in filled.rglob("*.parquet")}
    assert rewritten
    for path in backup.rglob("*.parquet"):
        if path.name in rewritten:
            assert list(rows(path, keys)) == []
    assert (filled / "keys" / "keystore.json").read_bytes() != old_store
    assert keys[0] not in old_keys
    # Everyone else is complete and identical.
    gone = set(others) - set(remaining)
    assert remaining == {key: body for key, body in others.items() if key not in gone}
    for other in {ANN, BEA, CAL} - {patient}:
        ids = {id for _, id, _ in remaining}
        assert {other, f"o3-{other}", f"note-{other}", f"text-{other}", f"hot-{other}"} <= ids
        assert found(filled, keys, other)


def test_an_erased_note_is_gone_from_every_copy(filled: Path, tmp_path: Path) -> None:
    backup = copied(filled, tmp_path / "backup")
    text = secrets_of(ANN)[4]
    with Lake.open(filled) as lake:
        lake.erase([("DocumentReference", f"note-{ANN}")], reason="wrong file")
    keys = keys_of(keystore_of(filled))
    needles = (base64.b64encode(text)[:40], f"cough of Family{ANN}".encode())
    for folder in (filled, backup):
        assert not any(n in content for _, content in readable(folder, keys) for n in needles)


def test_a_copy_of_the_keys_that_was_updated_is_no_way_around(filled: Path, tmp_path: Path) -> None:
    backup = copied(filled, tmp_path / "backup")
    with Lake.open(filled) as lake:
        path = lake.key_copies.register(tmp_path / "safe")
        lake.purge(ANN, reason="x", include_shared=True)
    copy = Keystore.open(path, KeyFileMasterKey(filled / "keys" / "master.key"))
    assert found(backup, keys_of(copy), ANN) == set()
    assert found(filled, keys_of(copy), ANN) == set()


def test_files_that_were_merged_since_the_copy_are_no_way_around(
    filled: Path, tmp_path: Path
) -> None:
    backup = copied(filled, tmp_path / "backup")
    with Lake.open(filled) as lake:
        with lake._database.reading() as connection:
            live = [(s.resource_type, s.id) for s in lake._segments.all(connection)]
        for resource_type in {kind for kind, _ in live}:
            of_type = [id for kind, id in live if kind == resource_type]
            lake._rewriter.rewrite([Rewriting(resource_type, of_type)])
        # For the sake of backups the keys of the former files are kept, until it is erased.
        assert any(list(rows(p, keys_of(lake._keystore))) for p in backup.rglob("Patient/*"))
        lake.purge(ANN, reason="x", include_shared=True)
        assert lake.verify() == []
    keys = keys_of(keystore_of(filled))
    for folder in (filled, backup):
        assert found(folder, keys, ANN) == set()


def test_a_backup_restored_after_the_purge_lacks_the_patient(filled: Path, tmp_path: Path) -> None:
    with Lake.open(filled) as lake:
        lake.backup(tmp_path / "backups")
        lake.purge(ANN, reason="x", include_shared=True)
    store, master = filled / "keys" / "keystore.json", KeyFileMasterKey(filled / "keys/master.key")
    target = LakeFolder(tmp_path / "restored")
    restore(BackupFolder(tmp_path / "backups"), target, store, master)
    with Lake.open(tmp_path / "restored", master_key=master) as lake:
        assert not any(ANN in version.id for version in lake.changes(0, limit=10_000))
    assert found(tmp_path / "restored", keys_of(keystore_of(filled)), ANN) == set()
