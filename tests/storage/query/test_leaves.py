"""Every kind of criterion, against a naive reading of the resources themselves.

The oracle looks at the elements, not at index values, and reckons with exact decimals.
"""

from __future__ import annotations

import math
import tempfile
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.dates import MAX_US, MIN_US, date_range
from schemas.outcomes import FhirError
from schemas.ucum import canonical
from storage.index import build
from storage.lake import Lake, Put
from storage.query import special_values

UCUM = "http://unitsofmeasure.org"
Test = Callable[[dict[str, Any]], bool]

NUMBERS = [
    "0",
    "-3",
    "5",
    "5.0",
    "5.4",
    "5.44",
    "5.45",
    "5.35",
    "5400",
    "100",
    "99.5",
    "1e2",
    "0.1",
]
UNITS = [
    {},
    {"unit": "mg"},
    *({"system": UCUM, "code": code} for code in ("mg", "ug", "g", "Cel", "[degF]", "wrong unit")),
    {"system": "urn:mine", "code": "mg", "unit": "milli"},
]
CODES = [("urn:s", "x"), ("urn:s", "y"), ("urn:t", "x"), (None, "x")]
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", ">", "<=", "<", ">="]
DATES = ["2020", "2020-03", "2020-03-15", "2020-03-15T10:00:00Z", "2020-03-15T12:30:00.5+02:00"]
SIGNS = {">": "gt", "<=": "le", "<": "lt", ">=": "ge", "": "eq"}

quantities = st.builds(
    lambda number, unit, comparator: (
        {"value": Decimal(number)} | unit | ({"comparator": comparator} if comparator else {})
    ),
    st.sampled_from(NUMBERS),
    st.sampled_from(UNITS),
    st.sampled_from([None, None, None, "<", ">=", ">"]),
)
codes = st.sampled_from(CODES)


def concept(code: tuple[str | None, str]) -> dict[str, Any]:
    system, value = code
    return {"coding": [{"code": value} | ({"system": system} if system else {})]}


def coded(code: tuple[str | None, str], value: dict[str, Any] | None) -> dict[str, Any]:
    return {"code": concept(code)} | ({} if value is None else {"valueQuantity": value})


observations = st.builds(
    lambda top, components, when: (
        {"resourceType": "Observation", "status": "final"}
        | top
        | ({"component": components} if components else {})
        | when
    ),
    st.builds(coded, codes, st.none() | quantities),
    st.lists(st.builds(coded, codes, st.none() | quantities), max_size=2),
    st.sampled_from(
        [
            {},
            *({"effectiveDateTime": when} for when in DATES),
            {"effectivePeriod": {"start": "2020-03-15"}},
            {"effectivePeriod": {"end": "2020-03"}},
            {"effectivePeriod": {"start": "2020-03-01", "end": "2020-03-20"}},
            {"effectiveTiming": {"event": ["2020-03-01", "2020-05"]}},
        ]
    ),
)


def bounds(quantity: dict[str, Any]) -> tuple[Decimal, Decimal]:
    value = quantity["value"]
    comparator = quantity.get("comparator")
    low = Decimal("-Infinity") if comparator in ("<", "<=") else value
    high = Decimal("Infinity") if comparator in (">", ">=") else value
    return low, high


def implied(text: str) -> tuple[Decimal, Decimal]:
    """`100` is [99.5, 100.5), `1e2` is [95, 105): R4 search.html#number."""
    if text == "1e2":
        return Decimal(95), Decimal(105)
    places = len(text.partition(".")[2])
    half = Decimal(5).scaleb(-places - 1)
    return Decimal(text) - half, Decimal(text) + half


def compares(
    prefix: str, text: str, low: Decimal, high: Decimal, scale: Callable[[Decimal], Decimal]
) -> bool:
    number, (least, most) = Decimal(text), implied(text)
    exact = scale(number)
    inside = scale(least) <= low < scale(most) and high < scale(most)
    slack = abs(number) / 10
    return {
        "eq": inside,
        "ne": low < scale(least) or high >= scale(most),
        "gt": high > exact,
        "lt": low < exact,
        "ge": high >= exact,
        "le": low <= exact,
        "sa": low > exact,
        "eb": high < exact,
        "ap": low <= scale(number + slack) and high >= scale(number - slack),
    }[prefix]


def in_base(value: Decimal, code: str) -> Decimal:
    if value.is_infinite():
        return value
    found = canonical(value, code)
    assert found is not None
    return found[0]


def meets_quantity(prefix: str, number: str, system: str, code: str, found: Any) -> bool:
    if found is None:
        return False
    low, high = bounds(found)
    unit = canonical(Decimal(1), code) if system == UCUM else None
    if unit is None:
        if not compares(prefix, number, low, high, lambda value: value):
            return False
        if not system:
            return not code or code in (found.get("code"), found.get("unit"))
        return found.get("system") == system and code in ("", found.get("code"))
    own = canonical(Decimal(1), found.get("code", "")) if found.get("system") == UCUM else None
    if own is None or own[1] != unit[1]:
        return False
    mine = found["code"]
    return compares(
        prefix, number, in_base(low, mine), in_base(high, mine), lambda value: in_base(value, code)
    )


def meets_code(system: str | None, code: str, found: dict[str, Any]) -> bool:
    """`system` None: any; empty: none."""
    return any(
        coding["code"] == code and (system is None or coding.get("system", "") == system)
        for coding in found["coding"]
    )


@st.composite
def quantity_values(draw: st.DrawFn) -> tuple[str, Callable[[Any], bool]]:
    sign = draw(st.sampled_from(PREFIXES))
    number = draw(st.sampled_from(NUMBERS))
    system, code = draw(
        st.sampled_from([
            ("", ""), ("", "mg"), ("", "milli"), (UCUM, "mg"), (UCUM, "ug"), (UCUM, "kg"),
            (UCUM, "K"), (UCUM, "wrong unit"), (UCUM, ""), ("urn:mine", "mg"), ("urn:none", "x"),
        ])
    )  # fmt: skip
    text = f"{sign}{number}" + (f"|{system}|{code}" if system or code else "")
    prefix = SIGNS.get(sign, sign)
    return text, lambda found: meets_quantity(prefix, number, system, code, found)


@st.composite
def code_values(draw: st.DrawFn) -> tuple[str, Callable[[Any], bool]]:
    system, code = draw(st.sampled_from([None, "", "urn:s", "urn:u"])), draw(st.sampled_from("xyz"))
    text = code if system is None else f"{system}|{code}"
    return text, lambda found: meets_code(system, code, found)


def meets_date(prefix: str, text: str, found: tuple[int, int] | None) -> bool:
    if found is None:
        return False
    (low, high), (least, most) = found, date_range(text)
    return {
        "eq": least <= low and high <= most,
        "ne": low < least or high > most,
        "gt": high > most,
        "lt": low < least,
        "ge": high > least,
        "le": low < most,
        "sa": low >= most,
        "eb": high <= least,
    }[prefix]


def when(resource: dict[str, Any]) -> tuple[int, int] | None:
    if "effectiveDateTime" in resource:
        return date_range(resource["effectiveDateTime"])
    if "effectiveTiming" in resource:
        events = [date_range(one) for one in resource["effectiveTiming"]["event"]]
        return min(low for low, _ in events), max(high for _, high in events)
    period = resource.get("effectivePeriod")
    if period is None:
        return None
    low = date_range(period["start"])[0] if "start" in period else MIN_US
    return low, date_range(period["end"])[1] if "end" in period else MAX_US


@st.composite
def criteria(draw: st.DrawFn) -> tuple[str, str, Test]:
    """A parameter, its value, and whether an Observation meets it."""
    kind = draw(st.sampled_from(["quantity", "composite", "composite", "date", "code", "missing"]))
    if kind == "date":
        sign = draw(st.sampled_from([one for one in PREFIXES if one != "ap"]))
        text = draw(st.sampled_from([*DATES, "2020-03-15T10:00", "2020-03-15T10:00 02:00"]))
        prefix, meant = SIGNS.get(sign, sign), text.replace(" ", "+")
        return "date", sign + text, lambda one: meets_date(prefix, meant, when(one))
    # Parts of a resource that a parameter looks at: the whole, its components, or both.
    where = draw(st.sampled_from(["", "component-", "combo-"]))

    def parts(resource: dict[str, Any]) -> list[dict[str, Any]]:
        own = [] if where == "component-" else [resource]
        return own + ([] if not where else resource.get("component", []))

    code_text, code_test = draw(code_values())
    text, test = draw(quantity_values())
    if kind == "code":
        other_text, other = draw(code_values())
        negated = draw(st.booleans())
        return (
            f"{where}code" + (":not" if negated else ""),
            f"{code_text},{other_text}",
            lambda one: (
                any(code_test(part["code"]) or other(part["code"]) for part in parts(one))
                != negated
            ),
        )
    if kind == "quantity":
        return (
            f"{where}value-quantity",
            text,
            lambda one: any(test(part.get("valueQuantity")) for part in parts(one)),
        )
    name = f"{where}code-value-quantity"
    if kind == "missing":
        wanted = draw(st.booleans())
        return (
            f"{name}:missing",
            str(wanted).lower(),
            lambda one: any("valueQuantity" in part for part in parts(one)) != wanted,
        )
    return (
        name,
        f"{code_text}${text}",
        lambda one: any(
            code_test(part["code"]) and test(part.get("valueQuantity")) for part in parts(one)
        ),
    )


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(observations, min_size=6, max_size=14), st.data())
def test_observations(resources: list[dict[str, Any]], data: st.DataObject) -> None:
    stored = [one | {"id": f"o{number}"} for number, one in enumerate(resources)]
    with (
        tempfile.TemporaryDirectory(prefix="chartlake-test-") as folder,
        mock.patch.object(build, "_BLOCK_ENTRIES", 3),
        Lake.open(Path(folder) / "lake") as lake,
    ):
        half = len(stored) // 2
        lake.transact([Put(one) for one in stored[:half]])
        lake.flush()
        lake.transact([Put(one) for one in stored[half:]])
        for _ in range(40):
            asked = data.draw(st.lists(criteria(), min_size=1, max_size=2), "asked")
            page = lake.search(
                "Observation", [(name, text) for name, text, _ in asked], strict=True
            )
            assert {version.id for version in page.versions} == {
                one["id"] for one in stored if all(test(one) for _, _, test in asked)
            }, [(name, text) for name, text, _ in asked]


NAMES = [
    "Ann",
    "ann-marie",
    "O'Neil",
    "ONeil",
    "Zoë  Müller",
    "zoe muller",
    "St. John",
    "1.0",
    "10",
]


def plain(text: str) -> str:
    """Letters and digits in small, one space for anything else that separates words."""
    marks = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(one for one in marks if not unicodedata.combining(one))
    if letters not in ("1.0", "10"):
        letters = letters.replace("-", " ").replace("'", "").replace(".", "")
    return " ".join(letters.split())


@pytest.mark.parametrize("modifier", ["", ":exact", ":contains"])
def test_strings(lake: Lake, modifier: str) -> None:
    lake.transact(
        [
            Put({"resourceType": "Patient", "id": f"p{n}", "name": [{"family": name}]})
            for n, name in enumerate(NAMES)
        ]
    )
    lake.flush()
    for asked in [*NAMES, "an", "mull", "o n", "neil", "JOHN", "0", "zoe mü", "zoë"]:
        found = lake.search("Patient", [(f"family{modifier}", asked)]).versions
        wanted = plain(asked)

        def meets(name: str, asked: str = asked, wanted: str = wanted) -> bool:
            if modifier == ":exact":
                return name == asked
            return wanted in plain(name) if modifier else plain(name).startswith(wanted)

        assert {version.id for version in found} == {
            f"p{n}" for n, name in enumerate(NAMES) if meets(name)
        }, asked


def vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    north, east = math.radians(latitude), math.radians(longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)


degrees = st.floats(-90, 90, allow_nan=False)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(degrees, degrees.map(lambda x: 2 * x)), min_size=3, max_size=8),
    st.lists(st.tuples(degrees, degrees.map(lambda x: 2 * x), st.floats(1, 20100)), max_size=12),
)
def test_near(places: list[tuple[float, float]], asked: list[tuple[float, float, float]]) -> None:
    """Great circles by the angle between vectors, over poles and the date line."""
    with (
        tempfile.TemporaryDirectory(prefix="chartlake-test-") as folder,
        Lake.open(Path(folder) / "lake") as lake,
    ):
        for number, (latitude, longitude) in enumerate(places):
            position = {
                "latitude": Decimal(repr(latitude)),
                "longitude": Decimal(repr(longitude)),
            }
            resource = {"resourceType": "Location", "id": f"l{number}", "position": position}
            lake.transact([Put(resource)])
            if number == 1:
                lake.flush()
        for latitude, longitude, kilometres in asked:
            here = vector(latitude, longitude)
            value = f"{latitude:.15f}|{longitude:.15f}|{kilometres:.9f}|km"
            found = {v.id for v in lake.search("Location", [("near", value)], strict=True).versions}
            for number, place in enumerate(places):
                there = vector(*place)
                cross = [
                    here[a] * there[b] - here[b] * there[a] for a, b in ((1, 2), (2, 0), (0, 1))
                ]
                dot = sum(x * y for x, y in zip(here, there, strict=True))
                distance = 6371.0088 * math.atan2(math.hypot(*cross), dot)
                if abs(distance - kilometres) > 1e-3:
                    assert (f"l{number}" in found) == (distance < kilometres), (value, place)


def test_near_in_other_units_and_at_no_distance(lake: Lake) -> None:
    for id, longitude in (("a", "0"), ("b", "0.4")):
        position = {"latitude": Decimal(0), "longitude": Decimal(longitude)}
        lake.transact([Put({"resourceType": "Location", "id": id, "position": position})])

    def ids(value: str) -> set[str]:
        return {one.id for one in lake.search("Location", [("near", value)]).versions}

    assert ids("0|0") == {"a", "b"} and ids("0|0|1") == ids("0|0|44.4") == {"a"}
    assert ids("0|0|27.7|[mi_i]") == {"a", "b"} == ids("0|0|44500|m") and ids("0|0|27|mi") == {"a"}
    for wrong in (
        "0",
        "91|0",
        "0|181",
        "0|0|x",
        "0|0|-1",
        "0|0|1|parsec",
        "0|0|1|km|2",
        "nan|0",
        "1_0|0",
    ):
        with pytest.raises(FhirError):
            ids(wrong)


def test_words_of_narratives(lake: Lake) -> None:
    texts = {
        "a": "<b>Bone</b> metastases &amp; <i title='liver'>pain</i>",
        "b": "LIVER metastases",
        "c": "Größe of the liver",
    }
    for id, text in texts.items():
        narrative = {"status": "generated", "div": f"<div>{text}</div>"}
        lake.transact([Put({"resourceType": "Condition", "id": id, "text": narrative})])

    def ids(*values: str) -> set[str]:
        params = [("_text", value) for value in values]
        return {one.id for one in lake.search("Condition", params, strict=True).versions}

    assert ids("(bone OR liver) and metastases") == {"a", "b"}
    assert ids("liver") == {"b", "c"} and ids("GROSSE") == {"c"} and ids("liv") == set()
    assert ids("metastases not bone") == {"b"} == ids("metastases", "liver")
    assert ids("bone,the") == {"a", "c"} and ids("NOT (bone or the)") == {"b"}
    assert ids("not not pain") == {"a"}
    for wrong in ("(", "a)", "and", "a or not b", '"a b"', "!", "()", "(" * 30 + "a" + ")" * 30):
        with pytest.raises(FhirError):
            ids(wrong)
    assert special_values.word_clauses(["a or a"]) == [(("a",), False)]


def test_names_by_their_sound(lake: Lake) -> None:
    names = [("r", "Rupert"), ("m", "Meyer"), ("u", "Müller"), ("j", "王")]
    for id, family in names:
        lake.transact([Put({"resourceType": "Patient", "id": id, "name": [{"family": family}]})])

    def ids(value: str) -> set[str]:
        return {one.id for one in lake.search("Patient", [("phonetic", value)]).versions}

    assert ids("Robert") == {"r"} and ids("maier") == {"m"} and ids("Muler") == {"u"}
    assert ids("王") == {"j"} and ids("robert,maier") == {"r", "m"} and ids("robert meyer") == set()


def test_ages(lake: Lake) -> None:
    today = datetime.now(UTC).date()

    def born(years: int, days: int = 0) -> str:
        year = today.year - years
        leap_day = (today.month, today.day) == (2, 29) and year % 4
        day = today.replace(year=year, day=28 if leap_day else today.day)
        return day.fromordinal(day.toordinal() + days).isoformat()

    people: dict[str, dict[str, Any]] = {
        "today": {"birthDate": born(30)},
        "nearly": {"birthDate": born(30, 3)},
        "old": {"birthDate": born(80)},
        "year": {"birthDate": str(today.year - 30)},
        "dead": {"birthDate": born(30), "deceasedBoolean": True},
        "none": {},
    }
    for id, more in people.items():
        lake.transact([Put({"resourceType": "Patient", "id": id, **more})])

    def ids(value: str) -> set[str]:
        return {one.id for one in lake.search("Patient", [("age", value)]).versions}

    assert ids("30") - {"year"} == {"today"} and ids("29") - {"year"} == {"nearly"}
    assert ids("gt30") == {"old"} and ids("ge30") - {"year"} == {"today", "old"}
    assert ids("lt80") == {"today", "nearly", "year"} and ids("le29") - {"year"} == {"nearly"}
    assert ids("ap78") == {"old"} and ids("30,80") >= {"today", "old"}
    with pytest.raises(FhirError):
        ids("30.5")


def test_identifiers_by_their_type(lake: Lake) -> None:
    system = "http://terminology.hl7.org/CodeSystem/v2-0203"

    def identifier(code: str, value: str) -> dict[str, Any]:
        return {"value": value, "type": {"coding": [{"system": system, "code": code}]}}

    for id, own in {
        "a": identifier("MR", "1"),
        "b": identifier("SS", "1"),
        "c": {"value": "1"},
    }.items():
        lake.transact([Put({"resourceType": "Patient", "id": id, "identifier": [own]})])

    def ids(value: str) -> set[str]:
        return {one.id for one in lake.search("Patient", [("identifier:of-type", value)]).versions}

    assert ids(f"{system}|MR|1") == {"a"} and ids(f"{system}|SS|1,{system}|MR|1") == {"a", "b"}
    assert ids(f"{system}|MR|2") == ids("urn:other|MR|1") == set()
    for wrong in ("1", f"{system}|MR", "|MR|1", f"{system}|MR|"):
        with pytest.raises(FhirError):
            ids(wrong)


def test_canonicals_by_their_version(lake: Lake) -> None:
    for id, version in {"a": "|1.2", "b": "|1.2.3", "c": "|1.20", "d": "|1", "e": ""}.items():
        form = {"questionnaire": f"http://example.org/q{version}", "status": "completed"}
        lake.transact([Put({"resourceType": "QuestionnaireResponse", "id": id, **form})])

    def ids(modifier: str, version: str) -> set[str]:
        query = [(f"questionnaire{modifier}", f"http://example.org/q{version}")]
        return {one.id for one in lake.search("QuestionnaireResponse", query).versions}

    assert ids(":below", "|1.2") == {"a", "b"} and ids(":above", "|1.2.3") == {"a", "b", "d"}
    assert ids("", "|1.2") == {"a"} and ids("", "") == set("abcde")
    with pytest.raises(FhirError):
        ids(":below", "")
    with pytest.raises(FhirError, match="has versions or is part of"):
        lake.search("Coverage", [("beneficiary:below", "Patient/1")])


def test_the_part_of_a_multiple_birth(lake: Lake) -> None:
    births: dict[str, dict[str, Any]] = {
        "a": {"multipleBirthBoolean": True},
        "b": {"multipleBirthInteger": 2},
        "c": {"multipleBirthBoolean": False},
        "d": {},
    }
    for id, more in births.items():
        lake.transact([Put({"resourceType": "Patient", "id": id, **more})])

    def ids(name: str, value: str) -> set[str]:
        return {one.id for one in lake.search("Patient", [(name, value)]).versions}

    assert ids("birthOrderBoolean", "true") == {"a", "b"}
    assert ids("birthOrderBoolean", "false") == {"c"}
    assert ids("birthOrderBoolean:missing", "true") == {"d"}


def test_references_to_what_is_part_of_another(lake: Lake) -> None:
    """house > ward > room > bed, and a circle of two that end as well."""
    part_of = {"ward": "house", "room": "ward", "bed": "room", "east": "west", "west": "east"}
    for n, id in enumerate(["house", *part_of]):
        more = {"partOf": {"reference": f"Location/{part_of[id]}"}} if id in part_of else {}
        lake.transact([Put({"resourceType": "Location", "id": id, **more})])
        if n == 3:
            lake.flush()
    for id in ["house", *part_of, "unknown"]:
        where = [{"location": {"reference": f"Location/{id}"}}]
        lake.transact([Put({"resourceType": "Encounter", "id": id, "location": where})])

    def ids(modifier: str, value: str) -> set[str]:
        query = [(f"location:{modifier}", value)]
        return {one.id for one in lake.search("Encounter", query, strict=True).versions}

    assert ids("below", "Location/ward") == {"ward", "room", "bed"} == ids("below", "ward")
    assert ids("above", "room") == {"room", "ward", "house"} and ids("below", "bed") == {"bed"}
    assert ids("below", "east") == {"east", "west"} == ids("above", "west")
    assert ids("below", "bed,west") == {"bed", "east", "west"} and ids("below", "no") == set()
    # It need not be there to be referred to.
    assert ids("below", "unknown") == {"unknown"}
    rooms = lake.search("Location", [("partof:below", "ward")]).versions
    assert {one.id for one in rooms} == {"room", "bed"}
    before = lake.t
    lake.transact([Put({"resourceType": "Location", "id": "room"})])
    assert ids("below", "ward") == {"ward"} and ids("below", "room") == {"room", "bed"}
    query = [("location:below", "ward")]
    assert lake.search("Encounter", query, at=before).total == 3
    for wrong in ("Patient/1", "http://example.org/Location/1", "a b"):
        with pytest.raises(FhirError):
            ids("below", wrong)


_PARAMS = {
    "Observation": ["code", "code:of-type", "code:text", "date", "value-quantity", "subject",
                    "code-value-quantity", "code-value-date", "code-value-string", "_profile:below",
                    "subject:below", "subject:identifier", "_text", "combo-code-value-concept"],
    "Patient": ["name", "name:exact", "phonetic", "age", "birthdate", "identifier:of-type", "_id",
                "_lastUpdated", "birthOrderBoolean", "link:Patient"],
    "Location": ["near", "near:missing"],
    "QuestionnaireResponse": ["questionnaire:below", "questionnaire:above", "questionnaire"],
    "MolecularSequence": ["chromosome-variant-coordinate", "window-end"],
    "DocumentReference": ["relationship"],
}  # fmt: skip
_PIECES = st.lists(
    st.sampled_from([
        *"|$,\\()\"'%_*?;<>=.-+/ #", "ge", "1", "9e999", "-0", "2020-02-30", "T10:00", "null",
        "and", "not", "a", UCUM, "mg", "http://x/y", "Patient/1", "urn:uuid:", "\0", "é",
        "\U0001f600", "1e-9", "99999999999999999999",
    ]),
    max_size=7,
).map("".join)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_asked_is_answered_or_refused(lake: Lake, data: st.DataObject) -> None:
    value = {"value": Decimal(1), "system": UCUM, "code": "mg"}
    lake.transact([Put({"resourceType": "Observation", "id": "o", "valueQuantity": value})])
    for _ in range(20):
        kind = data.draw(st.sampled_from(sorted(_PARAMS)))
        name = data.draw(st.sampled_from(_PARAMS[kind]))
        try:
            lake.search(kind, [(name, data.draw(_PIECES | st.text(max_size=9)))])
        except FhirError as failure:
            assert failure.category in ("value", "not-supported", "invalid"), failure


def test_the_relationship_of_documents_pairs_the_target_with_the_code(lake: Lake) -> None:
    """R4's definition of the composite has the expressions of its components exchanged."""
    related = [
        {"code": "replaces", "target": {"reference": "DocumentReference/old"}},
        {"code": "appends", "target": {"reference": "DocumentReference/other"}},
    ]
    lake.transact([Put({"resourceType": "DocumentReference", "id": "new", "relatesTo": related})])

    def found(value: str) -> list[str]:
        page = lake.search("DocumentReference", [("relationship", value)])
        return [one.id for one in page.versions]

    assert found("DocumentReference/old$replaces") == ["new"]
    assert found("old$replaces") == ["new"]
    assert found("DocumentReference/old$appends") == []


def test_a_reference_to_a_contained_resource_is_not_missing(lake: Lake) -> None:
    medication = {"resourceType": "Medication", "id": "m"}
    request = {"resourceType": "MedicationRequest", "subject": {"reference": "Patient/1"}}
    contained = {"contained": [medication], "medicationReference": {"reference": "#m"}}
    lake.transact([Put({**request, "id": "inside", **contained}), Put({**request, "id": "none"})])

    def found(name: str, value: str) -> list[str]:
        page = lake.search("MedicationRequest", [(name, value)])
        return [one.id for one in page.versions]

    assert found("medication:missing", "true") == ["none"]
    assert found("medication:missing", "false") == ["inside"]
    # It has no address by which it could be asked for.
    assert found("medication", "m") == []
    page = lake.search("MedicationRequest", [("_include", "MedicationRequest:medication")])
    assert page.included == [] and len(page.versions) == 2
    with pytest.raises(FhirError):
        found("medication", "#m")
