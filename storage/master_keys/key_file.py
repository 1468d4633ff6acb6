"""A master key in a file of its own."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path

from schemas.outcomes import error
from storage.keys import KEY_BYTES, datastore_purpose, new_key, wrap_key
from storage.master_keys.refusals import check_provider, unwrap_locally
from storage.private_files import create_whole_file, make_folder


class KeyFileMasterKey:
    """A master key in a file: 32 random bytes as base64, readable by its owner alone."""

    _KIND = "key-file"

    def __init__(self, path: Path | str) -> None:
        """`path` must exist when the lake is opened; `create` makes it."""
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path | str) -> KeyFileMasterKey:
        """Write a new random key, mode 0600. Raises FhirError `conflict` when the file exists."""
        path = Path(path)
        make_folder(path.parent)
        try:
            create_whole_file(path, base64.b64encode(new_key()) + b"\n")
        except FileExistsError:
            raise error(
                "conflict", f"{path} exists. A master key is never overwritten; name another file."
            ) from None
        return cls(path)

    def wrap(self, key: bytes, lake_id: str) -> dict[str, object]:
        """See `MasterKey`."""
        wrapped = wrap_key(self._read(), key, datastore_purpose(lake_id))
        return {"provider": self._KIND, "key": base64.b64encode(wrapped).decode()}

    def unwrap(self, wrapped: dict[str, object], lake_id: str) -> bytes:
        """See `MasterKey`."""
        check_provider(wrapped, self._KIND, self.describe())
        return unwrap_locally(self._read(), wrapped, lake_id, self.describe())

    def describe(self) -> str:
        """See `MasterKey`."""
        return f"the master key file {self.path}"

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise error(
                        "forbidden",
                        f"{self.path} can be read by others (mode {mode:04o}). "
                        f"Run: chmod 600 {self.path}",
                    )
                text = file.read(1024)
            key = base64.b64decode(text.strip(), validate=True)
        except FileNotFoundError:
            raise error(
                "not-found",
                f"There is no master key file at {self.path}. Bring it back; `chartlake keys init` "
                "makes one for a new lake.",
            ) from None
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise error(
                "invalid",
                f"{self.path} is no master key file: it must hold {KEY_BYTES} bytes as base64.",
            )
        return key
