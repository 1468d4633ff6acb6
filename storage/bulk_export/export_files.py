"""The files of exports: encrypted on the disk, one folder an export, gone with it.

A file is a row of frames, each compressed (Zstandard) and encrypted (AES-256-GCM) under a key that
belongs to the export alone and lies in `hot.db`. The nonce is the frame's number, and the
associated data names export, file, number and whether the frame is the last: a file that was cut
off, altered or exchanged for another is noticed. When the export goes, so does its key.
"""

from __future__ import annotations

import base64
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.outcomes import error
from storage.keys import KEY_BYTES, new_key
from storage.private_files import make_folder, sync_folder

FRAME_BYTES = 2**20
"""Content of a frame, before compression; also what is held in memory of a file."""

_MAGIC = b"CLEXP001"
_LENGTHS = struct.Struct("<II")
_ZSTD = pa.Codec("zstd", compression_level=1)


def new_export_key() -> str:
    """A key for the files of one export, as text."""
    return base64.b64encode(new_key()).decode()


class ExportFiles:
    """The exports' files of one lake."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when the first file is."""
        self._folder = folder

    def create(self, export: str, file: str, key: str) -> ExportWriter:
        """A new file of an export, `file` its name; what an interrupted try left is replaced."""
        folder = self._folder / export
        make_folder(self._folder)
        make_folder(folder)
        return ExportWriter(folder / file, _FileCipher(export, file, key))

    def read(self, export: str, file: str, key: str) -> Iterator[bytes]:
        """The content, in pieces of at most `FRAME_BYTES`.

        Raises FhirError: `not-found` when the file is gone; `internal` when it is not what was
        written.
        """
        path = self._folder / export / file
        cipher = _FileCipher(export, file, key)
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            raise error("not-found", "The file of this export is not there any more.") from None
        with stream:
            try:
                yield from _frames(stream.read, cipher)
            except (InvalidTag, ValueError, OSError, struct.error):
                raise error("internal", "a file of an export is damaged: export again") from None

    def size(self, export: str, file: str) -> int:
        """Bytes on the disk; 0 when it is not there."""
        try:
            return (self._folder / export / file).stat().st_size
        except FileNotFoundError:
            return 0

    def remove(self, export: str) -> None:
        """Remove all files of an export; nothing when there are none."""
        folder = self._folder / export
        if folder.exists():
            shutil.rmtree(folder)
            sync_folder(self._folder)

    def exports(self) -> list[str]:
        """The exports that have files."""
        if not self._folder.exists():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir())


class ExportWriter:
    """A file being written, as a binary stream (`write`, `close`, `tell`, `flush`)."""

    def __init__(self, path: Path, cipher: _FileCipher) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._stream = os.fdopen(os.open(path, flags, 0o600), "wb")
        self._stream.write(_MAGIC)
        self._cipher = cipher
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._number = 0
        self.size = 0
        """Bytes of content that were written."""
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        """Add content."""
        content = bytes(data)
        self._pending.append(content)
        self._pending_bytes += len(content)
        self.size += len(content)
        if self._pending_bytes > FRAME_BYTES:
            joined = b"".join(self._pending)
            begin = 0
            # The last frame is written by `close`, which knows that it is the last.
            while len(joined) - begin > FRAME_BYTES:
                self._frame(joined[begin : begin + FRAME_BYTES], last=False)
                begin += FRAME_BYTES
            self._pending = [joined[begin:]]
            self._pending_bytes = len(joined) - begin
        return len(content)

    def tell(self) -> int:
        """Bytes of content so far."""
        return self.size

    def flush(self) -> None:
        """Nothing: content is durable when the file is closed."""

    def close(self) -> None:
        """Write what is left; the file is whole and durable then."""
        if self.closed:
            return
        self.closed = True
        self._frame(b"".join(self._pending), last=True)
        self._pending = []
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def abandon(self) -> None:
        """Close without an end: what is there is no whole file."""
        self.closed = True
        self._pending = []
        self._stream.close()

    def _frame(self, content: bytes, *, last: bool) -> None:
        packed = _ZSTD.compress(content, asbytes=True) if content else b""
        sealed = self._cipher.seal(packed, self._number, last=last)
        self._stream.write(_LENGTHS.pack(len(sealed), len(content)))
        self._stream.write(sealed)
        self._number += 1


class _FileCipher:
    def __init__(self, export: str, file: str, key: str) -> None:
        name = f"{export}/{file}".encode()
        raw = base64.b64decode(key)
        # A key for each file: frames are numbered from 0 in each.
        derived = HKDF(SHA256(), KEY_BYTES, None, b"chartlake export file " + name).derive(raw)
        self._cipher = AESGCM(derived)
        self._name = name

    def seal(self, content: bytes, number: int, *, last: bool) -> bytes:
        return self._cipher.encrypt(_nonce(number), content, self._about(number, last))

    def open(self, sealed: bytes, number: int, *, last: bool) -> bytes:
        return self._cipher.decrypt(_nonce(number), sealed, self._about(number, last))

    def _about(self, number: int, last: bool) -> bytes:
        return self._name + struct.pack("<Q?", number, last)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "little")


def _frames(read, cipher: _FileCipher) -> Iterator[bytes]:  # type: ignore[no-untyped-def]
    if read(len(_MAGIC)) != _MAGIC:
        raise ValueError("no file of an export")
    number = 0
    head = read(_LENGTHS.size)
    while True:
        sealed_size, size = _LENGTHS.unpack(head)
        if size > FRAME_BYTES or sealed_size > 2 * FRAME_BYTES + 1024:
            raise ValueError("no frame has this size")
        sealed = read(sealed_size)
        # What follows tells whether this frame claims to be the last; the tag proves it.
        head = read(_LENGTHS.size)
        packed = cipher.open(sealed, number, last=not head)
        if size:
            yield _ZSTD.decompress(packed, decompressed_size=size, asbytes=True)
        if not head:
            return
        number += 1
