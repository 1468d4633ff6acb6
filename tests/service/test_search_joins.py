"""Over HTTP: chains, `_has`, includes, compartments, several types, lists, filters, paging.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import FHIR, Service, assert_outcome


@pytest.fixture(scope="module")
def ward(service: Service) -> dict[str, str]:
    """An organization, two patients of it, five observations, an encounter and a list."""
    ids: dict[str, str] = {}

    def post(name: str, resource: dict[str, Any]) -> None:
        response = service.post(resource)
        assert response.status_code == 201, response.text
        ids[name] = response.json()["id"]

    post("org", {"resourceType": "Organization", "name": "Joined Clinic"})
    for name, birth in (("a", "1950-02-03"), ("b", "2001-05-06")):
        post(
            name,
            {
                "resourceType": "Patient",
                "name": [{"family": f"Joined{name}"}],
                "birthDate": birth,
                "managingOrganization": {"reference": f"Organization/{ids['org']}"},
            },
        )
    post(
        "visit",
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": f"Patient/{ids['a']}"},
        },
    )
    for number in range(5):
        whose = "a" if number < 3 else "b"
        post(
            f"o{number}",
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": "urn:joined", "code": f"j{number % 2}"}]},
                "subject": {"reference": f"Patient/{ids[whose]}"},
                "effectiveDateTime": f"2024-0{number + 1}-01",
                **({"encounter": {"reference": f"Encounter/{ids['visit']}"}} if not number else {}),
            },
        )
    entries = [{"item": {"reference": f"Observation/{ids['o1']}"}}]
    entries.append({"item": {"reference": f"Observation/{ids['o2']}"}, "deleted": True})
    post(
        "list",
        {"resourceType": "List", "status": "current", "mode": "changes", "entry": entries},
    )
    return ids


def names(ids: dict[str, str], bundle: dict[str, Any], mode: str = "match") -> list[str]:
    known = {id: name for name, id in ids.items()}
    return sorted(
        known.get(entry["resource"]["id"], "?")
        for entry in bundle.get("entry", ())
        if entry["search"]["mode"] == mode
    )


FOUND: list[tuple[str, str, str]] = [
    ("Observation", "code=urn:joined|&subject:Patient.birthdate=lt1960", "o0 o1 o2"),
    ("Observation", "code=urn:joined|&patient.organization.name=joined", "o0 o1 o2 o3 o4"),
    ("Observation", "code=urn:joined|&subject.name=joinedb", "o3 o4"),
    ("Observation", "code=urn:joined|&patient.birthdate=lt1960,gt2000", "o0 o1 o2 o3 o4"),
    ("Observation", "code=urn:joined|&patient._id={a}", "o0 o1 o2"),
    ("Patient", "_has:Observation:patient:code=urn:joined|j1", "a b"),
    ("Patient", "_has:Observation:patient:encounter.status=finished&_id={a},{b}", "a"),
    (
        "Organization",
        "_has:Patient:organization:_has:Observation:patient:code=urn:joined|j0",
        "org",
    ),
    ("Observation", "code=urn:joined|&patient._has:Encounter:patient:status=finished", "o0 o1 o2"),
    ("Observation", "_list={list}", "o1"),
    ("Observation", '_filter=code eq urn:joined|j1 and subject.name co "inedb"', "o3"),
    ("Observation", "_filter=code eq urn:joined|j1 and not (patient re Patient/{a})", "o3"),
    ("Patient", '_filter=name eq "joinedA" or (birthdate gt 2001-01 and name ew "nedb")', "a b"),
    ("Patient/{a}/Observation", "code=urn:joined|j1", "o1"),
    ("Patient/{a}/*", "_type=Observation,Encounter", "o0 o1 o2 visit"),
    ("Encounter/{visit}/Observation", "", "o0"),
    ("Encounter/{visit}/*", "", "o0 visit"),
]


@pytest.mark.parametrize(("path", "query", "expected"), FOUND)
@pytest.mark.parametrize("post", [False, True], ids=["GET", "POST"])
def test_joins(
    service: Service, ward: dict[str, str], path: str, query: str, expected: str, post: bool
) -> None:
    path, query = path.format(**ward), query.format(**ward)
    params = [tuple(one.split("=", 1)) for one in query.split("&") if one]
    strict = {"Prefer": "handling=strict"}
    if post:
        response = service.http.post(f"/fhir/{path}/_search", data=dict(params), headers=strict)
    else:
        response = service.http.get(f"/fhir/{path}", params=params, headers=strict)
    assert response.status_code == 200, response.text
    assert names(ward, response.json()) == expected.split()
    assert response.json()["total"] == len(expected.split())


def test_includes(service: Service, ward: dict[str, str]) -> None:
    url = "/fhir/Observation?code=urn:joined|j0&_sort=date&_count=2&_include=Observation:subject"
    page = service.http.get(url).json()
    assert names(ward, page) == ["o0", "o2"]
    assert names(ward, page, "include") == ["a"]
    url += "&_include:iterate=Patient:organization&_revinclude:iterate=Encounter:patient"
    page = service.http.get(url).json()
    assert names(ward, page, "include") == ["a", "org", "visit"]
    rest = service.http.get(next_of(page)).json()
    assert names(ward, rest) == ["o4"]
    assert names(ward, rest, "include") == ["b", "org"]
    reverse = service.http.get(f"/fhir/Patient?_id={ward['b']}&_revinclude=Observation:subject")
    assert names(ward, reverse.json(), "include") == ["o3", "o4"]
    every = service.http.get(f"/fhir/Observation?_id={ward['o0']}&_include=*").json()
    assert names(ward, every, "include") == ["a", "visit"]


def next_of(bundle: dict[str, Any], relation: str = "next") -> str:
    return next(link["url"] for link in bundle["link"] if link["relation"] == relation)


def test_pages_go_both_ways_and_stay_on_their_commit(
    service: Service, ward: dict[str, str]
) -> None:
    for sort in ("-date", "date,_id", "_lastUpdated", "code,-date", ""):
        order = f"&_sort={sort}" if sort else ""
        first = service.http.get(f"/fhir/Observation?code=urn:joined|&_count=2{order}").json()
        whole = service.http.get(f"/fhir/Observation?code=urn:joined|{order}").json()
        service.post({**first["entry"][0]["resource"], "status": "amended"})  # A sixth one.
        second = service.http.get(next_of(first)).json()
        # A client may ask for another size, as Medplum's does.
        third = service.http.get(next_of(second).replace("_count=2", "_count=1000")).json()
        pages = [first, second, third]
        ids = [entry["resource"]["id"] for page in pages for entry in page["entry"]]
        assert ids == [entry["resource"]["id"] for entry in whole["entry"]], sort
        assert {page["total"] for page in pages} == {whole["total"]}
        back = service.http.get(next_of(second, "previous")).json()
        assert back["entry"] == first["entry"]
        assert next_of(second, "first") == next_of(first, "self")
        for entry in service.found("Observation", code="urn:joined|", status="amended"):
            service.http.delete(f"/fhir/Observation/{entry['id']}")


def test_several_types(service: Service, ward: dict[str, str]) -> None:
    tag = {"tag": [{"system": "urn:joined", "code": "several"}]}
    made = []
    for kind in ("Patient", "Organization", "Patient"):
        body = {"resourceType": kind, "meta": tag, **({"name": "T"} if kind[0] == "O" else {})}
        made.append(service.post(body).json()["id"])
    page = service.http.get("/fhir?_tag=urn:joined|several&_count=2").json()
    assert page["total"] == 3
    rest = service.http.get(next_of(page)).json()
    ids = [entry["resource"]["id"] for one in (page, rest) for entry in one["entry"]]
    assert [id for id in ids if id in made] == made
    one = service.http.get("/fhir/?_tag=urn:joined|several&_type=Organization").json()
    assert [entry["resource"]["id"] for entry in one["entry"]] == made[1:2]
    sorted_by_id = service.http.post(
        "/fhir/_search", data={"_type": "Patient,Organization", "_tag": "several", "_sort": "-_id"}
    ).json()
    assert [e["resource"]["id"] for e in sorted_by_id["entry"]] == sorted(made, reverse=True)
    only_patients = service.http.get("/fhir?_type=Patient,Organization&gender=male").json()
    assert [e for e in only_patients["entry"] if e["search"]["mode"] == "outcome"]


def test_what_is_not_applied_is_said(service: Service, ward: dict[str, str]) -> None:
    url = f"/fhir/Patient?_id={ward['a']}"
    page = service.http.get(url + "&_count=0&_totalMethod=count").json()
    assert page["total"] == 1
    (outcome,) = page["entry"]
    assert outcome["search"]["mode"] == "outcome"
    assert outcome["resource"]["issue"][0]["expression"] == ["_totalMethod"]
    assert "_totalMethod" not in next_of(page, "self")
    paged = service.http.get("/fhir/Patient?family=joined&_count=1&_totalMethod=count").json()
    rest = service.http.get(next_of(paged)).json()
    assert len(names(ward, paged) + names(ward, rest)) == 2
    page = service.http.get(url + "&_count=5000").json()
    assert "search_max_count" in str(page["entry"][-1]["resource"]["issue"])
    counted = service.http.get(url + "&_summary=count&_sort=birthdate").json()
    assert (counted["total"], "entry" in counted) == (1, False)
    strict = {"Prefer": "handling=strict"}
    assert_outcome(service.http.get(url + "&_totalMethod=x", headers=strict), 400, "_totalMethod")


REFUSED: list[tuple[str, int]] = [
    ("Observation?subject:Patient." + "general-practitioner:Patient." * 9 + "name=x", 400),
    ("Patient?_has:Observation:patient=x", 400),
    ("Patient?_has:Observation:encounter:code=x", 400),
    ("Patient?_has:Nonsense:patient:code=x", 400),
    ("Patient?_has:Observation:patient:nonsense=x", 400),
    ("Patient?" + "_has:Patient:link:" * 10 + "name=x", 400),
    ("Observation?subject.=x", 400),
    ("Observation?subject:Nonsense.name=x", 400),
    ("Observation?subject:Patient.birthdate=xx", 400),
    ("Observation?_include=nonsense", 400),
    ("Observation?_include=Observation:code", 400),
    ("Observation?_include=Patient:organization", 400),
    ("Observation?_include:nonsense=Observation:subject", 400),
    ("Observation?_revinclude=Encounter:patient", 400),
    ("Observation?_filter=code eq", 400),
    ("Observation?_filter=(code eq x", 400),
    ("Observation?_filter=code zz x", 400),
    ("Observation?_filter=nonsense eq x", 400),
    ("Observation?_filter=code gt x", 400),
    ("Observation?_filter=" + "(" * 200 + "code eq x" + ")" * 200, 400),
    ("Observation?_list=a b", 400),
    ("Observation?_list=$current-allergies", 400),
    ("Observation?_sort=" + ",".join(["date"] * 20), 400),
    ("?_type=Nonsense", 400),
    ("Organization/1/Observation", 404),
    ("Patient/1/Nonsense", 404),
    ("Patient/1/Organization", 400),
]


@pytest.mark.parametrize(("url", "status"), REFUSED)
def test_refused(service: Service, ward: dict[str, str], url: str, status: int) -> None:
    assert_outcome(service.http.get(f"/fhir/{url}"), status)


def test_many_includes_follow_on_further_pages(service: Service) -> None:
    """Pain 6: never cut in silence."""
    id = service.patient()
    entries = [
        {
            "request": {"method": "POST", "url": "Observation"},
            "resource": {
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": str(number)},
                "subject": {"reference": f"Patient/{id}"},
            },
        }
        for number in range(1100)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert service.http.post("/fhir", json=bundle, headers=FHIR).status_code == 200
    page = service.http.get(f"/fhir/Patient?_id={id}&_revinclude=Observation:subject").json()
    modes = [entry["search"]["mode"] for entry in page["entry"]]
    assert (modes.count("match"), modes.count("include"), modes.count("outcome")) == (1, 1000, 1)
    rest = service.http.get(next_of(page)).json()
    modes = [entry["search"]["mode"] for entry in rest["entry"]]
    assert (modes.count("match"), modes.count("include"), modes.count("outcome")) == (0, 100, 0)
    assert "next" not in [link["relation"] for link in rest["link"]]
    both = [
        e["resource"]["id"] for one in (page, rest) for e in one["entry"] if "id" in e["resource"]
    ]
    assert len(set(both)) == 1101
