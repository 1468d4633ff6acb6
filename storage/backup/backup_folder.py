"""A folder of backups of one lake: the files they share, and what each of them consists of.

| path | what |
|---|---|
| `backups/<id>.json` | a manifest: which pieces and segments make up the lake at one commit |
| `database/<sha256>` | pieces of `hot.db` and its log, as encrypted as those are |
| `segments/<Type>/<name>.parquet` | segments, copied once |

A manifest is written last, so a backup that was broken off is none; the files it has copied are
used by the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from schemas.outcomes import error
from storage.backup.manifest import Manifest
from storage.private_files import make_folder, replace_file, sync_folder

_ID = re.compile(r"\d{8}T\d{6}Z-t\d+(-\d+)?")


class BackupFolder:
    """One backup folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._backups = path / "backups"
        self._pieces = path / "database"
        self._segments = path / "segments"

    def create(self) -> None:
        """Make the folders that are not there. Raises FhirError `unavailable` when it cannot."""
        try:
            for folder in (self.path, self._backups, self._pieces, self._segments):
                make_folder(folder)
        except OSError as failure:
            raise error(
                "unavailable", f"{self.path} cannot be written ({type(failure).__name__})."
            ) from None

    # Manifests

    def ids(self) -> list[str]:
        """The backups, oldest first."""
        if not self._backups.is_dir():
            return []
        names = (path.name.removesuffix(".json") for path in self._backups.glob("*.json"))
        return sorted(name for name in names if _ID.fullmatch(name))

    def manifest_bytes(self, id: str) -> bytes:
        """A manifest as it was written. Raises FhirError `not-found`."""
        try:
            if _ID.fullmatch(id):
                return (self._backups / f"{id}.json").read_bytes()
        except FileNotFoundError:
            pass
        known = ", ".join(self.ids()[-3:]) or "none"
        raise error("not-found", f"There is no backup {id[:64]!r} in {self.path}; latest: {known}.")

    def add_manifest(self, id: str, content: bytes) -> None:
        """Make a backup exist, durably."""
        replace_file(self._backups / f"{id}.json", content)

    def remove_manifest(self, id: str) -> None:
        """Make a backup not exist; its files stay until `sweep`."""
        (self._backups / f"{id}.json").unlink(missing_ok=True)
        sync_folder(self._backups)

    # Files

    def has_piece(self, digest: str) -> bool:
        """Whether a piece with that SHA-256 was stored before."""
        return (self._pieces / digest).exists()

    def add_piece(self, digest: str, content: bytes) -> None:
        """Store a piece of the database, durably."""
        replace_file(self._pieces / digest, content)

    def piece(self, digest: str) -> bytes:
        """A stored piece. Raises FhirError `internal` when it is missing or damaged."""
        try:
            content = (self._pieces / digest).read_bytes()
        except FileNotFoundError:
            raise _damaged(f"database/{digest} is missing") from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise _damaged(f"database/{digest} is not what was stored")
        return content

    def segment(self, resource_type: str, name: str) -> Path:
        """Where the copy of a segment lies, or would."""
        return self._segments / resource_type / f"{name}.parquet"

    def sweep(self, kept: Iterable[Manifest]) -> int:
        """Remove the files that none of the backups kept is made of; how many."""
        pieces: set[str] = set()
        segments: set[Path] = set()
        for manifest in kept:
            pieces.update(manifest.pieces())
            segments.update(self.segment(s.resource_type, s.name) for s in manifest.segments)
        gone = [path for path in self._pieces.iterdir() if path.name not in pieces]
        gone += [path for path in self._segments.rglob("*") if path.is_file()]
        gone = [path for path in gone if path not in segments]
        for path in gone:
            path.unlink()
        return len(gone)


def _damaged(what: str) -> Exception:
    return error("internal", f"The backup is damaged: {what}. Restore an earlier or later one.")
