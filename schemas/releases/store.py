"""The folder of loaded releases, an index file each, and which of each terminology is in use."""

from __future__ import annotations

import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from schemas.releases.index import ReleaseIndex
from schemas.releases.source import ReleaseError

_SUFFIX = ".release"
_IN_USE = "in-use.json"
_ID = re.compile(r"[a-z0-9][a-z0-9.\-]{0,80}")


@dataclass(frozen=True, slots=True)
class Release:
    """A loaded release; `in_use`: codes are given by it."""

    id: str
    terminology: str
    title: str
    version: str
    concepts: int
    loaded: str
    in_use: bool
    bytes: int


class ReleaseStore:
    """The folder of releases; it is made when the first is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def releases(self) -> list[Release]:
        """All releases, by terminology, then by id. Raises ReleaseError for a damaged one."""
        used = set(self._used().values())
        found = []
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            index = self._open(path)
            meta = index.meta
            index.close()
            found.append(
                Release(
                    meta["id"],
                    meta["terminology"],
                    meta["title"],
                    meta["version"],
                    int(meta["concepts"]),
                    meta["loaded"],
                    meta["id"] in used,
                    path.stat().st_size,
                )
            )
        return sorted(found, key=lambda release: (release.terminology, release.id))

    def in_use(self, terminology: str) -> ReleaseIndex | None:
        """The index of the release in use; None when none of that terminology is.

        Raises ReleaseError when it is in use and cannot be read.
        """
        id = self._used().get(terminology)
        return self._open(self._path(id)) if id is not None else None

    def check(self) -> None:
        """Raise ReleaseError when a release that is in use cannot be read."""
        for terminology in self._used():
            index = self.in_use(terminology)
            if index is not None:
                index.close()

    def use(self, id: str) -> Release:
        """Give codes by that release from the next start on. Raises ReleaseError."""
        release = self._find(id)
        self._write_used({**self._used(), release.terminology: id})
        return self._find(id)

    def remove(self, id: str) -> Release:
        """Delete a release. Of its terminology none is in use then, if it was. ReleaseError."""
        release = self._find(id)
        self._write_used({t: used for t, used in self._used().items() if used != id})
        self._path(id).unlink()
        return release

    def draft(self) -> Path:
        """Where a new release is written until it is whole."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise ReleaseError(f"{self.folder}: {failure.strerror}") from None
        for left in self.folder.glob("*.draft"):
            with suppress(OSError):
                left.unlink()
        return self.folder / f"{secrets.token_hex(8)}.draft"

    def keep(self, draft: Path, id: str) -> Release:
        """Make a whole draft a release and use it; one of the same id is replaced."""
        os.replace(draft, self._path(id))
        self._sync()
        return self.use(id)

    def _find(self, id: str) -> Release:
        found = next((one for one in self.releases() if one.id == id), None)
        if found is None:
            known = ", ".join(one.id for one in self.releases()) or "none"
            raise ReleaseError(f"there is no release {id!r}; loaded are: {known}")
        return found

    def _path(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise ReleaseError(f"{id!r} is no id of a release")
        return self.folder / f"{id}{_SUFFIX}"

    def _open(self, path: Path) -> ReleaseIndex:
        if not path.is_file():
            raise ReleaseError(f"{path} is missing; load it again, or `use` another release")
        try:
            return ReleaseIndex(path)
        except ValueError as failure:
            raise ReleaseError(str(failure)) from None

    def _used(self) -> dict[str, str]:
        try:
            found = json.loads((self.folder / _IN_USE).read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (ValueError, OSError):
            raise ReleaseError(
                f"{self.folder / _IN_USE} is damaged; remove it and `use` anew"
            ) from None
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    def _write_used(self, used: dict[str, str]) -> None:
        path = self.folder / _IN_USE
        new = path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(used, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
        self._sync()

    def _sync(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
