"""A lake's folder: what lies where, making a new one, and refusing one that is not whole."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.outcomes import FhirError, error
from storage import database_renewal, log_damage
from storage.database import Database
from storage.keys import MasterKey
from storage.keystore import Keystore
from storage.keystore_file import FILE_NAME, KeystoreFile
from storage.master_keys.key_file import KeyFileMasterKey
from storage.private_files import FolderLock, make_folder, sync_folder, unfinished
from storage.segment_files import LocalSegmentFiles, SegmentFiles


@dataclass(frozen=True)
class LakeFolder:
    """Paths in one lake folder."""

    path: Path
    segments_url: str = ""

    @property
    def keystore(self) -> Path:
        """Wrapped keys."""
        return self.path / "keys" / FILE_NAME

    @property
    def default_master_key(self) -> Path:
        """The master key file used when no other master key is given."""
        return self.path / "keys" / "master.key"

    @property
    def database(self) -> Path:
        """The hot tier, versions and index."""
        return self.path / "hot.db"

    @property
    def audit_spool(self) -> Path:
        """Accesses of processes that only read, until they are in the audit log."""
        return self.path / "audit-spool"

    @property
    def exports(self) -> Path:
        """Files of bulk exports, encrypted, until they expire."""
        return self.path / "exports"

    @property
    def segments(self) -> Path:
        """The folder of the Parquet segments, one folder per type in it."""
        return self.path / "lake"

    def open(
        self, master_key: MasterKey | None, *, create: bool
    ) -> tuple[FolderLock, Keystore, Database]:
        """Lock the folder, open its keys and check its database; make them when it is new.

        Raises FhirError: `not-found` (no lake there and `create` is false), `conflict` (in use),
        `forbidden` (another master key, keystore or database), `invalid` (parts are missing).
        """
        if not create and not self.keystore.exists() and not self.database.exists():
            raise error("not-found", f"There is no lake at {self.path}.")
        make_folder(self.path)
        lock = FolderLock(self.path)
        try:
            keystore, database = self._open(master_key, create=create)
        except BaseException:
            lock.release()
            raise
        return lock, keystore, database

    def open_read_only(self, master_key: MasterKey | None) -> tuple[Keystore, Database]:
        """Open keys and database beside the process that writes, if any; nothing is changed.

        Raises FhirError: `not-found`, `forbidden`, `invalid` as `open` does.
        """
        if not self.keystore.exists():
            raise error("not-found", f"There is no lake at {self.path}.")
        if not self.database.exists():
            raise error(
                "invalid",
                f"{self.database} is missing: the lake is just being made, or it must be brought "
                "back from a backup. Open it for writing first.",
            )
        keystore = self._keys(master_key)

        def keys_now() -> Sequence[bytes]:
            try:
                keystore.reload()
            except FhirError as failure:
                if failure.category != "forbidden":
                    raise
                raise error(
                    "unavailable",
                    "The lake has another master key and new keys since this process began. "
                    "Restart it with the new master key.",
                ) from None
            return keystore.database_keys()

        database = Database(self.database, keystore.database_key, keys=keys_now, read_only=True)
        database.check(keystore.lake_id)
        return keystore, database

    def _keys(self, master_key: MasterKey | None) -> Keystore:
        return Keystore.open(self.keystore, master_key or KeyFileMasterKey(self.default_master_key))

    def _open(self, master_key: MasterKey | None, *, create: bool) -> tuple[Keystore, Database]:
        unnamed = self.database.with_name("hot.db.new")
        # A kill after it had its name as well: a second name of the key itself.
        unfinished(self.default_master_key).unlink(missing_ok=True)
        if self.keystore.exists():
            KeystoreFile(self.keystore).remove_leftovers()
            if not self.database.exists() and not unnamed.exists():
                raise error(
                    "invalid",
                    f"{self.database} is missing, but {self.keystore} is there. Bring hot.db back "
                    "from a backup; a lake without it cannot be read.",
                )
            keystore = self._keys(master_key)
            if not self.database.exists():
                # A crash between the two steps of making the lake; see `_create`.
                unnamed.rename(self.database)
                sync_folder(self.path)
            database_renewal.settle(self.database, keystore)
            database = Database(self.database, keystore.database_key)
            database.check(keystore.lake_id)
            log_damage.check(self.database, keystore.database_key)
            return keystore, database
        if self.database.exists() or (self.segments.exists() and any(self.segments.iterdir())):
            raise error(
                "invalid",
                f"{self.keystore} is missing, but there is data in {self.path}. Bring the keystore "
                "back from a backup; the data cannot be read without it.",
            )
        if not create:
            raise error("not-found", f"There is no lake at {self.path}.")
        return self._create(master_key, unnamed)

    def _create(self, master_key: MasterKey | None, unnamed: Path) -> tuple[Keystore, Database]:
        """The keystore appears when the database is whole; the database gets its name after it."""
        make_folder(self.keystore.parent)
        make_folder(self.segments)
        if master_key is None:
            master_key = KeyFileMasterKey(self.default_master_key)
            if not self.default_master_key.exists():
                KeyFileMasterKey.create(self.default_master_key)
        for leftover in (unnamed, *database_renewal.companions(unnamed)):
            leftover.unlink(missing_ok=True)
        keystore = Keystore.new(self.keystore, master_key)
        Database(unnamed, keystore.database_key).create(keystore.lake_id, self.segments_url)
        sync_folder(self.path)
        if self.segments_url:
            from storage.s3_segment_files import S3SegmentFiles

            S3SegmentFiles(self.segments_url).claim(keystore.lake_id)
        keystore.write_new()
        unnamed.rename(self.database)
        sync_folder(self.path)
        return keystore, Database(self.database, keystore.database_key)

    def segment_files(self, database: Database, lake_id: str) -> SegmentFiles:
        """Where the segments of the lake lie. Raises FhirError.

        `conflict` (other than `segments_url` says), `invalid` (the store holds another lake's
        segments, or none).
        """
        recorded = database.segments_url()
        if self.segments_url not in ("", recorded):
            raise error(
                "conflict",
                f"The lake at {self.path} keeps its segments in {recorded or self.segments}, not "
                f"where segments_url says. Leave the setting out, or make a new lake.",
            )
        if not recorded:
            return LocalSegmentFiles(self.segments)
        from storage.s3_segment_files import S3SegmentFiles

        files = S3SegmentFiles(recorded)
        files.check(lake_id)
        return files

    def bytes_on_disk(self) -> int:
        """Size of all files in the folder."""
        total = 0
        for path in self.path.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size if path.is_file() else 0
        return total
