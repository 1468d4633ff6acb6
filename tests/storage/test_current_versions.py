"""What a front keeps of what it read is what the database says, whatever is committed meanwhile."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage import database
from storage.audit_trail import AuditTrail
from storage.elsewhere import Change, NotHere, Published, Stored
from storage.handed_changes import stored
from storage.lake import Delete, Lake, OvertakenError, Put
from storage.recent_versions import Guard


class Direct:
    """The process that writes, in this one: `storage.elsewhere.Elsewhere`."""

    def __init__(self, writing: Lake) -> None:
        self.writing = writing

    def begin(self, change: Change) -> Future[Stored]:
        future: Future[Stored] = Future()
        try:
            if change.operations:
                future.set_result(stored(self.writing.transact_prepared(change)))
            else:
                self.writing.check_guards(change.guards)
                future.set_result(Stored(self.writing.t, 0, []))
        except Exception as failure:
            future.set_exception(failure)
        return future

    def wait(self, future: Future[Stored]) -> Stored:
        return future.result()

    def await_index(self, t: int) -> None:
        self.writing.index_all(t)

    def term(self, text: str) -> int:
        return self.writing.new_term(text)

    def find(
        self, resource_type: str, params: list[tuple[str, str]], limit: int
    ) -> tuple[int, Guard, list[str]]:
        found = self.writing.find(resource_type, params, limit=limit)
        return found.guard.since_t, found.guard, [version.id for version in found.versions]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, Lake]]:
    """A lake that is written, and the same one as a front has it."""
    folder = tmp_path_factory.mktemp("kept") / "lake"
    published = Published(memoryview(bytearray(8 * Published.WORDS)).cast("q"))
    with Lake.open(folder, published=published) as writing:
        elsewhere = Direct(writing)
        with Lake.open(folder, read_only=True, published=published, elsewhere=elsewhere) as reading:
            yield writing, reading


def patient(id: str, gender: str = "female") -> Put:
    return Put({"resourceType": "Patient", "id": id, "gender": gender})


def seen(lake: Lake, id: str) -> object:
    """What a read gives, and whom the audit trail says that it was about."""
    trail = AuditTrail("someone", "read", "R")
    with trail.active():
        try:
            return lake.read("Patient", id), trail.finish(0)
        except FhirError as failure:
            return failure.category


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "front", "delete", "flush", "read"]), st.integers(0, 3)),
    max_size=25,
)


@settings(max_examples=20)
@given(steps=STEPS)
def test_reads_are_those_of_the_lake(pair: tuple[Lake, Lake], steps: list[tuple[str, int]]) -> None:
    writing, reading = pair
    for step, number in steps:
        id = f"k{number}"
        if step == "put":
            writing.transact([patient(id)])
        elif step == "front":
            commit = reading.transact([patient(id, "male")])
            assert commit.versions[0] == writing.read("Patient", id)
        elif step == "delete":
            with suppress(FhirError):  # Where there never was one.
                writing.transact([Delete("Patient", id)])
        elif step == "flush":
            writing.flush()
        for one in ("k0", "k1", "k2", "k3"):
            assert seen(reading, one) == seen(writing, one)
            assert seen(reading, one) == seen(writing, one)


def test_a_connection_opened_while_keys_are_renewed_leaves_none_to_the_old_file(
    pair: tuple[Lake, Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, reading = pair
    lock = database.folder_lock

    @contextmanager
    def overtaken(folder: Path, *, shared: bool = False) -> Iterator[None]:
        monkeypatch.setattr(database, "folder_lock", lock)
        writing.renew_keys()
        with lock(folder, shared=shared):
            yield

    with reading._database.reading() as held:  # No connection waits: another is opened.
        held.execute("SELECT 1 FROM lake").fetchall()
        idle, reading._database._idle = reading._database._idle, []
        monkeypatch.setattr(database, "folder_lock", overtaken)
        reading.history()
        reading._database._idle += idle
    writing.transact([patient("renewed")])
    assert seen(reading, "renewed") == seen(writing, "renewed")
    writing.transact([patient("renewed", "male")])
    assert len(reading.search("Patient", [("_id", "renewed"), ("gender", "male")]).versions) == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="kept where stores are in order only")
def test_what_is_kept_is_not_looked_for(pair: tuple[Lake, Lake]) -> None:
    writing, reading = pair
    writing.transact([patient("once")])
    first = reading.read("Patient", "once")
    assert reading.read("Patient", "once") is first
    writing.transact([patient("other")])
    assert reading.read("Patient", "once") is first
    writing.transact([patient("once", "male")])
    assert reading.read("Patient", "once").version_id == 2
    assert reading.read("Patient", "once", at=first.t).version_id == 1


def test_what_is_erased_is_not_kept(pair: tuple[Lake, Lake]) -> None:
    writing, reading = pair
    writing.transact([patient("gone")])
    reading.read("Patient", "gone")
    reading.read("Patient", "gone")
    writing.erase([("Patient", "gone")], reason="asked for")
    with pytest.raises(FhirError) as failure:
        reading.read("Patient", "gone")
    assert failure.value.category == "not-found"
    assert all(kept[0][1] != "gone" for kept in reading._kept._versions.items())


def test_changes_that_were_overtaken_are_refused(pair: tuple[Lake, Lake]) -> None:
    writing, reading = pair
    identified = {"identifier": [{"system": "u", "value": "over"}]}
    writing.transact([Put({"resourceType": "Patient", "id": "over", **identified})])
    condition = [("identifier", "u|over")]
    found = reading.find("Patient", condition)
    assert [version.id for version in found.versions] == ["over"]
    reading.confirm([found.guard])
    writing.transact([patient("over")])
    with pytest.raises(OvertakenError):
        reading.confirm([found.guard])
    assert reading.find("Patient", condition).versions == []
    again = reading.find("Patient", condition)
    writing.transact([Put({"resourceType": "Patient", "id": "new", **identified})])
    with pytest.raises(OvertakenError):
        reading.transact([patient("more")], guards=[again.guard])
    with pytest.raises(FhirError):
        reading.read("Patient", "more")


def test_answers_that_are_acted_upon_stay_of_now(pair: tuple[Lake, Lake]) -> None:
    writing, reading = pair
    identified = {"identifier": [{"system": "u", "value": "renewed"}]}
    writing.transact([Put({"resourceType": "Patient", "id": "renewed", **identified})])
    condition = [("identifier", "u|renewed")]
    for _ in range(3):
        found = reading.find("Patient", condition)
        made = reading.transact([patient("another")], guards=[found.guard])
        assert reading.find("Patient", condition).guard.since_t == made.t
    # Its own change may be one of what was found.
    guard = reading.find("Patient", condition).guard
    reading.transact([patient("renewed")], guards=[guard])
    assert reading.find("Patient", condition).versions == []


def test_rows_by_other_search_parameters_are_refused(pair: tuple[Lake, Lake]) -> None:
    writing, reading = pair
    kept: list[Change] = []
    elsewhere = Direct(writing)
    begin = elsewhere.begin
    elsewhere.begin = lambda change: (kept.append(change), begin(change))[1]  # type: ignore[method-assign]
    reading._elsewhere = elsewhere
    reading.transact([patient("by")])
    definition = {
        "resourceType": "SearchParameter",
        "id": "text",
        "url": "http://example.org/text",
        "name": "T",
        "status": "active",
        "description": "x",
        "code": "name-text",
        "base": ["Patient"],
        "type": "string",
        "expression": "Patient.name.text",
    }
    with pytest.raises(NotHere):
        reading.transact([Put(definition)])
    writing.transact([Put(definition)])
    with pytest.raises(OvertakenError):
        writing.transact_prepared(kept[0])
    named = {"resourceType": "Patient", "id": "named", "name": [{"text": "Zed"}]}
    reading.transact([Put(named)])
    assert reading.search_params("Patient")["name-text"].pending is not None
    writing.reindex()
    assert reading.search("Patient", [("name-text", "Zed")]).total == 1
