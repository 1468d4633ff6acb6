"""Files and folders that only their owner may read, made so that a crash loses nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from schemas.outcomes import error

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


def make_folder(path: Path) -> None:
    """Make a folder with mode 0700 (parents as the umask has it); an existing one is left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=_FOLDER_MODE)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the folder's entries durable: files made, renamed or removed in it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the file's content durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_file(path: Path, content: bytes) -> None:
    """Write a new file, mode 0600, durable on return. Raises FileExistsError when it is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def create_whole_file(path: Path, content: bytes) -> None:
    """Like `create_file`, and the file has its name only when it is whole, whenever a crash comes.

    What a crash leaves beside it is `unfinished(path)`; the next attempt removes it.
    """
    part = unfinished(path)
    part.unlink(missing_ok=True)
    create_file(part, content)
    try:
        # Not a rename, which would overwrite.
        os.link(part, path)
    finally:
        part.unlink()
    sync_folder(path.parent)


def unfinished(path: Path) -> Path:
    """Where `create_whole_file` and `replace_file` write what is to be `path`."""
    return path.with_name(path.name + ".making")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file, mode 0600, in the place of what is there: the old or the new, never a part.

    Durable on return. A crash may leave `unfinished(path)`; the next attempt removes it.
    """
    part = unfinished(path)
    part.unlink(missing_ok=True)
    create_file(part, content)
    part.rename(path)
    sync_folder(path.parent)


@contextlib.contextmanager
def folder_lock(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """An flock on `lock` in the folder, for as long as the block lasts; waits until it is free.

    Shared: with others who share it; a folder that may not be written is then not locked.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(folder / "lock", flags, _FILE_MODE)
    except OSError:
        if not shared:
            raise
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class FolderLock:
    """The right to write in a lake folder: one process, until it ends at the latest."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises FhirError `conflict` when another process or Lake has it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(folder / "lock", flags, _FILE_MODE)
        self._descriptor: int | None = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise error(
                "conflict",
                f"The lake at {folder} is open in another process. Stop that process, "
                "go through its HTTP service, or read beside it (`--read-only`).",
            ) from None

    def release(self) -> None:
        """Let the next one write. Once: a number closed twice could be another file's by then."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
