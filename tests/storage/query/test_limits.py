"""What goes beyond a limit is refused, naming it; what is at the limit is answered whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.lake import Lake, Put, SearchLimits

Make = Callable[..., dict[str, Any]]

REFUSED: list[tuple[dict[str, int], str, tuple[str, str]]] = [
    ({"max_joined": 2}, "Observation", ("subject:Patient.gender", "female")),
    ({"max_joined": 2}, "Patient", ("_has:Observation:patient:status", "final")),
    ({"max_includes": 2}, "Patient", ("_revinclude", "Observation:subject")),
    ({"max_chain_depth": 1}, "Observation", ("subject:Patient.link:Patient.gender", "female")),
    ({"max_filter_terms": 1}, "Observation", ("_filter", "status eq final and code eq x")),
    ({"max_sort_keys": 1}, "Observation", ("_sort", "date,_id")),
]


@pytest.mark.parametrize(("limit", "kind", "param"), REFUSED)
def test_limits(
    lake: Lake,
    patient: Make,
    observation: Make,
    limit: dict[str, int],
    kind: str,
    param: tuple[str, str],
) -> None:
    lake.transact([Put(patient(f"p{n}")) for n in range(3)])
    lake.transact([Put(observation(f"o{n}", patient=f"p{n}")) for n in range(3)])
    ((name, value),) = limit.items()
    lake.search_limits = replace(SearchLimits(), **{name: value + 1})
    lake.search(kind, [param], strict=True)
    lake.search_limits = replace(SearchLimits(), **limit)
    # Not even what was kept from the search before.
    with pytest.raises(FhirError) as failure:
        lake.search(kind, [param], strict=True)
    assert failure.value.category in ("not-supported", "value")
    assert f"search_{name}" in failure.value.issues[0].diagnostics


def test_size_of_pages(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient(f"p{n}")) for n in range(5)])
    lake.search_limits = SearchLimits(default_count=2, max_count=3)
    assert len(lake.search("Patient", []).versions) == 2
    page = lake.search("Patient", [("_count", "9")])
    assert (len(page.versions), page.total, page.next is not None) == (3, 5, True)
    assert "search_max_count" in page.issues[0].diagnostics
