"""The files of a release, in a folder, a zip or alone: found by name, read as lines, never trusted.

What is refused, each with one line: a zip that is cut off or damaged, names that lead out of it,
more bytes than an official release has, a file that is missing, text that is not UTF-8.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

Progress = Callable[[int, int], None]
"""Told how many bytes were read, and of how many."""

# The largest file of an official release is SNOMED CT's full relationships, 1 GB and growing.
MAX_FILE_BYTES = 4 << 30
# Text of a terminology is packed 10 to 25 times; a bomb, a thousand times.
MAX_RATIO = 200
_MAX_MEMBERS = 20_000
_MAX_LINE_CHARS = 1 << 20
_SMALL = 1 << 20


class ReleaseError(Exception):
    """The files are not what an official release looks like; the message is for the operator."""


class ReleaseSource:
    """The files of one release at `path`; use as a context manager. Raises ReleaseError."""

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        self.path = path
        self._progress = progress or (lambda _done, _all: None)
        self._archive: zipfile.ZipFile | None = None
        self.names: dict[str, int] = {}
        """Names in the folder or zip, with sizes in bytes."""
        self._done = 0
        self._all = 0
        if not path.exists():
            raise ReleaseError(f"{path}: there is no such file or folder")
        if path.is_dir():
            self._list_folder()
        elif zipfile.is_zipfile(path):
            self._list_zip()
        elif path.suffix.lower() == ".zip":
            raise ReleaseError(f"{path} is cut off or no zip archive; fetch it again")
        else:
            self.names[path.name] = path.stat().st_size

    def __enter__(self) -> ReleaseSource:
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    def find(self, pattern: str) -> str | None:
        """The one file whose last name is `pattern` (any case); None when there is none.

        Raises ReleaseError when there are several: it cannot be told which is meant.
        """
        regex = re.compile(pattern, re.IGNORECASE)
        found = sorted(n for n in self.names if regex.fullmatch(PurePosixPath(n).name))
        if len(found) > 1:
            raise ReleaseError(
                f"{self.path} holds {len(found)} files of one kind, {found[0]} and {found[1]} "
                "among them: name the folder of one release"
            )
        return found[0] if found else None

    def need(self, pattern: str, called: str) -> str:
        """As `find`; raises ReleaseError naming the file as it is `called` when it is missing."""
        found = self.find(pattern)
        if found is None:
            raise ReleaseError(f"{self.path}: {called} is missing")
        return found

    def expect(self, *names: str | None) -> None:
        """Say which files will be read, for the progress."""
        self._all = sum(self.names[name] for name in names if name is not None)

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """The lines of a file with their numbers, without line ends; strict UTF-8."""
        number = 0
        size = self.names[name]
        read = 0
        try:
            with self._open(name) as stream:
                while raw := stream.readline(_MAX_LINE_CHARS):
                    number += 1
                    read += len(raw)
                    if read > size or (len(raw) >= _MAX_LINE_CHARS and raw[-1:] != b"\n"):
                        raise ReleaseError(f"{name} line {number}: larger than it says it is")
                    if number % 20_000 == 0:
                        self._progress(self._done + read, self._all)
                    try:
                        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                    except UnicodeDecodeError:
                        raise ReleaseError(f"{name} line {number} is not UTF-8") from None
                    yield number, text.rstrip("\r\n")
        except (zipfile.BadZipFile, zlib.error, EOFError) as failure:
            raise ReleaseError(
                f"{name} is damaged in the archive ({type(failure).__name__})"
            ) from None
        except (NotImplementedError, RuntimeError):
            raise ReleaseError(f"{name} is packed or encrypted in a way that is not read") from None
        except OSError as failure:
            raise ReleaseError(f"{name}: {failure.strerror or failure}") from None
        self._done += size
        self._progress(self._done, self._all)

    def rows(self, name: str, separator: str, columns: int) -> Iterator[list[str]]:
        """The rows of a file of exactly so many columns. Raises ReleaseError naming the line."""
        for number, line in self.lines(name):
            cells = line.split(separator)
            if len(cells) != columns:
                raise ReleaseError(
                    f"{name} line {number}: {len(cells)} columns where the format has {columns}"
                )
            yield cells

    def _open(self, name: str) -> IO[bytes]:
        if self._archive is not None:
            return self._archive.open(name)
        path = self.path / name if self.path.is_dir() else self.path
        return path.open("rb")

    def _list_folder(self) -> None:
        for number, path in enumerate(sorted(self.path.rglob("*"))):
            if number > _MAX_MEMBERS:
                raise ReleaseError(f"{self.path} holds over {_MAX_MEMBERS} files: no release does")
            if path.is_file():
                self.names[path.relative_to(self.path).as_posix()] = path.stat().st_size

    def _list_zip(self) -> None:
        try:
            self._archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, ValueError):
            raise ReleaseError(f"{self.path} is cut off or damaged; fetch it again") from None
        members = self._archive.infolist()
        if len(members) > _MAX_MEMBERS:
            raise ReleaseError(f"{self.path} holds over {_MAX_MEMBERS} files: no release does")
        for member in members:
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or any(":" in part for part in name.parts):
                raise ReleaseError(
                    f"{self.path} holds a name that leads out of it: no release does"
                )
            if member.is_dir():
                continue
            size, packed = member.file_size, max(1, member.compress_size)
            if size > MAX_FILE_BYTES or (size > _SMALL and size / packed > MAX_RATIO):
                raise ReleaseError(
                    f"{self.path}: {name.name} would unpack to {size:,} bytes: no release does"
                )
            self.names[member.filename] = size
