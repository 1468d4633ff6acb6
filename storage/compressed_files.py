"""Opening plain, gzip and Zstandard files for reading, by their suffix."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa


def open_compressed(path: Path) -> BinaryIO:
    """A buffered binary stream of the file's content (`.gz`, `.zst`, anything else as it is)."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix == ".zst":
        stream = pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd")
        return cast(BinaryIO, io.BufferedReader(stream, 1 << 20))
    return path.open("rb")
