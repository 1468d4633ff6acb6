"""Connections that readers are lent see what was committed last, whoever had them before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage.lake import Lake, Put

Make = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("lend", ["reading", "statement"])
def test_a_statement_not_read_to_its_end_holds_no_later_reader_back(
    lake: Lake, patient: Make, lend: str
) -> None:
    lake.transact([Put(patient(id="a")), Put(patient(id="b"))])
    database = lake._database
    with getattr(database, lend)() as connection:
        abandoned = connection.execute("SELECT v FROM version")
        assert next(abandoned)
        connection.execute("SELECT count(*) FROM version").get  # noqa: B018
    lake.transact([Put(patient(id="c"))])
    assert lake.read("Patient", "c").version_id == 1
    assert len(lake.search("Patient", []).versions) == 3
    assert all(idle.txn_state() == 0 for idle in database._idle)


def test_a_page_of_the_audit_log_leaves_no_statement_open(lake: Lake, patient: Make) -> None:
    for name in "abcdef":
        lake.transact([Put(patient(id=name))])
    used = {id(idle) for idle in lake._database._idle}
    for params in ([("_count", "2")], [("_count", "1"), ("patient", "Patient/a")]):
        page = lake.search("AuditEvent", params)
        lake.read("AuditEvent", page.versions[0].id)
    assert {id(idle) for idle in lake._database._idle} == used
    lake.transact([Put(patient(id="g"))])
    assert lake.read("Patient", "g").version_id == 1
