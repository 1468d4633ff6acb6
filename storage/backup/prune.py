"""Removing old backups, and the files that no other backup needs."""

from __future__ import annotations

from storage.backup.backup_folder import BackupFolder
from storage.backup.manifest import Manifest
from storage.backup.take import MANIFEST_KEY
from storage.keystore import Keystore


def prune(folder: BackupFolder, keystore: Keystore, keep: int) -> int:
    """Remove all but the `keep` latest backups; how many.

    Raises FhirError `forbidden` or `invalid` when a manifest to keep is not of this lake: nothing
    is removed then.
    """
    ids = folder.ids()
    key = keystore.secret(MANIFEST_KEY)
    kept = [Manifest.from_bytes(folder.manifest_bytes(id), key) for id in ids[-keep:]]
    old = ids[:-keep]
    for id in old:
        folder.remove_manifest(id)
    if old:
        folder.sweep(kept)
    return len(old)
