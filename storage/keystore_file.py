"""`keys/keystore.json` as bytes: its form, and how it is replaced so that no crash tears it.

Who changes it holds an flock on `keys/lock` and reads it anew first: a rotation of the master key
may come from another process while the service runs. The old content is overwritten after it was
replaced (best effort: a journaling or copy-on-write file system, or a flash disk, may keep it).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.outcomes import FhirError, error
from storage.private_files import (
    create_file,
    create_whole_file,
    folder_lock,
    sync_folder,
    unfinished,
)

FILE_NAME = "keystore.json"
FORMAT = 2

_READ_ATTEMPTS = 20


@dataclass(frozen=True)
class KeystoreContent:
    """What the file holds: wrapped keys only."""

    lake_id: str
    datastore: Mapping[str, object]
    keys: Mapping[str, bytes]
    segments: Mapping[str, bytes]

    def encoded(self) -> bytes:
        """The file's bytes."""
        document = {
            "format": FORMAT,
            "lake": self.lake_id,
            "datastore": dict(self.datastore),
            "keys": {name: _text(key) for name, key in self.keys.items()},
            "segments": {name: _text(key) for name, key in self.segments.items()},
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def decoded(cls, data: bytes, path: Path) -> KeystoreContent:
        """What `data` holds. Raises FhirError: `not-supported` (format), `invalid` (damaged)."""
        try:
            document: dict[str, Any] = json.loads(data)
            if document["format"] != FORMAT:
                raise error(
                    "not-supported",
                    f"{path} has format {str(document['format'])[:9]}; this release reads format "
                    f"{FORMAT} only. Export the lake with the release that made it, and import it "
                    "into a new one.",
                )
            wrapped = document["datastore"]
            if not isinstance(wrapped, dict):
                raise TypeError
            return cls(
                str(document["lake"]),
                wrapped,
                {str(name): _bytes(key) for name, key in document["keys"].items()},
                {str(name): _bytes(key) for name, key in document["segments"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged(path) from None


class KeystoreFile:
    """The file at one path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = path.with_name(path.name + ".new")

    def read(self) -> KeystoreContent:
        """The content, never one that is just being overwritten. Raises FhirError `invalid`."""
        for _ in range(_READ_ATTEMPTS):
            with self.path.open("rb") as file:
                data = file.read()
                if os.fstat(file.fileno()).st_ino == os.stat(self.path).st_ino:
                    break
        return KeystoreContent.decoded(data, self.path)

    def create(self, content: KeystoreContent) -> None:
        """Write the first content, durable on return. Raises FileExistsError."""
        create_whole_file(self.path, content.encoded())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The right to replace the content; waits for others who have it."""
        with folder_lock(self.path.parent):
            yield

    def remove_leftovers(self) -> None:
        """Remove what a crash in `create` or `replace` left: it holds wrapped keys."""
        leftovers = (self._next, unfinished(self.path))
        if any(leftover.exists() for leftover in leftovers):
            with self.locked():
                for leftover in leftovers:
                    leftover.unlink(missing_ok=True)
                sync_folder(self.path.parent)

    def replace(self, content: KeystoreContent) -> None:
        """Replace the content, durable on return, and overwrite the old one. Only when locked."""
        self._next.unlink(missing_ok=True)
        create_file(self._next, content.encoded())
        with self.path.open("r+b") as old:
            self._next.rename(self.path)
            sync_folder(self.path.parent)
            with contextlib.suppress(OSError):
                old.write(os.urandom(os.fstat(old.fileno()).st_size))
                old.flush()
                os.fsync(old.fileno())


def damaged(path: Path) -> FhirError:
    """The refusal of a file that is no keystore, or not whole."""
    return error(
        "invalid", f"{path} is damaged or no keystore of a lake. Bring it back from a backup."
    )


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
