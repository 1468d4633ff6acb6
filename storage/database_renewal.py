"""Giving `hot.db` a new key: the whole database is written anew, and takes the place of the old.

1. The key store gets the next key (`Keystore.renew_database_key`).
2. `write`: VACUUM INTO `hot.db.renewing` under the next key; synced; renamed to `hot.db.renewed`.
   That name is the point of no return: whoever finds it goes on with 3.
3. `put_in_place`: the old -wal and -shm are removed, then the new file replaces `hot.db`.
4. The key store makes the next key the key, and destroys the old one.

A write-ahead log left beside the new file would be replayed into it, hence the order in 3, and
hence connections to the old file never checkpoint or remove a log when they close.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import apsw

from schemas.outcomes import error
from storage.keystore import Keystore
from storage.private_files import create_file, sync_file, sync_folder

CIPHER = "chacha20"


def hexkey(key: bytes) -> str:
    """How SQLite3 Multiple Ciphers is told a key of 32 random bytes that is not to be stretched."""
    return (b"raw:" + key).hex()


def companions(database: Path) -> tuple[Path, Path]:
    """The write-ahead log and its index."""
    return database.with_name(database.name + "-wal"), database.with_name(database.name + "-shm")


def write(connection: apsw.Connection, path: Path, key: bytes) -> None:
    """Steps 2: copy what `connection` has open under another key. Raises FhirError `unavailable`.

    `connection` is outside any transaction and was opened with SQLITE_OPEN_URI.
    """
    unfinished, ready = _unfinished(path), _ready(path)
    _remove(path, unfinished, ready)
    create_file(unfinished, b"")
    address = f"file:{quote(str(unfinished.absolute()))}?cipher={CIPHER}&hexkey={hexkey(key)}"
    try:
        connection.execute("VACUUM INTO ?", (address,))
    except apsw.Error as failure:
        # SQLite's message may name the address, and so the key: it goes no further.
        _remove(path, unfinished)
        raise error(
            "unavailable",
            f"The database could not be written anew ({type(failure).__name__}); it is as it was. "
            "It needs as much free space on the disk as it has.",
        ) from None
    sync_file(unfinished)
    unfinished.rename(ready)
    sync_folder(path.parent)


def put_in_place(path: Path) -> None:
    """Step 3: `hot.db.renewed` becomes `hot.db`; durable on return."""
    for leftover in companions(path):
        leftover.unlink(missing_ok=True)
    sync_folder(path.parent)
    _ready(path).rename(path)
    sync_folder(path.parent)


def settle(path: Path, keystore: Keystore) -> None:
    """Complete or undo what a crash interrupted. Only with the lake's lock, before it is opened."""
    unfinished, ready, key = _unfinished(path), _ready(path), keystore.next_database_key
    if ready.exists() and key is not None and opens(ready, key):
        put_in_place(path)
    _remove(path, unfinished, ready)
    if key is None:
        return
    if opens(path, key):
        keystore.finish_database_key()
    elif opens(path, keystore.database_key):
        keystore.drop_next_database_key()


def opens(path: Path, key: bytes) -> bool:
    """Whether a database file can be read with a key; changes nothing."""
    connection = connect(path, key, apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018
    except apsw.NotADBError:
        return False
    finally:
        connection.close()
    return True


def connect(path: Path, key: bytes, flags: int, statements: int = 100) -> apsw.Connection:
    """A connection with the key, that neither checkpoints nor removes a log when it closes.

    `statements`: how many it keeps compiled.
    """
    connection = apsw.Connection(
        str(path), flags=flags | apsw.SQLITE_OPEN_URI, statementcachesize=statements
    )
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute(f"PRAGMA cipher = '{CIPHER}'")
    connection.execute(f"PRAGMA hexkey = '{hexkey(key)}'")
    return connection


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".renewing")


def _ready(path: Path) -> Path:
    return path.with_name(path.name + ".renewed")


def _remove(path: Path, *leftovers: Path) -> None:
    there = [leftover for leftover in leftovers if leftover.exists()]
    for leftover in there:
        for file in (leftover, leftover.with_name(leftover.name + "-journal")):
            file.unlink(missing_ok=True)
    if there:
        sync_folder(path.parent)
