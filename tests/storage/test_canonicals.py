"""Conformance resources by their canonical URL: versions, the past, changes, erasures."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, Put

URL = "http://example.org/fhir/ValueSet/v"


def value_set(id: str = "a", url: str = URL, **more: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "id": id, "url": url, "status": "active", **more}


def found(lake: Lake, canonical: str = URL, **more: Any) -> Any:
    definition = lake.canonicals.find("ValueSet", canonical, **more)
    return None if definition is None else definition["id"]


def test_what_is_stored_is_found_at_once_and_never_stale(lake: Lake) -> None:
    assert found(lake) is None
    lake.transact([Put(value_set())])
    assert found(lake) == "a"
    lake.transact([Put(value_set(title="changed"))])
    definition = lake.canonicals.find("ValueSet", URL)
    assert definition is not None and definition["title"] == "changed"
    lake.transact([Put({"resourceType": "Patient", "id": "p"})])
    assert lake.canonicals.find("ValueSet", URL) is definition
    lake.transact([Delete("ValueSet", "a")])
    assert found(lake) is None


def test_the_newest_version_wins_and_an_active_one_before_a_draft(lake: Lake) -> None:
    lake.transact(
        [Put(value_set("nine", version="1.9.0")), Put(value_set("ten", version="1.10.0"))]
    )
    assert found(lake) == "ten"
    assert found(lake, f"{URL}|1.9.0") == "nine"
    assert found(lake, f"{URL}|2") is None
    lake.transact([Put(value_set("draft", version="2.0.0", status="draft"))])
    assert found(lake) == "ten"
    assert found(lake, f"{URL}|2.0.0") == "draft"
    lake.transact([Put(value_set("unversioned"))])
    assert found(lake) == "ten"


def test_as_of_the_past(lake: Lake) -> None:
    first = lake.transact([Put(value_set("a", version="1"))]).t
    second = lake.transact([Put(value_set("b", version="2"))]).t
    third = lake.transact([Delete("ValueSet", "b")]).t
    ids = [found(lake, at=at) for at in (0, first, second, third, first, second, None)]
    assert ids == [None, "a", "b", "a", "a", "b", "a"]


def test_by_id_and_only_whole_urls(lake: Lake) -> None:
    lake.transact([Put(value_set()), Put(value_set("b", url=f"{URL}/below"))])
    assert found(lake, "ValueSet/b") == "b"
    assert found(lake, "ValueSet/none") is None
    assert found(lake, f"{URL}/") is None
    assert found(lake, f"{URL},{URL}/below") is None
    assert found(lake, "") is None and found(lake, "|1") is None


@pytest.mark.parametrize("url", ["http://x.org/a,b", "http://x.org/a$b", "urn:a\\b", "urn:a\\"])
def test_urls_that_a_search_would_take_apart(lake: Lake, url: str) -> None:
    lake.transact([Put(value_set(url=url))])
    assert found(lake, url) == "a"


def test_what_r4_has_is_behind_what_the_lake_has(lake: Lake) -> None:
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert found(lake, url) == "administrative-gender"
    assert found(lake, f"{url}|4.0.1") == "administrative-gender"
    lake.transact([Put(value_set("own", url=url, version="5"))])
    assert found(lake, url) == "own"
    assert found(lake, f"{url}|4.0.1") == "administrative-gender"


def test_an_erased_definition_is_gone(lake: Lake) -> None:
    t = lake.transact([Put(value_set())]).t
    assert found(lake) == found(lake, at=t) == "a"
    lake.erase([("ValueSet", "a")], reason="a test")
    assert found(lake) is None and found(lake, at=t) is None


def test_a_process_that_only_reads_sees_what_the_other_commits(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "l") as lake:
        lake.transact([Put(value_set())])
        with Lake.open(tmp_path / "l", read_only=True) as reader:
            assert found(reader) == "a"
            lake.transact([Put(value_set("b", version="2"))])
            assert found(reader) == "b"


def test_types_without_a_url_and_unknown_ones(lake: Lake) -> None:
    assert lake.canonicals.find("Patient", URL) is None
    with pytest.raises(FhirError):
        lake.canonicals.find("Nonsense", URL)


def test_many_threads_see_what_was_acknowledged(lake: Lake) -> None:
    stop = threading.Event()
    acknowledged = [0]
    late: list[tuple[int, int]] = []

    def look() -> None:
        while not stop.is_set():
            least = acknowledged[0]
            definition = lake.canonicals.find("ValueSet", URL)
            seen = int(definition["version"]) if definition is not None else 0
            if seen < least:
                late.append((seen, least))

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(1, 30):
        lake.transact([Put(value_set(version=str(n)))])
        acknowledged[0] = n
        lake.transact([Put({"resourceType": "Patient", "id": "p"})])
    stop.set()
    for reader in readers:
        reader.join()
    assert not late and found(lake, f"{URL}|29") == "a"
