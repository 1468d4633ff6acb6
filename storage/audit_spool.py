"""The spool: accesses of processes that only read, on their way into the audit log.

Only the process that writes may append to the log. A reading process appends to a file of its own
below `audit-spool`; the writing one takes the files in (`storage.audit_intake`). A file is a row of
frames, each of which is

    length of the rest (4 bytes) ‖ nonce (12) ‖ AES-GCM of some records ‖ its tag (16)

under a key of the file (from the key store's identity secret and the file's name). Associated data
are the lake, the name of the file, the frame's number and the tag before, so a frame can be neither
changed nor moved, nor left out. The last frame has no records: the process closed its file. An
flock is held on the file for as long as something may be appended to it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hmac
import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.outcomes import error
from storage.audit_record import AuditRecord, AuditRow, encode_detail
from storage.private_files import make_folder, sync_folder

log = logging.getLogger("chartlake.audit")

SPOOL_KEY = "audit spool"
"""Purpose of the secret of `Keystore.secret`."""

SYSTEM = "system:audit"
"""The agent of events about the spool itself."""

TAG_BYTES = 16
_NONCE_BYTES = 12
_LENGTH = struct.Struct(">I")
_LEAST = _NONCE_BYTES + TAG_BYTES
_MOST = 2**30

# A file is closed, and can be removed when it was taken in, at this size.
_FILE_BYTES = 4 * 2**20

# Of a file that has no frame yet.
_UNNAMED = ".new"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, str, int, str, str, bytes]]).decode


class DamagedError(Exception):
    """A spool file is not what was written; the text says how, and nothing of its content."""


class Place(NamedTuple):
    """A place in a file: how many frames and bytes are before it, and the tag of the last frame."""

    frames: int = 0
    offset: int = 0
    tag: bytes = bytes(TAG_BYTES)


START = Place()


class Frame(NamedTuple):
    """What a frame holds, and the place after it. No records: the file was closed."""

    records: list[AuditRecord]
    end: Place


class SpoolCodec:
    """Writes and reads frames of one lake's spool."""

    def __init__(self, secret: bytes, lake_id: str) -> None:
        self._secret = secret
        self._lake_id = lake_id.encode()
        self._last: tuple[str, AESGCM] | None = None

    def frame(self, name: str, place: Place, records: Sequence[AuditRecord]) -> bytes:
        """A frame of records, each with its moment, to stand at a place of the file `name`."""
        rows = [
            (r.recorded_us or 0, r.action, r.outcome, r.name, r.agent, encode_detail(r))
            for r in records
        ]
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher(name).encrypt(nonce, _encode(rows), self._about(name, place))
        return _LENGTH.pack(len(nonce) + len(sealed)) + nonce + sealed

    def frames(self, name: str, content: bytes, place: Place) -> Iterator[Frame]:
        """The whole frames of what the file holds from `place` on. Raises DamagedError."""
        cipher = self._cipher(name)
        at = 0
        while len(content) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(content, at)
            if not _LEAST <= length <= _MOST:
                raise DamagedError(f"record {place.frames + 1} is no record")
            begin, at = at + _LENGTH.size, at + _LENGTH.size + length
            if at > len(content):
                return
            nonce, sealed = (
                content[begin : begin + _NONCE_BYTES],
                content[begin + _NONCE_BYTES : at],
            )
            try:
                rows = _decode(cipher.decrypt(nonce, sealed, self._about(name, place)))
                records = [_record(*row) for row in rows]
            except (InvalidTag, ValueError, TypeError, IndexError, KeyError):
                raise DamagedError(
                    f"record {place.frames + 1} was changed, moved or put in"
                ) from None
            place = Place(
                place.frames + 1, place.offset + _LENGTH.size + length, sealed[-TAG_BYTES:]
            )
            yield Frame(records, place)

    def _cipher(self, name: str) -> AESGCM:
        # One file after the other.
        last = self._last
        if last is None or last[0] != name:
            key = hmac.digest(self._secret, name.encode(), "sha256")
            last = self._last = (name, AESGCM(key))
        return last[1]

    def _about(self, name: str, place: Place) -> bytes:
        number = place.frames.to_bytes(8, "big")
        return b"\0".join((self._lake_id, name.encode(), number + place.tag))


def _record(
    recorded_us: int, action: str, outcome: int, name: str, agent: str, detail: bytes
) -> AuditRecord:
    return AuditRow(0, 0, recorded_us, None, action, outcome, name, agent, detail, b"").record()


class AuditSpool:
    """What one process appends to: a file at a time, made with the first records."""

    def __init__(self, folder: Path, codec: SpoolCodec, *, unaudited: bool = False) -> None:
        """`unaudited`: records that cannot be written are left out."""
        self._folder = folder
        self._codec = codec
        self._unaudited = unaudited
        self._failing = False
        self._file: _OwnFile | None = None
        # A file was removed, and that is still to be recorded.
        self._missed = False
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._thread = ThreadPoolExecutor(1, "chartlake-audit-spool")
        # Who ends without closing the lake closes the file all the same.
        atexit.register(self.close)

    def begin(self, pull: Callable[[], list[AuditRecord]]) -> Future[Any]:
        """Append what `pull` gives; the future is done when it is durable. See `AuditQueue`."""
        try:
            return self._thread.submit(lambda: self.append(pull()))
        except RuntimeError:
            raise error("unavailable", "The lake is closed.") from None

    def append(self, records: Sequence[AuditRecord]) -> None:
        """Append records, durable on return. Raises FhirError `unavailable`."""
        try:
            with self._lock:
                # One frame: it is written, or taken back, as a whole.
                self._append(records)
            self._failing = False
        except OSError as failure:
            if not self._failing:
                log.error("accesses could not be recorded: %s", type(failure).__name__)
            self._failing = True
            if not self._unaudited:
                raise error(
                    "unavailable",
                    f"This access cannot be recorded: {self._folder} cannot be written "
                    f"({failure.strerror}). Let this process write there (or set "
                    "unaudited_reads, to be answered without a record).",
                ) from None

    def close(self) -> None:
        """Close the file; what was appended is taken in by the process that writes."""
        atexit.unregister(self.close)
        self._thread.shutdown()
        with self._lock:
            if self._file is not None and self._pid == os.getpid():
                with contextlib.suppress(OSError):
                    self._end()

    def _append(self, records: Sequence[AuditRecord]) -> None:
        file = self._file
        if file is not None and not file.is_there():
            if not file.was_set_aside():
                log.error("a spool file of the audit log was removed or changed")
                self._missed = True
            file.close()
            file = self._file = None
        if file is None:
            told = [removed(), *records] if self._missed else records
            self._file = _OwnFile(self._folder, self._codec, told)
            self._missed = False
            return
        try:
            file.append(records)
        except OSError:
            if not file.undo():
                file.close()
                self._file = None
            raise
        if file.place.offset >= _FILE_BYTES:
            self._end()

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.append([])
            finally:
                file.close()


class _OwnFile:
    """The file that this process appends to."""

    def __init__(self, folder: Path, codec: SpoolCodec, records: Sequence[AuditRecord]) -> None:
        """Make the file with its first records; it has its name when they are durable."""
        make_folder(folder)
        # In the order that they were made, also those of one process.
        self.name = f"{time.time_ns():016x}{os.urandom(8).hex()}"
        self.path = folder / self.name
        self.place = START
        self._codec = codec
        unnamed = folder / (self.name + _UNNAMED)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(unnamed, flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if os.geteuid() == 0:
                # The service that takes it in is the one that the folder belongs to.
                owner = os.stat(folder)
                os.fchown(self._descriptor, owner.st_uid, owner.st_gid)
            self.append(records)
            unnamed.rename(self.path)
            sync_folder(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                unnamed.unlink(missing_ok=True)
            os.close(self._descriptor)
            raise

    def append(self, records: Sequence[AuditRecord]) -> None:
        """Append a frame, durable on return. Raises OSError; then `undo`."""
        frame = self._codec.frame(self.name, self.place, records)
        rest = memoryview(frame)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fdatasync(self._descriptor)
        place = self.place
        self.place = Place(place.frames + 1, place.offset + len(frame), frame[-TAG_BYTES:])

    def undo(self) -> bool:
        """Take back what a failed `append` left; False where the file is not to be used any more.

        A frame that is whole may have been taken in already: only a part of one is taken back.
        """
        try:
            written = os.fstat(self._descriptor).st_size - self.place.offset
            if not written:
                return True
            with self.path.open("rb") as file:
                file.seek(self.place.offset)
                content = file.read()
            if any(self._codec.frames(self.name, content, self.place)):
                return False
            os.ftruncate(self._descriptor, self.place.offset)
        except (OSError, DamagedError):
            return False
        return True

    def is_there(self) -> bool:
        """Is the file under its name, with all that was appended to it?"""
        found = os.fstat(self._descriptor)
        try:
            named = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return found.st_ino == named.st_ino and found.st_size == self.place.offset

    def was_set_aside(self) -> bool:
        """Did the process that writes find it damaged, and tell so itself?"""
        return set_aside(self.path).exists()

    def close(self) -> None:
        """Nothing is appended any more."""
        os.close(self._descriptor)


def set_aside(path: Path) -> Path:
    """The name under which a damaged file is kept."""
    return path.with_name(path.name + ".damaged")


def removed() -> AuditRecord:
    """The record of a spool file that was removed or changed before all of it was taken in."""
    return AuditRecord("E", "audit-spool-removed", SYSTEM, 8, "internal")


def damaged() -> AuditRecord:
    """The record of a spool file that is not what was written, and is kept."""
    return AuditRecord("E", "audit-spool-damaged", SYSTEM, 8, "internal")


def broken_off() -> AuditRecord:
    """The record of a process that ended without closing its spool file."""
    return AuditRecord("E", "audit-spool-broken-off", SYSTEM, 8, "internal")
