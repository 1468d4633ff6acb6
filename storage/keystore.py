"""The key store: the only place of a lake's keys, each wrapped, and destroyed by forgetting it.

master key ── wraps ──► datastore key ── wraps ──► database key, identity, one key per segment

Every wrapped key is bound to the lake and to what it is for. A segment whose entry is gone cannot
be read any more, in whatever copy: that is how an erase reaches backups. All methods may be called
from many threads; a change is on the disk when the method returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from schemas.ids import new_id
from schemas.outcomes import FhirError, error
from storage.keys import MasterKey, new_key, unwrap_key, wrap_key
from storage.keystore_file import KeystoreContent, KeystoreFile, damaged

_DATABASE = "database"
_DATABASE_NEXT = "database_next"
_IDENTITY = "identity"

Change = Callable[[KeystoreContent], KeystoreContent]


class Keystore:
    """The opened key store of one lake. Never log or print what it gives out."""

    def __init__(
        self, file: KeystoreFile, master_key: MasterKey, datastore_key: bytes, now: KeystoreContent
    ) -> None:
        """Use `create` or `open`."""
        self._file = file
        self._master_key = master_key
        self._datastore_key = datastore_key
        self._content = now
        # The wrapped datastore key that the master key is known to open.
        self._opened: Mapping[str, object] = now.datastore
        self._lock = threading.RLock()
        self._keys = self._unwrapped(datastore_key, now)

    def __repr__(self) -> str:
        return f"Keystore({self.lake_id})"

    @classmethod
    def new(cls, path: Path, master_key: MasterKey) -> Keystore:
        """Fresh keys for a new lake; nothing is written before `write_new`."""
        lake_id, datastore_key = new_id(), new_key()
        keys = {
            name: wrap_key(datastore_key, new_key(), _purpose(lake_id, name))
            for name in (_DATABASE, _IDENTITY)
        }
        wrapped = master_key.wrap(datastore_key, lake_id)
        content = KeystoreContent(lake_id, wrapped, keys, {})
        return cls(KeystoreFile(path), master_key, datastore_key, content)

    def write_new(self) -> None:
        """Write the file of a new lake, durable on return. Raises FileExistsError."""
        self._file.create(self._content)

    @classmethod
    def open(cls, path: Path, master_key: MasterKey) -> Keystore:
        """Open a key store, writing nothing.

        Raises FhirError: `forbidden` (another master key), `invalid` (damaged), `not-supported` (of
        another release), `unavailable` (the master key's provider does not answer).
        """
        file = KeystoreFile(path)
        content = file.read()
        datastore_key = master_key.unwrap(dict(content.datastore), content.lake_id)
        return cls(file, master_key, datastore_key, content)

    @property
    def lake_id(self) -> str:
        """Identity of the lake."""
        return self._content.lake_id

    @property
    def database_key(self) -> bytes:
        """The key of `hot.db`."""
        return self._keys[_DATABASE]

    @property
    def next_database_key(self) -> bytes | None:
        """The key that `hot.db` is just being given; None when none is on its way."""
        return self._keys.get(_DATABASE_NEXT)

    def database_keys(self) -> list[bytes]:
        """The keys that `hot.db` may have at this moment, as the file says it now."""
        self.reload()
        return [key for key in (self.database_key, self.next_database_key) if key is not None]

    def secret(self, purpose: str) -> bytes:
        """32 bytes that this lake alone knows, for one purpose; no rotation changes them."""
        info = f"chartlake {purpose}".encode()
        return HKDFExpand(hashes.SHA256(), 32, info).derive(self._keys[_IDENTITY])

    # Keys of segments

    def add_segment_key(self, name: str) -> bytes:
        """A new key for the segment `name`; on the disk before it is given out.

        Raises FhirError `conflict` when there is one of that name.
        """
        key = new_key()

        def add(content: KeystoreContent) -> KeystoreContent:
            if name in content.segments:
                raise error("conflict", f"Segment {name} has a key already.")
            wrapped = wrap_key(self._datastore_key, key, _segment_purpose(self.lake_id, name))
            return replace(content, segments={**content.segments, name: wrapped})

        self._change(add)
        return key

    def segment_key(self, name: str) -> bytes:
        """The key of a segment. Raises FhirError `internal` when it is destroyed or damaged."""
        with self._lock:
            if name not in self._content.segments:
                self.reload()
            wrapped, datastore_key = self._content.segments.get(name), self._datastore_key
        if wrapped is None:
            raise error(
                "internal",
                f"Segment {name} cannot be read: its key was destroyed by an erase or is missing.",
            )
        try:
            return unwrap_key(datastore_key, wrapped, _segment_purpose(self.lake_id, name))
        except InvalidTag:
            raise error("internal", f"The key of segment {name} is damaged.") from None

    def destroy_segment_keys(self, names: Iterable[str]) -> None:
        """Forget keys for ever: what they encrypted is unreadable from now on, also in copies."""
        gone = set(names)

        def destroy(content: KeystoreContent) -> KeystoreContent:
            kept = {name: key for name, key in content.segments.items() if name not in gone}
            return replace(content, segments=kept)

        if gone & self.segment_names():
            self._change(destroy)

    def segment_names(self) -> set[str]:
        """The segments that have a key."""
        with self._lock:
            return set(self._content.segments)

    # Changes of the keys above

    def reload(self) -> None:
        """Take over what another process wrote. Raises FhirError as `open` does."""
        with self._lock:
            self._take(self._file.read())

    def rotate(self, master_key: MasterKey) -> None:
        """Wrap the datastore key under another master key, and only under that one.

        Raises FhirError of the provider; nothing is changed then.
        """

        datastore_key = self._datastore_key
        # The provider may be slow: it is asked before the file is locked.
        wrapped = master_key.wrap(datastore_key, self.lake_id)
        if master_key.unwrap(dict(wrapped), self.lake_id) != datastore_key:
            raise error("internal", f"{master_key.describe()} does not give back what it wrapped.")

        def rewrap(content: KeystoreContent) -> KeystoreContent:
            if self._datastore_key != datastore_key:
                raise error("conflict", "The datastore key was renewed meanwhile. Rotate again.")
            return replace(content, datastore=wrapped)

        with self._lock:
            self._change(rewrap)
            self._master_key, self._opened = master_key, wrapped

    def check_master_key(self) -> None:
        """Raise FhirError `forbidden` when the file is not under this process's master key now."""
        content = self._file.read()
        if content.datastore != self._opened:
            try:
                self._master_key.unwrap(dict(content.datastore), self.lake_id)
            except FhirError as failure:
                raise error(
                    failure.category,
                    "The lake's master key was changed while this process ran. Restart it with "
                    f"the new one. ({failure.issues[0].diagnostics})",
                ) from None

    def renew_datastore_key(self) -> None:
        """Replace the datastore key: whoever knew it can read nothing of this file any more.

        Only for the process that has the lake's lock. Raises FhirError `forbidden` when the master
        key was rotated since this process began: it must be restarted with the new one.
        """
        datastore_key = new_key()
        self.check_master_key()
        wrapped = self._master_key.wrap(datastore_key, self.lake_id)

        def renew(content: KeystoreContent) -> KeystoreContent:
            if content.datastore != before:
                raise error("conflict", "The master key was changed meanwhile. Try again.")
            return replace(
                content,
                datastore=wrapped,
                keys={
                    name: wrap_key(datastore_key, key, _purpose(self.lake_id, name))
                    for name, key in self._keys.items()
                },
                segments={
                    name: wrap_key(
                        datastore_key, self.segment_key(name), _segment_purpose(self.lake_id, name)
                    )
                    for name in content.segments
                },
            )

        with self._lock:
            self.reload()
            before = self._content.datastore
            self._change(renew, datastore_key)
            self._opened = wrapped

    def renew_database_key(self, swap: Callable[[bytes], None]) -> None:
        """Give `hot.db` a new key: `swap(key)` puts it under the new key, durably.

        The old key is destroyed at the end. What a crash leaves is settled at the next opening by
        `finish_database_key` or `drop_next_database_key`, whichever fits the file.
        """
        key = new_key()
        self._change(lambda content: self._with_key(content, _DATABASE_NEXT, key))
        swap(key)
        self.finish_database_key()

    def finish_database_key(self) -> None:
        """`hot.db` has the next key: make it the key, and destroy the old one."""

        def finish(content: KeystoreContent) -> KeystoreContent:
            key = self._keys[_DATABASE_NEXT]
            return _without(self._with_key(content, _DATABASE, key), _DATABASE_NEXT)

        self._change(finish)

    def drop_next_database_key(self) -> None:
        """`hot.db` was not given the next key: destroy that one."""
        self._change(lambda content: _without(content, _DATABASE_NEXT))

    def _with_key(self, content: KeystoreContent, name: str, key: bytes) -> KeystoreContent:
        wrapped = wrap_key(self._datastore_key, key, _purpose(self.lake_id, name))
        return replace(content, keys={**content.keys, name: wrapped})

    def _change(self, change: Change, datastore_key: bytes | None = None) -> None:
        with self._lock, self._file.locked():
            self._take(self._file.read())
            changed = change(self._content)
            keys = self._unwrapped(datastore_key or self._datastore_key, changed)
            self._file.replace(changed)
            self._datastore_key = datastore_key or self._datastore_key
            self._content, self._keys = changed, keys

    def _take(self, content: KeystoreContent) -> None:
        """Make `content`, read from the file, the current one."""
        if content == self._content:
            return
        if content.lake_id != self.lake_id:
            raise error("conflict", f"{self._file.path} was replaced by that of another lake.")
        try:
            datastore_key, keys = self._datastore_key, self._unwrapped(self._datastore_key, content)
        except FhirError:
            # Not under the datastore key we know: another process renewed it.
            datastore_key = self._master_key.unwrap(dict(content.datastore), content.lake_id)
            keys = self._unwrapped(datastore_key, content)
            self._opened = content.datastore
        self._datastore_key, self._content, self._keys = datastore_key, content, keys

    def _unwrapped(self, datastore_key: bytes, content: KeystoreContent) -> Mapping[str, bytes]:
        try:
            keys = {
                name: unwrap_key(datastore_key, wrapped, _purpose(content.lake_id, name))
                for name, wrapped in content.keys.items()
            }
        except InvalidTag:
            raise damaged(self._file.path) from None
        if not {_DATABASE, _IDENTITY} <= set(keys):
            raise damaged(self._file.path)
        return keys


def _without(content: KeystoreContent, name: str) -> KeystoreContent:
    return replace(content, keys={n: key for n, key in content.keys.items() if n != name})


def _purpose(lake_id: str, name: str) -> bytes:
    return f"chartlake {name} key {lake_id}".encode()


def _segment_purpose(lake_id: str, segment: str) -> bytes:
    return f"chartlake segment key {lake_id} {segment}".encode()
