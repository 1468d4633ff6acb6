"""The audit log: appended with what it is about, chained, and tampering of every kind is named."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from schemas.structure import RESOURCE_TYPES
from storage.audit import DDL, AuditLog, canonical, rows
from storage.audit_record import MAX_LISTED, AuditRecord, AuditRow, Entity, encode_detail
from storage.audit_verify import verify_chain
from storage.lake import Delete, Lake, Put

Make = Callable[..., dict[str, Any]]
READ = AuditRecord("R", "read", "ward", entities=(Entity("Patient", "p1", 1, "R"),))


@pytest.fixture
def filled(lake: Lake, patient: Make) -> Lake:
    """Ten events: the opening, a commit, eight reads."""
    lake.transact([Put(patient("p1"))])
    for _ in range(8):
        lake.record_access([READ]).result()
    assert lake.audit_head().n == 10
    deadline = time.monotonic() + 10
    while lake._writer._references.waits:  # They are indexed a moment later.
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return lake


def table(lake: Lake) -> list[AuditRow]:
    with lake._database.reading() as connection:
        return list(rows(connection, "1 ORDER BY n"))


def tamper(path: Path, *statements: str) -> list[str]:
    """Open the database as one who has its key alone; then what `verify` finds."""
    with Lake.open(path) as lake:
        connection = lake._database.writer()
        for sql in statements:
            connection.execute(sql)
        connection.close()
    with Lake.open(path, create=False) as lake:
        return [str(finding) for finding in lake.verify()]


MOVE = (
    "UPDATE audit SET n = 1000 WHERE n = 5",
    "UPDATE audit SET n = 5 WHERE n = 6",
    "UPDATE audit SET n = 6 WHERE n = 1000",
)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (("UPDATE audit SET agent = 'nobody' WHERE n = 5",), "event 5 was changed"),
        (("UPDATE audit SET outcome = 4 WHERE n = 5",), "event 5 was changed"),
        (("UPDATE audit SET instant_us = instant_us + 1 WHERE n = 5",), "event 5 was changed"),
        (("UPDATE audit SET accessed_us = 1 WHERE n = 5",), "event 5 was changed"),
        (("UPDATE audit SET t = 1 WHERE n = 5",), "event 5 was changed"),
        (("UPDATE audit SET detail = x'00' WHERE n = 5",), "event 5 was changed"),
        (("UPDATE audit SET name = x'00' WHERE n = 5",), "event 5 was changed"),
        (("UPDATE audit SET hash = x'00' WHERE n = 5",), "events 5 to 6 were changed"),
        (("DELETE FROM audit WHERE n = 5",), "event 5 was removed"),
        (("DELETE FROM audit WHERE n BETWEEN 5 AND 7",), "events 5 to 7 were removed"),
        (MOVE, "events 5 to 7 were changed, moved"),
        (
            (
                "UPDATE audit SET n = n + 1000 WHERE n >= 5",
                "UPDATE audit SET n = n - 999 WHERE n > 1000",
                "INSERT INTO audit SELECT 5, instant_us, accessed_us, t, action, outcome, name, "
                "agent, detail, hash FROM audit WHERE n = 4",
            ),
            "put in afterwards",
        ),
    ],
)
def test_tampering_is_named(filled: Lake, statements: tuple[str, ...], expected: str) -> None:
    path = filled.folder.path
    filled.close()
    found = tamper(path, *statements)
    assert any(line.startswith("audit: ") and expected in line for line in found), found


def test_the_last_events_cannot_be_cut_off(filled: Lake) -> None:
    connection = filled._database.writer()
    connection.execute("DELETE FROM audit WHERE n > 8")
    connection.execute("DELETE FROM audit_reference WHERE n > 8")
    assert "audit: events 9 to 10 were removed at the end" in map(str, filled.verify())
    # Nor is the head forged from the hash of the row that is the last one now.
    connection.execute("UPDATE lake SET value = '8:' || (SELECT lower(hex(hash)) FROM audit "
                       "WHERE n = 8) WHERE name = 'audit_head'")  # fmt: skip
    assert "audit: event 8 is not the last one that was written" in map(str, filled.verify())
    connection.execute("DELETE FROM lake WHERE name = 'audit_head'")
    assert "audit: the record of its last event was removed" in map(str, filled.verify())
    connection.execute("DELETE FROM audit")
    connection.execute("DELETE FROM audit_reference")
    assert "audit: 1 commits have no event (1)" in map(str, filled.verify())
    connection.close()


def test_what_is_concerned_cannot_be_taken_out_of_the_index(filled: Lake) -> None:
    connection = filled._database.writer()
    connection.execute("DELETE FROM audit_reference WHERE n = 4")
    connection.close()
    assert [str(f) for f in filled.verify()] == [
        "audit: event 4 was taken out of the index by what is concerned"
    ]


def test_another_key_cannot_rebuild_the_chain(filled: Lake) -> None:
    """Who has the database key only would have to guess the audit key."""
    forger = AuditLog(bytes(32), filled._keystore.lake_id)
    connection = filled._database.writer()
    records = [(row.record(), row.t) for row in table(filled)]
    connection.execute("DELETE FROM audit")
    forger.append(connection, forger.first, records)
    connection.close()
    assert any("events 1 to 10 were changed" in str(f) for f in filled.verify())


def test_an_anchor_tells_a_replaced_log(filled: Lake, tmp_path: Path, patient: Make) -> None:
    head = filled.audit_head()
    assert filled.verify(anchor=(head.n, head.hash)) == []
    assert filled.verify(anchor=(table(filled)[3].n, table(filled)[3].hash)) == []
    assert "was replaced" in str(filled.verify(anchor=(head.n, bytes(32)))[0])
    assert "was replaced" in str(filled.verify(anchor=(head.n + 5, head.hash))[0])


def test_a_change_is_recorded_with_its_versions_and_patients(
    lake: Lake, patient: Make, observation: Make
) -> None:
    lake.transact([Put(patient("p1")), Put(observation("o1"))])
    lake.transact([Put(observation("o1", status="amended"))])
    lake.transact([Delete("Observation", "o1")])
    found = [(row.t, row.action, row.record()) for row in table(lake)[1:]]
    assert [(t, action) for t, action, _ in found] == [(1, "E"), (2, "U"), (3, "D")]
    assert found[0][2].entities == (
        Entity("Patient", "p1", 1, "C"),
        Entity("Observation", "o1", 1, "C"),
    )
    assert [record.patients for *_, record in found] == [("p1",)] * 3
    assert found[2][2].entities == (Entity("Observation", "o1", 3, "D"),)


def test_a_refused_change_leaves_no_event_of_its_own(lake: Lake, patient: Make) -> None:
    with pytest.raises(FhirError):
        lake.transact([Put(patient(), if_match=3)], audit=READ)
    assert lake.audit_head().n == 1  # The opening; the refusal is recorded by who asked.
    assert lake.verify() == []


def test_the_chain_goes_on_after_reopening(filled: Lake, patient: Make) -> None:
    path = filled.folder.path
    filled.close()
    with Lake.open(path) as lake:
        lake.transact([Put(patient("p2"))])
        assert lake.audit_head().n == 12
        assert lake.verify() == []


def test_many_threads_append_one_chain(lake: Lake, patient: Make) -> None:
    def work(number: int) -> None:
        for step in range(10):
            if step % 2:
                lake.record_access([READ]).result()
            else:
                lake.transact([Put(patient(f"p{number}-{step}"))])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lake.audit_head().n == 81
    assert lake.verify() == []


def test_more_than_one_event_can_list_is_spread(lake: Lake, patient: Make) -> None:
    many = [Put(patient(f"p{number}")) for number in range(MAX_LISTED + 5)]
    lake.transact(many)
    parts = [row.record() for row in table(lake)[1:]]
    assert [len(part.entities) for part in parts] == [MAX_LISTED, 5]
    assert {part.patient_count for part in parts} == {MAX_LISTED + 5}
    assert {id for part in parts for id in part.patients} == {put.resource["id"] for put in many}


def test_batched_records_follow_soon_and_at_the_latest_on_close(lake: Lake) -> None:
    path = lake.folder.path
    assert lake.record_access([READ], durable=False).done()
    lake.record_access([READ]).result()  # Takes what was waiting along.
    assert lake.audit_head().n == 3
    lake.record_access([READ], durable=False)
    lake.close()
    with Lake.open(path) as again:
        assert again.audit_head().n == 5
        assert again.verify() == []


def test_what_cannot_be_recorded_fails_until_it_can(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> None:
        raise apsw.FullError

    append = lake._audit.append
    monkeypatch.setattr(lake._audit, "append", full)
    with pytest.raises(FhirError, match="disk is full"):
        lake.record_access([READ]).result()
    lake.record_access([READ], durable=False).exception(timeout=5)  # Waits: it is failing.
    monkeypatch.setattr(lake._audit, "append", append)
    lake.record_access([READ], durable=False).result()
    assert lake.audit_head().n == 3  # Both batched ones; the durable one's caller was told.


def test_a_writer_that_stopped_refuses_and_holds_up_nobody(lake: Lake) -> None:
    lake._writer._failed = "The lake stopped writing."
    for durable in (True, False, False, True):
        future = lake.record_access([READ], durable=durable)
        try:
            future.result(timeout=5)
        except FhirError as failure:
            assert "stopped writing" in str(failure)
        else:
            assert not durable
    lake._writer._failed = None
    lake.record_access([READ]).result(timeout=5)
    assert lake.audit_head().n == 4  # The durable ones are not kept: their callers were told.


@pytest.mark.parametrize("change", ["put", "delete"])
def test_own_events_cannot_be_changed(filled: Lake, change: str) -> None:
    event = filled.read("AuditEvent", "audit-3").resource()
    operation = Put(event) if change == "put" else Delete("AuditEvent", "audit-3")
    with pytest.raises(FhirError) as refused:
        filled.transact([operation])
    assert refused.value.category == "method-not-allowed"
    with pytest.raises(FhirError, match="own audit log"):
        filled.transact([Put({**event, "id": "audit-99999"})])


def test_types_keep_their_numbers() -> None:
    """Rows of a lake hold places in this list: an R4 type may never move."""
    names = " ".join(sorted(RESOURCE_TYPES)).encode()
    assert hashlib.sha256(names).hexdigest()[:16] == "277dd4fd0f7165ea"


ids = st.one_of(st.uuids().map(str), st.from_regex(r"[A-Za-z0-9.-]{1,64}", fullmatch=True))
names = st.text(max_size=20)
records = st.builds(
    AuditRecord,
    st.sampled_from("CRUDE"),
    names,
    names,
    st.sampled_from([0, 4, 8, 12]),
    names,
    names,
    st.sampled_from(["", "TREAT", "HRESCH"]),
    ids,
    st.lists(names, max_size=3).map(tuple),
    st.none() | st.integers(0, 2**40),
    st.lists(
        st.builds(
            Entity, st.sampled_from(sorted(RESOURCE_TYPES)), ids, st.integers(0, 2**40),
            st.sampled_from(["", "C", "R", "U", "D"]),
        ), max_size=3,
    ).map(tuple),
    st.just(0),
    st.lists(ids, max_size=3).map(tuple),
)  # fmt: skip


@given(records)
def test_a_record_comes_back_as_it_was(record: AuditRecord) -> None:
    row = AuditRow(
        1, 0, None, None, record.action, record.outcome, record.name, record.agent,
        encode_detail(record), b"",
    )  # fmt: skip
    again = row.record()
    assert again.entities == record.entities
    assert again.patients == record.patients
    assert (again.entity_count, again.patient_count) == (
        len(record.entities), len(record.patients),
    )  # fmt: skip
    assert again.request_id == record.request_id
    assert (again.parameters, again.results) == (record.parameters, record.results)


@given(st.lists(records, min_size=2, max_size=6), st.data())
def test_any_change_of_any_row_breaks_the_chain(
    written: list[AuditRecord], data: st.DataObject
) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE lake (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    connection.execute("CREATE TABLE commit_log (t INTEGER PRIMARY KEY)")
    connection.execute(DDL)
    log = AuditLog(b"k" * 32, "lake")
    log.append(connection, None, [(record, None) for record in written])
    assert list(verify_chain(log, connection)) == []
    n = data.draw(st.integers(1, len(written)))
    column = data.draw(st.sampled_from(["action", "outcome", "name", "agent", "detail"]))
    before = connection.execute(f"SELECT {column} FROM audit WHERE n = ?", (n,)).get
    value = data.draw(
        {
            "outcome": st.sampled_from([0, 4, 8, 12]),
            "action": st.sampled_from("CRUDE"),
            "detail": st.binary(max_size=40),
        }.get(column, names).filter(lambda one: one != before)
    )  # fmt: skip
    connection.execute(f"UPDATE audit SET {column} = ? WHERE n = ?", (value, n))
    assert any(f"event {n} was changed" in str(f) for f in verify_chain(log, connection))


def test_canonical_bytes_tell_fields_apart() -> None:
    one = canonical(1, 0, None, None, "R", 0, "ab", "c", b"")
    assert one != canonical(1, 0, None, None, "R", 0, "a", "bc", b"")
    assert one != canonical(1, 0, None, None, "R", 0, "ab", "", b"c")
    assert one != canonical(1, 0, None, 0, "R", 0, "ab", "c", b"")
    assert one != canonical(1, 0, 0, None, "R", 0, "ab", "c", b"")
