"""What one backup consists of, as JSON with a MAC that only this lake's key store can make."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from schemas.outcomes import FhirError, error

FORMAT = 1


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of the lake folder, in pieces: SHA-256 of each, in order."""

    name: str
    bytes: int
    pieces: list[str]


@dataclass(frozen=True, slots=True)
class CopiedSegment:
    """A segment: its type, its name, its size and its SHA-256."""

    resource_type: str
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A lake at commit `t` (made at `instant`, a FHIR instant)."""

    lake_id: str
    t: int
    instant: str
    files: list[CopiedFile]
    segments: list[CopiedSegment]
    cursors: dict[str, int]

    def pieces(self) -> Iterator[str]:
        """The pieces of all its files."""
        for file in self.files:
            yield from file.pieces

    def to_bytes(self, key: bytes) -> bytes:
        """JSON, authenticated with `key`."""
        content = {"format": FORMAT, **asdict(self)}
        return json.dumps({**content, "mac": _mac(content, key)}, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes) -> Manifest:
        """Read and check a manifest. Raises FhirError: `invalid`, `forbidden` (another lake's)."""
        try:
            content: dict[str, Any] = json.loads(data)
            mac = content.pop("mac")
            if content.get("format") != FORMAT:
                raise error(
                    "not-supported",
                    f"The backup has format {str(content.get('format'))[:9]}, "
                    f"this release reads {FORMAT}.",
                )
            if not hmac.compare_digest(str(mac), _mac(content, key)):
                raise error(
                    "forbidden",
                    "The backup's manifest was changed, or the backup is of another lake than the "
                    "key store.",
                )
            del content["format"]
            content["files"] = [CopiedFile(**file) for file in content["files"]]
            content["segments"] = [CopiedSegment(**one) for one in content["segments"]]
            return cls(**content)
        except FhirError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError):
            raise error("invalid", "The backup's manifest is damaged; take another one.") from None


def _mac(content: dict[str, Any], key: bytes) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return hmac.digest(key, canonical, "sha256").hex()
