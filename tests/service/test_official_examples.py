"""HL7's own examples of R4 through a lake: accepted at the level `strict`, and read back the same.

When CHARTLAKE_R4_EXAMPLES names the package's file.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from schemas.parse import canonical_bytes, parse_resource
from service.validation import Validation, has_errors
from storage.lake import Lake, Put
from tests.schemas.test_official_examples import BREAKING, FAULTY, package_file

Json = dict[str, Any]

AT_ONCE = 250


def meaning(resource: Json) -> Json:
    """A resource without what a server sets."""
    kept = {key: value for key, value in resource.items() if key not in ("meta", "id")}
    meta = {key: value for key, value in resource.get("meta", {}).items()
            if key not in ("versionId", "lastUpdated")}  # fmt: skip
    return {**kept, "meta": meta}


def same(read: Json, sent: Json) -> bool:
    """Whether they say the same: decimals to the last zero, and the order of keys."""
    return canonical_bytes(meaning(read)) == canonical_bytes(meaning(sent))


@pytest.mark.slow
def test_what_is_valid_is_accepted_and_read_back_as_it_was_sent(tmp_path: Path) -> None:
    refused: set[str] = set()
    stored = 0
    with Lake.open(tmp_path / "lake") as lake:
        validation = Validation(lake)
        batch: list[tuple[Put, Json]] = []

        def store() -> None:
            lake.transact([put for put, _ in batch])
            for flushed in (False, True):
                if flushed:
                    lake.flush()
                for put, sent in batch:
                    read = lake.read(sent["resourceType"], put.resource["id"]).resource()
                    assert same(read, sent), put.resource["id"]
            batch.clear()

        with tarfile.open(package_file()) as package:
            for member in package:
                name = member.name.rpartition("/")[2].removesuffix(".json")
                file = package.extractfile(member)
                if file is None or name in ("package", ".index", "ig-r4"):
                    continue
                sent = parse_resource(file.read())
                if has_errors(validation.issues(sent, sent["resourceType"])):
                    refused.add(name)
                    continue
                stored += 1
                batch.append((Put({**sent, "id": f"n{stored}"}), sent))
                if len(batch) >= AT_ONCE:
                    store()
        store()
        assert lake.verify() == []
    assert stored > 5_000
    assert refused == set(FAULTY) | set(BREAKING)
