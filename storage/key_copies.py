"""Copies of the key store outside of the lake's folder, one current file in each folder.

Such a copy opens every backup that it is as old as. So an erase brings each one up to date, or says
that it could not: until then the copy still yields what was erased. So does a rotation.

`keys/copies.json` lists the folders. It lies with the key store and not in the database: a lake
that is restored from a backup has copies of its own, and must not touch those of the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from schemas.outcomes import FhirError, error
from storage.keystore_file import FILE_NAME, KeystoreFile
from storage.private_files import folder_lock, make_folder, replace_file

LIST_NAME = "copies.json"


class KeyCopies:
    """The registered copies of one lake's key store. Needs no open lake."""

    def __init__(self, keystore: Path) -> None:
        """`keystore` is the file to copy."""
        self._keystore = KeystoreFile(keystore)
        self._list = keystore.parent / LIST_NAME

    def register(self, folder: Path) -> Path:
        """Keep a current copy in `folder` from now on, making it; the path of the copy.

        It is registered before it is made: there is never a copy that an erase does not know of.
        Raises FhirError: `conflict` (a file of that name is no key store of this lake), `value`
        (the lake's own folder of keys); OSError.
        """
        folder = folder.expanduser().absolute()
        copy = self._copy(folder)
        if folder == self._keystore.path.parent.absolute():
            raise error("value", "A copy of the key store belongs outside of the lake's own keys.")
        if copy.exists():
            self._check(copy)
        make_folder(folder)
        with folder_lock(self._list.parent):
            self._write_list(sorted({*self.folders(), str(folder)}))
            self._write(copy)
        return copy

    def forget(self, folder: Path) -> None:
        """Keep the copy current no longer. For one that was destroyed; it is not deleted here."""
        path = str(folder.expanduser().absolute())
        with folder_lock(self._list.parent):
            self._write_list([known for known in self.folders() if known != path])

    def folders(self) -> list[str]:
        """Where the copies are. Raises FhirError `invalid` when the list is damaged."""
        try:
            found = json.loads(self._list.read_bytes())
        except FileNotFoundError:
            return []
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(path, str) for path in found):
            raise error(
                "invalid",
                f"{self._list} is damaged. It lists the folders with copies of the key store: "
                "write it anew, as a JSON array of their paths.",
            )
        return found

    def update_all(self) -> dict[str, str]:
        """Bring every copy up to date. Those that could not be, each with the reason."""
        failed = {}
        with folder_lock(self._list.parent):
            for folder in self.folders():
                try:
                    copy = self._copy(Path(folder))
                    self._check(copy)
                    self._write(copy)
                except FhirError as failure:
                    failed[folder] = failure.issues[0].diagnostics
                except OSError as failure:
                    failed[folder] = failure.strerror or type(failure).__name__
        return failed

    def _copy(self, folder: Path) -> Path:
        """The file in a folder, which may hold the copies of several lakes."""
        return folder / f"{self._keystore.read().lake_id}.{FILE_NAME}"

    def _check(self, copy: Path) -> None:
        """A folder without the copy is not the one that was registered: a disk is not mounted."""
        if KeystoreFile(copy).read().lake_id != self._keystore.read().lake_id:
            raise error("conflict", f"{copy} is the key store of another lake.")

    def _write(self, copy: Path) -> None:
        if copy.exists():
            KeystoreFile(copy).replace(self._keystore.read())
        else:
            KeystoreFile(copy).create(self._keystore.read())

    def _write_list(self, folders: Sequence[str]) -> None:
        replace_file(self._list, json.dumps(list(folders), indent=1).encode() + b"\n")
