"""Rotating the master key of a lake folder, whether or not a service has the lake open."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.outcomes import FhirError, error
from storage.key_copies import KeyCopies
from storage.keys import MasterKey
from storage.keystore import Keystore
from storage.keystore_file import KeystoreFile
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey
from storage.private_files import FolderLock


@dataclass(frozen=True)
class KeysInUse:
    """What a key store says of itself without being opened; nothing secret."""

    lake_id: str
    provider: str
    name: str
    segment_keys: int


def keys_in_use(folder: LakeFolder) -> KeysInUse:
    """Which master key the lake's keys are wrapped for. Raises FhirError `not-found`, `invalid`."""
    _check_there(folder)
    content = KeystoreFile(folder.keystore).read()
    wrapped = content.datastore
    place = [str(wrapped[name]) for name in ("address", "mount", "name") if name in wrapped]
    name = str(wrapped.get("key_id", "")) or "/".join(place)
    provider = str(wrapped.get("provider"))
    return KeysInUse(content.lake_id, provider[:32], name[:512], len(content.segments))


def open_keystore(folder: LakeFolder, master_key: MasterKey | None) -> Keystore:
    """The key store alone, without the lake; raises FhirError as `Keystore.open`, `not-found`."""
    _check_there(folder)
    return Keystore.open(folder.keystore, master_key or KeyFileMasterKey(folder.default_master_key))


def rotate(
    folder: LakeFolder, master_key: MasterKey | None, new: MasterKey
) -> tuple[bool, dict[str, str]]:
    """Wrap the lake's keys under another master key; the old one opens nothing from then on.

    Whether the datastore key was renewed too, which takes that no process has the lake open: only
    then does it not help to have had the old master key and an old copy of the key store. And the
    folders whose copies of the key store (`storage.key_copies`) could not be updated, with reasons:
    those are still under the old master key.
    Raises FhirError as `Keystore.open`, and of the new master key; nothing is changed then.
    """
    keystore = open_keystore(folder, master_key)
    try:
        lock = FolderLock(folder.path)
    except FhirError as failure:
        if failure.category != "conflict":
            raise
        keystore.rotate(new)
        return False, KeyCopies(folder.keystore).update_all()
    try:
        keystore.rotate(new)
        keystore.renew_datastore_key()
    finally:
        lock.release()
    return True, KeyCopies(folder.keystore).update_all()


def _check_there(folder: LakeFolder) -> None:
    if not folder.keystore.exists():
        raise error("not-found", f"There is no lake at {folder.path}: it has no key store.")
