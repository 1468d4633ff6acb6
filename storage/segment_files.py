"""Where segment files lie: the one way to write, open, measure, list and delete them.

A file is written whole or not at all: it has its name only when every byte of it is durable. It is
read at random places by pyarrow through `filesystem` and `path`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pyarrow.fs as fs

from schemas.outcomes import FhirError
from storage.private_files import make_folder, sync_folder

SUFFIX = ".parquet"

_READ_BYTES = 4 * 2**20


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


class Sink:
    """What a segment is written to: counts and digests the bytes on their way.

    The digest is of what was meant to be stored, so `verify` also finds what the disk made of it.
    """

    def __init__(self, out: _Writable) -> None:
        self._out: _Writable | None = out
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def closed(self) -> bool:
        """Parquet asks for it; the file itself is closed by whoever opened it."""
        return False

    def write(self, data: bytes) -> int:
        """Append. Without effect after `give_up`: Parquet's writer ends a file that failed, too."""
        if self._out is not None:
            self._out.write(data)
            self._digest.update(data)
            self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        """See `closed`."""

    def give_up(self) -> None:
        """Let nothing more through."""
        self._out = None

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what was written."""
        return self._digest.digest()


class SegmentFiles(ABC):
    """The segment files of one lake, in a folder or in an object store."""

    filesystem: fs.FileSystem
    """Opens files for pyarrow."""

    root: str
    """Path of the topmost folder within `filesystem`."""

    place: str
    """The root as messages and caches name it; another lake's differs."""

    def path(self, resource_type: str, name: str) -> str:
        """Path of a segment within `filesystem`."""
        return f"{self.root}/{resource_type}/{name}{SUFFIX}"

    def cache_key(self, resource_type: str, name: str) -> str:
        """What names this segment among all segments that this process may see."""
        return f"{self.place}/{resource_type}/{name}"

    @abstractmethod
    def writing(self, resource_type: str, name: str) -> AbstractContextManager[Sink]:
        """Write a new file: whole, durable and under its name at the end of the block.

        When the block or the writing fails there is no file. Raises FhirError `unavailable` when
        an object store cannot be reached, OSError for a disk.
        """

    @abstractmethod
    def delete(self, resource_type: str, name: str) -> None:
        """Delete a file and whatever was left of writing it. One that is not there is no error."""

    @abstractmethod
    def failure(self, exception: BaseException) -> FhirError | None:
        """The FhirError for a store that cannot be reached; None when it is the file's fault."""

    def size(self, resource_type: str, name: str) -> int | None:
        """Bytes of a file; None when there is none."""
        found = self.filesystem.get_file_info(self.path(resource_type, name))
        return int(found.size) if found.type == fs.FileType.File else None

    def sha256(self, resource_type: str, name: str) -> bytes:
        """SHA-256 of a file, which covers also what its tags do not (the magic, lengths)."""
        digest = hashlib.sha256()
        with self.filesystem.open_input_stream(self.path(resource_type, name)) as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
        return digest.digest()

    def exists(self, file: str) -> bool:
        """Whether a file that `list` gave is still there."""
        found = self.filesystem.get_file_info(f"{self.root}/{file}")
        return bool(found.type == fs.FileType.File)

    def list(self) -> list[str]:
        """Every file below the root, also those that are no segments, as `<folder>/<file name>`."""
        selector = fs.FileSelector(self.root, allow_not_found=True, recursive=True)
        return sorted(
            info.path[len(self.root) :].lstrip("/")
            for info in self.filesystem.get_file_info(selector)
            if info.type == fs.FileType.File
        )


class LocalSegmentFiles(SegmentFiles):
    """Segments in a folder: files of mode 0600 in folders of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self.filesystem = fs.LocalFileSystem()
        self.folder = folder.absolute()
        self.root = self.place = str(self.folder)

    @contextlib.contextmanager
    def writing(self, resource_type: str, name: str) -> Iterator[Sink]:
        """See `SegmentFiles`."""
        path = Path(self.path(resource_type, name))
        make_folder(path.parent)
        temporary = _temporary(path)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                sink = Sink(file)
                try:
                    yield sink
                except BaseException:
                    sink.give_up()
                    raise
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def delete(self, resource_type: str, name: str) -> None:
        """See `SegmentFiles`."""
        path = Path(self.path(resource_type, name))
        if not path.parent.exists():
            return
        _temporary(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

    def failure(self, exception: BaseException) -> FhirError | None:
        """See `SegmentFiles`: a folder is there or it is not."""
        return None


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")
