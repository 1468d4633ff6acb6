"""Encrypted modules of a Parquet file, one at a time: what pyarrow decrypts by whole columns.

A module is its length, a nonce, AES-GCM ciphertext and tag. The associated data says which module
of which file it is, so that none can stand in for another.
https://github.com/apache/parquet-format/blob/master/Encryption.md
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.compact_structs import read_struct

DATA_PAGE, DATA_PAGE_HEADER = 2, 4

_LENGTH, _NONCE, _TAG = 4, 12, 16
_MAGIC = b"PARE"  # an encrypted footer

# What precedes the footer proper: the algorithm, the file's random id, the wrapped data key.
_CRYPTO_METADATA_BYTES = 4096


class DamagedModule(ValueError):
    """Bytes of a file are not those that were written there."""


@dataclass(frozen=True, slots=True)
class ModuleCipher:
    """Decrypts the modules of one file. Never log or print it."""

    file_id: bytes = field(repr=False)
    cipher: AESGCM = field(repr=False)

    def module(
        self, data: bytes | memoryview, at: int, kind: int, group: int, column: int, page: int
    ) -> bytes:
        """The plaintext of the module at `at`. Raises `DamagedModule`."""
        end = module_end(data, at)
        begin = at + _LENGTH + _NONCE
        place = self.file_id + struct.pack("<BHHH", kind, group, column, page)
        try:
            return self.cipher.decrypt(bytes(data[at + _LENGTH : begin]), data[begin:end], place)
        except InvalidTag:
            raise DamagedModule("a part of the file is not what was written") from None


def module_end(data: bytes | memoryview, at: int) -> int:
    """Where the module that begins at `at` ends. Raises `DamagedModule` beyond the data."""
    if at + _LENGTH > len(data):
        raise DamagedModule("the file ends too early")
    (length,) = struct.unpack_from("<I", data, at)
    end: int = at + _LENGTH + length
    if length < _NONCE + _TAG or end > len(data):
        raise DamagedModule("a length in the file is wrong")
    return end


def module_cipher(
    read: Callable[[int, int], bytes], size: int, unwrap: Callable[[str, str], bytes]
) -> ModuleCipher:
    """The cipher of a file of `size` bytes, from its end.

    `read(offset, bytes)` reads it; `unwrap(key id, wrapped data key)` asks for the data key, and
    raises ValueError when it must not be had. Raises `DamagedModule` or ValueError.
    """
    tail = read(size - 8, 8) if size > 12 else b""
    if tail[4:] != _MAGIC:
        raise DamagedModule("the file has no encrypted footer")
    (length,) = struct.unpack("<I", tail[:4])
    if length + 12 > size:
        raise DamagedModule("a length in the file is wrong")
    found, _ = read_struct(read(size - 8 - length, min(length, _CRYPTO_METADATA_BYTES)))
    try:
        algorithm, material = found[1][1], json.loads(found[2])
        file_id = algorithm.get(1, b"") + algorithm[2]
        if algorithm.get(3) or material["doubleWrapping"]:
            raise ValueError("the file is encrypted in another way than this lake writes")
        key = unwrap(material["masterKeyID"], material["wrappedDEK"])
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError):
        raise DamagedModule("what the file says of its encryption cannot be read") from None
    return ModuleCipher(file_id, AESGCM(key))
