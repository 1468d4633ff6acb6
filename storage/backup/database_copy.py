"""A consistent copy of a SQLite database that others are writing, file by file.

While a read transaction is open, SQLite neither resets the log (`-wal`) nor moves into the database
what was committed after the transaction began. So the database file read first and the log read
after it are together what the lake was at that moment or (as far as the log goes on) later; SQLite
puts them together again when it opens the copy.
https://www.sqlite.org/wal.html#concurrency, https://www.sqlite.org/walformat.html

The files are read through SQLite's own file layer: closing a descriptor of our own would let go of
the locks that this process holds on the file (POSIX advisory locks are per process).
https://www.sqlite.org/howtocorrupt.html, section 2.2
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import apsw

PIECE_BYTES = 2**20
"""A whole number of SQLite pages of any size: a page that changes changes one piece."""


def pieces(path: Path) -> Iterator[tuple[str, bytes]]:
    """The content of a file of a database in use, in pieces: SHA-256 (hex) and bytes of each."""
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    if path.name.endswith("-wal"):
        flags[0] = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READONLY
    # "unix": below the encryption, so what is read is what is on the disk.
    file = apsw.VFSFile("unix", str(path), flags)
    try:
        size, offset = file.xFileSize(), 0
        while offset < size:
            content = file.xRead(min(PIECE_BYTES, size - offset), offset)
            if not content:
                return
            offset += len(content)
            yield hashlib.sha256(content).hexdigest(), content
    finally:
        file.xClose()
