"""Search parameters that are added to a lake: indexed as a job, complete or refused."""

from __future__ import annotations

import json
import os
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.index_definitions import IndexStopped
from storage.lake import Delete, Lake, Put
from storage.query import search

EYES = "http://example.org/eyes"
Make = Any


def definition(id: str = "eyes", **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter",
        "id": id,
        "url": f"http://example.org/SearchParameter/{id}",
        "name": "Eyes",
        "status": "active",
        "description": "colour of the eyes",
        "code": "eyes",
        "base": ["Patient"],
        "type": "token",
        "expression": f"Patient.extension('{EYES}').value.ofType(code)",
    } | changes


def patient(id: str, colour: str) -> dict[str, Any]:
    eyes = {"url": EYES, "valueCode": colour}
    return {"resourceType": "Patient", "id": id, "extension": [eyes]}


def found(lake: Lake, *params: tuple[str, str], kind: str = "Patient") -> set[str]:
    return {version.id for version in lake.search(kind, params, strict=True).versions}


def index(lake: Lake) -> None:
    job = lake.accept_indexing()
    assert job is not None
    result = lake.index_definitions(job, lambda: False)
    lake.jobs.update(job.id, state="completed", result=result)


def test_what_was_stored_before_is_found_once_it_is_indexed_and_never_in_part(
    lake: Lake, tmp_path: Path
) -> None:
    lake.transact([Put(patient("a", "blue")), Put(patient("b", "green"))])
    lake.flush()
    lake.transact([Put(patient("c", "blue"))])
    before = lake.t
    with pytest.raises(FhirError, match="not a search parameter"):
        found(lake, ("eyes", "blue"))
    lake.transact([Put(definition())])
    lake.transact([Put(patient("d", "blue"))])
    with pytest.raises(FhirError) as refused:
        found(lake, ("eyes", "blue"))
    assert refused.value.category == "unavailable"
    job = lake.accept_indexing()
    assert job is not None and lake.accept_indexing() is None
    with pytest.raises(FhirError, match=job.id):
        found(lake, ("eyes:missing", "true"))
    lake.index_definitions(job, lambda: False)
    assert lake.jobs.get(job.id).progress == {"done": 4, "total": 4}
    assert found(lake, ("eyes", "blue")) == {"a", "c", "d"}
    assert found(lake, ("eyes:not", "blue")) == {"b"}
    assert lake.search("Patient", [("eyes", "blue")], at=before).total == 2
    assert lake.verify() == []
    # Whatever is stored from now on is indexed at once, and moves with its version.
    lake.transact([Put(patient("b", "blue"))])
    assert found(lake, ("eyes", "blue")) == {"a", "b", "c", "d"}
    lake.flush()
    lake.compact()
    assert found(lake, ("eyes", "blue")) == {"a", "b", "c", "d"}
    assert lake.verify() == []


def test_it_is_there_after_a_restart_and_for_processes_that_only_read(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient("a", "blue"))])
        lake.transact([Put(definition())])
        with Lake.open(tmp_path / "lake", read_only=True) as reader:
            with pytest.raises(FhirError, match="not indexed yet"):
                found(reader, ("eyes", "blue"))
            index(lake)
            assert found(reader, ("eyes", "blue")) == {"a"}
            lake.transact([Delete("SearchParameter", "eyes")])
            with pytest.raises(FhirError, match="not a search parameter"):
                found(reader, ("eyes", "blue"))
            lake.transact([Put(definition(code="eye-colour"))])
            with pytest.raises(FhirError, match="not indexed yet"):
                found(reader, ("eye-colour", "blue"))
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient("b", "blue"))])
        with pytest.raises(FhirError, match="not indexed yet"):
            found(lake, ("eye-colour", "blue"))
        lake.reindex()
        assert found(lake, ("eye-colour", "blue")) == {"a", "b"}
        assert lake.accept_indexing() is None
        assert lake.verify() == []


def test_changing_retiring_deleting_and_erasing_take_effect(lake: Lake) -> None:
    lake.transact([Put(patient("a", "blue") | {"gender": "male"}), Put(definition())])
    index(lake)
    # Another text, the same meaning: nothing to do.
    lake.transact([Put(definition(description="of the iris"))])
    assert found(lake, ("eyes", "blue")) == {"a"}
    lake.transact([Put(definition(expression="Patient.gender"))])
    with pytest.raises(FhirError, match="cannot be searched by yet"):
        found(lake, ("eyes", "male"))
    index(lake)
    assert found(lake, ("eyes", "male")) == {"a"} and not found(lake, ("eyes", "blue"))
    lake.transact([Put(definition(status="retired"))])
    assert lake.search("Patient", [("eyes", "male")]).ignored == ["eyes"]
    assert lake.verify() == []
    lake.transact([Put(definition())])
    index(lake)
    assert found(lake, ("eyes", "blue")) == {"a"}
    told: list[None] = []
    lake.on_definitions.append(lambda: told.append(None))
    lake.erase([("SearchParameter", "eyes")], reason="a test")
    assert lake.search("Patient", [("eyes", "male")]).ignored == ["eyes"]
    assert told and lake.verify() == []


def test_a_job_that_stops_begins_anew(lake: Lake) -> None:
    lake.transact([Put(patient("a", "blue"))])
    lake.transact([Put(definition())])
    job = lake.accept_indexing()
    assert job is not None
    with pytest.raises(IndexStopped):
        lake.index_definitions(job, lambda: True)
    with pytest.raises(FhirError, match="cannot be searched by yet"):
        found(lake, ("eyes", "blue"))
    lake.index_definitions(job, lambda: False)
    assert found(lake, ("eyes", "blue")) == {"a"}


def test_what_is_stored_while_it_is_added_is_indexed(lake: Lake) -> None:
    """Writers race with the definition and the job; nothing is left out."""
    stored: list[str] = []
    stop = threading.Event()

    def write(name: str) -> None:
        while not stop.is_set():
            id = f"{name}{len(stored)}"
            lake.transact([Put(patient(id, "blue"))])
            stored.append(id)

    writers = [threading.Thread(target=write, args=(name,)) for name in "xyz"]
    for writer in writers:
        writer.start()
    try:
        for turn in range(3):
            lake.transact([Put(definition(code=f"eyes-{turn}"))])
            index(lake)
            lake.flush()
            seen = set(stored)
            page = lake.search("Patient", [(f"eyes-{turn}", "blue"), ("_count", "1000")])
            assert seen <= {version.id for version in page.versions}
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert lake.search("Patient", [("eyes-2", "blue")]).total == len(set(stored))
    assert lake.verify() == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"code": "1 x"}, "SearchParameter.code"),
        ({"code": "_mine"}, "SearchParameter.code"),
        ({"code": "name"}, "SearchParameter.code"),
        ({"type": "special"}, "SearchParameter.type"),
        ({"base": ["Nothing"]}, "SearchParameter.base[0]"),
        ({"expression": ""}, "SearchParameter.expression"),
        ({"expression": "Patient.colour"}, "SearchParameter.expression"),
        ({"expression": "Patient.name.("}, "SearchParameter.expression"),
        ({"expression": "Observation.code"}, "SearchParameter.expression"),
        ({"type": "quantity", "expression": "Patient.name"}, "SearchParameter.expression"),
        ({"type": "composite"}, "SearchParameter.component"),
        (
            {"type": "composite", "component": [{"definition": "http://x", "expression": "a"}] * 2},
            "SearchParameter.component[0].definition",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    lake: Lake, changes: dict[str, Any], place: str
) -> None:
    with pytest.raises(FhirError) as refused:
        lake.transact([Put(definition(**changes)), Put(patient("a", "blue"))])
    assert refused.value.category == "unprocessable"
    assert place in {place for issue in refused.value.issues for place in issue.expression}
    # Nothing of the transaction was stored, nothing has an effect; a draft may say anything.
    assert lake.t == 0 and lake.accept_indexing() is None
    lake.transact([Put(definition(**changes, status="draft"))])
    assert lake.accept_indexing() is None


def test_two_definitions_of_one_code_are_refused(lake: Lake) -> None:
    lake.transact([Put(definition())])
    with pytest.raises(FhirError, match="Another one defines this code for Patient"):
        lake.transact([Put(definition("other"))])
    lake.transact([Put(definition("other", base=["Person"], expression="Person.gender"))])
    with pytest.raises(FhirError, match="Another one"):
        lake.transact([Put(definition("third")), Delete("SearchParameter", "other")])
    lake.transact([Put(definition("third")), Delete("SearchParameter", "eyes")])
    assert lake.search_params("Patient")["eyes"].url.endswith("third")


def test_a_composite_of_added_parameters(lake: Lake) -> None:
    both = definition(
        "both",
        code="kind-size",
        base=["Observation"],
        type="composite",
        expression="Observation.component",
        component=[
            {"definition": "http://example.org/SearchParameter/kind", "expression": "code"},
            {
                "definition": "http://hl7.org/fhir/SearchParameter/Observation-value-quantity",
                "expression": "value.ofType(Quantity)",
            },
        ],
    )
    kind = definition(
        "kind", code="kind", base=["Observation"], expression="Observation.component.code"
    )
    lake.transact(
        [
            Put(both),
            Put(kind),
            Put(
                {
                    "resourceType": "Observation",
                    "id": "o",
                    "component": [
                        {"code": {"coding": [{"code": "x"}]}, "valueQuantity": {"value": 1}},
                        {"code": {"coding": [{"code": "y"}]}, "valueQuantity": {"value": 2}},
                    ],
                }
            ),
        ]
    )
    index(lake)
    assert found(lake, ("kind-size", "x$1"), kind="Observation") == {"o"}
    assert not found(lake, ("kind-size", "x$2"), kind="Observation")


def test_the_search_parameters_of_us_core(lake: Lake) -> None:
    data = os.environ.get("CHARTLAKE_DATA")
    if not data:
        pytest.skip("CHARTLAKE_DATA is not set: no US Core package")
    path = Path(data) / "conformance/us-core/us_core_610.tgz"
    with tarfile.open(path) as package:
        definitions = [
            json.loads(package.extractfile(member).read())  # type: ignore[union-attr]
            for member in package
            if member.name.rpartition("/")[2].startswith("SearchParameter-")
        ]
    race = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
    coding = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3", "display": "White"}
    white = {"url": race, "extension": [{"url": "ombCategory", "valueCoding": coding}]}
    lake.transact([Put({"resourceType": "Patient", "id": "w", "extension": [white]})])
    lake.flush()
    lake.transact([Put(one) for one in definitions])
    index(lake)
    added = {
        (base, one["code"])
        for one in definitions
        for base in one["base"]
        if one["code"] in lake.search_params(base)
    }
    assert added == {(base, one["code"]) for one in definitions for base in one["base"]}
    assert found(lake, ("race", "2106-3")) == {"w"}
    assert not found(lake, ("ethnicity", "2106-3"))
    assert lake.verify() == []


@pytest.mark.parametrize(
    ("kind", "expression", "value", "other"),
    [
        ("string", "Patient.name.given.first().upper()", "ANN", "LU"),
        ("string", "Patient.name.select(given.first() + ' ' + family)", "ann zed", "lu"),
        ("token", "Patient.name.repeat(extension).value.ofType(Coding)", "x", "y"),
        ("date", "(Patient.birthDate | Patient.deceased.ofType(dateTime)).last()", "2001", "2000"),
        ("number", "Patient.name.given.count()", "2", "1"),
        ("token", "Patient.name.given.count() > 1", "true", "false"),
        ("reference", "Patient.generalPractitioner.skip(1)", "Practitioner/b", "Practitioner/a"),
        ("quantity", "Patient.extension.value.ofType(Quantity).where(value > 5)", "7", "3"),
    ],
)
def test_expressions_of_all_of_fhirpath(
    lake: Lake, kind: str, expression: str, value: str, other: str
) -> None:
    coding = {"url": "urn:a", "valueCoding": {"code": "x"}}
    name = {"given": ["Ann", "Lu"], "family": "Zed", "extension": [coding]}
    one = {
        "resourceType": "Patient",
        "id": "p",
        "name": [name],
        "birthDate": "2000",
        "deceasedDateTime": "2001",
        "generalPractitioner": [{"reference": "Practitioner/a"}, {"reference": "Practitioner/b"}],
        "extension": [{"url": "urn:q", "valueQuantity": {"value": n}} for n in (3, 7)],
    }
    lake.transact([Put(one)])
    lake.transact([Put(definition(type=kind, expression=expression))])
    lake.transact([Put(one | {"id": "q"})])
    index(lake)
    assert found(lake, ("eyes", value)) == {"p", "q"}
    assert not found(lake, ("eyes", other))
    assert lake.verify() == []


@pytest.mark.parametrize(
    "expression",
    [
        "Patient.generalPractitioner.resolve().name.given.first().upper()",
        "Patient.birthDate.replaceMatches('a', 'b') & today().toString()",
        "Patient.name.colour.upper()",
        "Patient.nothing()",
        "Patient.name.repeat(",
    ],
)
def test_expressions_that_no_index_can_keep_true(lake: Lake, expression: str) -> None:
    with pytest.raises(FhirError) as refused:
        lake.transact([Put(definition(type="string", expression=expression))])
    assert refused.value.issues[0].expression == ("SearchParameter.expression",)


def test_whole_resources_by_their_words_where_it_is_asked_for(lake: Lake) -> None:
    with pytest.raises(FhirError, match="not a search parameter"):
        found(lake, ("_content", "blue"))
    lake.transact([Put(patient("a", "deep blue") | {"gender": "male"}), Put(patient("b", "blue"))])
    content = definition(
        "content",
        code="_content",
        type="string",
        url="http://hl7.org/fhir/SearchParameter/Resource-content",
    )
    del content["expression"]
    lake.transact([Put(content)])
    index(lake)
    assert found(lake, ("_content", "deep blue")) == {"a"} == found(lake, ("_content", "MALE"))
    assert found(lake, ("_content", "blue NOT deep")) == {"b"}
    assert found(lake, ("_content:missing", "false")) == {"a", "b"}
    with pytest.raises(FhirError, match="not a search parameter"):
        found(lake, ("_content", "blue"), kind="Observation")
    assert lake.verify() == []


def test_a_change_that_is_refused_leaves_nothing_unindexed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.transact([Put(definition())])
    index(lake)
    other = definition(expression="Patient.language")
    store = lake._writer.transact
    writing = threading.Thread(target=lambda: lake.transact([Put(patient("meanwhile", "blue"))]))

    def slowly(operations: Any, *more: Any) -> Any:
        if operations[0].resource_type == "SearchParameter":
            writing.start()
            writing.join(0.3)
        return store(operations, *more)

    monkeypatch.setattr(lake._writer, "transact", slowly)
    with pytest.raises(FhirError, match="version"):
        lake.transact([Put(other, if_match=9)])
    writing.join(10)
    assert found(lake, ("eyes", "blue")) == {"meanwhile"}
    assert lake.verify() == []


def test_what_is_not_indexed_yet_is_no_damage(lake: Lake) -> None:
    lake.transact([Put(patient("flushed", "blue"))])
    lake.flush()
    lake.transact([Put(patient("hot", "blue"))])
    lake.transact([Put(definition())])
    lake.transact([Put(patient("after", "blue"))])
    assert lake.verify() == []
    job = lake.accept_indexing()
    assert job is not None
    with pytest.raises(IndexStopped):
        lake.index_definitions(job, lambda: bool(lake.jobs.get(job.id).progress.get("done")))
    assert lake.verify() == []
    lake.index_definitions(job, lambda: False)
    assert lake.verify() == []
    lake._writer.run(lambda c: c.execute("DELETE FROM token_index WHERE v = 2"))
    assert [one.place for one in lake.verify()] == ["token_index", "index"]


@pytest.mark.parametrize("asked", ["_has", "_sort"])
def test_the_past_is_searched_by_the_parameters_of_now(
    lake: Lake, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_KEPT_FROM", 1)
    first, second = "http://example.org/first", "http://example.org/second"

    def visit(id: str, one: str, two: str) -> Put:
        urls = ((first, one), (second, two))
        named = [{"url": u, "valueReference": {"reference": f"Patient/{p}"}} for u, p in urls]
        ranks = [{"url": f"{u}-rank", "valueString": p} for u, p in urls]
        return Put({
            "resourceType": "Encounter", "id": id, "extension": [*named, *ranks],
            "status": "finished", "class": {"code": "AMB"},
        })  # fmt: skip

    def of(url: str) -> list[Put]:
        base: dict[str, Any] = {"base": ["Encounter"], "target": ["Patient"], "type": "reference"}
        rank = {"base": ["Encounter"], "type": "string", "code": "rank"}
        extension = f"Encounter.extension('{url}').value.ofType(Reference)"
        ranked = f"Encounter.extension('{url}-rank').value.ofType(string)"
        return [
            Put(definition("whom", code="whom", expression=extension, **base)),
            Put(definition("rank", expression=ranked, **rank)),
        ]

    def found_then() -> list[str]:
        params, kind = [("_has:Encounter:whom:_id", "v")], "Patient"
        if asked == "_sort":
            params, kind = [("_sort", "rank")], "Encounter"
        return [version.id for version in lake.search(kind, params, strict=True, at=t).versions]

    lake.transact([Put(patient("a", "blue")), Put(patient("b", "blue"))])
    lake.transact([visit("v", "a", "b"), visit("w", "b", "a")])
    lake.transact([*of(first)])
    index(lake)
    t = lake.t
    lake.transact([visit("w", "a", "b")])
    before = found_then()
    lake.transact([*of(second)])
    index(lake)
    if asked == "_sort":
        assert (before, found_then()) == (["v", "w"], ["w", "v"])
    else:
        assert (before, found_then()) == (["a"], ["b"])
