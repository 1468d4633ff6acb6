"""The code systems, value sets and concept maps that FHIR R4 comes with.

`schemas/r4_terminology` says where they are from and what is left out. Each is read when it is
asked for.
"""

from __future__ import annotations

import io
import json
import threading
import zipfile
from functools import cache, lru_cache
from importlib import resources
from typing import Any

TYPES = ("CodeSystem", "ConceptMap", "ValueSet")

_lock = threading.Lock()


def find(resource_type: str, canonical: str) -> dict[str, Any] | None:
    """The definition with a canonical URL (`url` or `url|version`); None when there is none.

    It is shared between all who ask: not to be changed.
    """
    url, _, version = canonical.partition("|")
    member = _index().get(resource_type, {}).get(url)
    if member is None:
        return None
    found = _read(member)
    return found if not version or found.get("version") == version else None


def urls(resource_type: str) -> list[str]:
    """The canonical URLs of the built-in definitions of a type."""
    return list(_index().get(resource_type, {}))


@cache
def _archive() -> zipfile.ZipFile:
    body = resources.files("schemas.r4_terminology").joinpath("definitions.zip").read_bytes()
    return zipfile.ZipFile(io.BytesIO(body))


@cache
def _index() -> dict[str, dict[str, str]]:
    with _lock:
        found: dict[str, dict[str, str]] = json.loads(_archive().read("index.json"))
    return found


@lru_cache(maxsize=256)
def _read(member: str) -> dict[str, Any]:
    with _lock:
        body = _archive().read(member)
    found: dict[str, Any] = json.loads(body)
    return found
