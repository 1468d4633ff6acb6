"""Damage in the middle of the write-ahead log, which SQLite takes for the log's end.

After a crash the log's last transaction may be torn, and SQLite reads up to the last whole one. It
does the same when a byte in the middle has gone bad: what was acknowledged after it would be gone
without a word. Nothing is written to the log before the transaction before it was synced, so of a
torn end one transaction at most has its commit mark; where there are more beyond the end that
SQLite sees, the log is damaged.
https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import apsw

from schemas.outcomes import error
from storage.database_renewal import companions, connect

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class LogDamage:
    """`sound_bytes` of the log can be read; of `transactions` beyond them nothing can."""

    sound_bytes: int
    transactions: int


def check(database: Path, key: bytes) -> None:
    """Refuse (FhirError `invalid`) a log of which acknowledged transactions cannot be read.

    To be called before the lake writes, and so makes the loss final.
    """
    log = companions(database)[0]
    found = damage(database, key)
    if found is None:
        return
    lost = f"at least {found.transactions} commits" if found.transactions else "the commits in it"
    raise error(
        "invalid",
        f"{log} is damaged after byte {found.sound_bytes}: {lost} that were acknowledged cannot be "
        "read. Restore a backup, or bring that file back; the lake was not changed. As a last "
        f"resort go on without them: keep a copy, `truncate -s {found.sound_bytes} {log}`, and run "
        "`chartlake verify`.",
    )


def damage(database: Path, key: bytes) -> LogDamage | None:
    """What is damaged in the log; None when nothing is, or when it cannot be told."""
    log = companions(database)[0]
    if not log.exists():
        return None
    flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READONLY, 0]
    # Through SQLite's file layer, below the encryption; see `storage.backup.database_copy`.
    file = apsw.VFSFile("unix", str(log), flags)
    try:
        return _damage(file, database, key)
    finally:
        file.xClose()


def _damage(file: apsw.VFSFile, database: Path, key: bytes) -> LogDamage | None:
    size = file.xFileSize()
    if size <= _HEADER.size + _FRAME.size:
        return None
    header = _HEADER.unpack(file.xRead(_HEADER.size, 0))
    if not _is_sound(header):
        return LogDamage(0, 0)
    page_bytes, salts = header[2], header[4:6]
    frame_bytes = _FRAME.size + page_bytes
    frames = (size - _HEADER.size) // frame_bytes
    read = _frames_read(database, key, exclusive=False)

    def unread() -> int:
        marked = 0
        for number in range(read or 0, frames):
            frame = _FRAME.unpack(file.xRead(_FRAME.size, _HEADER.size + number * frame_bytes))
            # A frame with the size of the database ends a transaction.
            marked += frame[2:4] == salts and frame[1] > 0
        return marked

    if read == 0 and unread() > 1:
        # As the log is, or because another process is about to begin it anew: without another one,
        # SQLite looks at the file again.
        read = _frames_read(database, key, exclusive=True)
    if read is None or (transactions := unread()) < 2:
        return None
    return LogDamage(_HEADER.size + read * frame_bytes, transactions)


def _frames_read(database: Path, key: bytes, *, exclusive: bool) -> int | None:
    """How many frames SQLite reads in the log; None when `exclusive` and others have it open."""
    connection = connect(database, key, apsw.SQLITE_OPEN_READWRITE)
    try:
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018
        _busy, frames, _copied = next(connection.execute("PRAGMA wal_checkpoint(NOOP)"))
    except apsw.BusyError:
        return None
    finally:
        connection.close()
    return int(frames)


def _is_sound(header: tuple[int, ...]) -> bool:
    """Whether the log's header is what its checksum says."""
    order = _MAGIC.get(header[0])
    if order is None:
        return False
    words = struct.unpack(f"{order}6I", _HEADER.pack(*header)[:24])
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return (first, second) == header[6:8]
