"""A cohort is what a naive reading of every resource says, for any small population."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.dates import date_range
from storage.analytics import cohort

from .conftest import START, MemoryLake
from .fhir_samples import condition, medication_request, mention, observation, patient

PATIENTS = ("p0", "p1", "p2", "p3")
DATES = ("2019", "2020-02", "2020-02-29", "2021-03-04T10:00:00Z", None)
ICD = ("E11", "E11.9", "E11.65", "E12", "I10")

owners = st.sampled_from(PATIENTS)
whens = st.sampled_from(DATES)


def _dated(resource: dict[str, Any], key: str, when: str | None) -> dict[str, Any]:
    return resource | ({key: when} if when else {})


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["Patient", "Condition", "Observation", "MedicationRequest"]))
    owner = draw(owners)
    if kind == "Patient":
        found = patient(owner)
        if gender := draw(st.sampled_from(["male", "female", "other", None])):
            found["gender"] = gender
        if born := draw(st.sampled_from(["1960-06-15", "1984-06-16", "1984-06-15", "2000", None])):
            found["birthDate"] = born
        if draw(st.booleans()):
            found["deceasedBoolean"] = draw(st.booleans())
        return found
    id = f"{kind[0].lower()}{draw(st.integers(0, 5))}"
    if kind == "Condition":
        found = condition(
            id, owner, draw(st.sampled_from(ICD)),
            clinical=draw(st.sampled_from(["active", "resolved", None])),
            verification=draw(st.sampled_from(["confirmed", "refuted", "unconfirmed", None])),
        )  # fmt: skip
        if draw(st.booleans()):
            found = mention(found, *draw(st.sets(st.sampled_from(["NEGATED", "HISTORICAL"]))))
        return _dated(found, "onsetDateTime", draw(whens))
    if kind == "Observation":
        return observation(
            id, owner, draw(st.sampled_from([None, 6, 8, Decimal("8.5"), 48, 70])),
            draw(st.sampled_from(["%", "percent", "mmol/mol", "g/dL", None])),
            when=draw(whens),
            status=draw(st.sampled_from(["final", "final", "cancelled", "entered-in-error"])),
            comparator=draw(st.sampled_from([None, None, "<", ">="])),
        )  # fmt: skip
    found = medication_request(
        id, owner, draw(st.sampled_from(["metformin 500 mg", "Metformin", "aspirin"])),
        status=draw(st.sampled_from(["active", "completed", "entered-in-error"])),
    )  # fmt: skip
    return _dated(found, "authoredOn", draw(whens))


def _coded() -> st.SearchStrategy[dict[str, Any]]:
    window = st.fixed_dictionaries(
        {},
        optional={
            "since": st.sampled_from(["2020", "2020-02-29"]),
            "until": st.sampled_from(["2020-12", "2022"]),
            "at_least": st.integers(1, 2),
        },
    )
    code = st.sampled_from(ICD).flatmap(
        lambda c: st.booleans().map(lambda d: {"system": "icd10cm", "code": c, "descendants": d})
    )
    conditions = st.builds(
        lambda codes, more, w: {"condition": {"codes": codes} | more | w},
        st.lists(code, min_size=1, max_size=2),
        st.fixed_dictionaries(
            {},
            optional={
                "clinical_status": st.sampled_from(["active", "any", "resolved"]),
                "source": st.sampled_from(["any", "nlp", "structured"]),
                "verification": st.sampled_from(["any", "confirmed"]),
            },
        ),
        window,
    )
    medications = st.builds(
        lambda status, w: {"medication": {"text": "metformin", "status": status} | w},
        st.sampled_from(["on", "any", "completed"]),
        window,
    )
    bounds = st.fixed_dictionaries(
        {"unit": st.sampled_from(["%", "mmol/mol"])},
        optional={"gt": st.sampled_from([6, 8, 8.5, 48]), "le": st.sampled_from([8, 8.6, 70])},
    ).filter(lambda value: len(value) > 1)
    observations = st.builds(
        lambda select, value, w: {
            "observation": {"codes": ["loinc|4548-4"], "select": select, "value": value}
            | {k: x for k, x in w.items() if k != "at_least" or select == "any"}
        },
        st.sampled_from(["any", "latest", "first", "min", "max"]),
        bounds,
        window,
    )
    return st.one_of(conditions, medications, observations)


leaves = st.one_of(
    _coded(),
    st.sampled_from([{"age": {"min": 40}}, {"age": {"max": 40}}, {"age": {"min": 24, "max": 64}}]),
    st.sampled_from([{"gender": "female"}, {"gender": ["male", "unknown"]}]),
    st.booleans().map(lambda value: {"deceased": value}),
)
criteria = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(lambda items: {"any_of": items}),
        st.lists(inner, min_size=1, max_size=2).map(lambda items: {"all_of": items}),
        inner.map(lambda item: {"not": item}),
    ),
    max_leaves=4,
)
commits = st.lists(
    st.tuples(st.lists(resources(), min_size=1, max_size=6), st.booleans()), max_size=4
)


class Oracle:
    """Reads the definition literally, one patient at a time. True, False, or None: unknown."""

    def __init__(self, current: list[dict[str, Any]], today: dt.date) -> None:
        self.current = current
        self.today = today

    def holds(self, criterion: dict[str, Any], who: dict[str, Any]) -> bool | None:
        ((kind, asked),) = criterion.items()
        if kind == "not":
            held = self.holds(asked, who)
            return None if held is None else not held
        if kind in ("any_of", "all_of"):
            held_all = [self.holds(item, who) for item in asked]
            decisive = kind == "any_of"
            if decisive in held_all:
                return decisive
            return None if None in held_all else not decisive
        if kind == "age":
            age = self._age(who)
            if age is None:
                return None
            return asked.get("min", 0) <= age <= asked.get("max", 999)
        if kind == "gender":
            allowed = asked if isinstance(asked, list) else [asked]
            return who.get("gender", "unknown") in allowed
        if kind == "deceased":
            return bool(who.get("deceasedBoolean", False)) == asked
        return self._coded(kind, asked, who["id"])

    def _age(self, who: dict[str, Any]) -> int | None:
        if "birthDate" not in who:
            return None
        born = dt.date.fromisoformat((who["birthDate"] + "-01-01")[:10])
        before = (self.today.month, self.today.day) < (born.month, born.day)
        return self.today.year - born.year - before

    def _coded(self, kind: str, asked: dict[str, Any], owner: str) -> bool:
        types = {"condition": "Condition", "observation": "Observation",
                 "medication": "MedicationRequest"}  # fmt: skip
        mine = [
            r
            for r in self.current
            if r["resourceType"] == types[kind]
            and r["subject"]["reference"] == f"Patient/{owner}"
            and getattr(self, f"_is_{kind}")(asked, r)
            and self._in_window(asked, r)
        ]
        if kind == "observation":
            mine = self._valued(asked, mine)
        return len(mine) >= asked.get("at_least", 1)

    @staticmethod
    def _when(r: dict[str, Any]) -> int | None:
        text = r.get("onsetDateTime") or r.get("effectiveDateTime") or r.get("authoredOn")
        return date_range(text)[0] if text else None

    def _in_window(self, asked: dict[str, Any], r: dict[str, Any]) -> bool:
        when = self._when(r)
        if "since" in asked and (when is None or when < date_range(asked["since"])[0]):
            return False
        return "until" not in asked or (when is not None and when < date_range(asked["until"])[1])

    @staticmethod
    def _is_condition(asked: dict[str, Any], r: dict[str, Any]) -> bool:
        code = r["code"]["coding"][0]["code"]
        coded = any(
            code == c["code"] or (c["descendants"] and code.startswith(c["code"]))
            for c in asked["codes"]
        )

        def status(key: str) -> str | None:
            return r[key]["coding"][0]["code"] if key in r else None

        clinical = asked.get("clinical_status", "active")
        right_status = (
            clinical == "any"
            or status("clinicalStatus") == clinical
            or (clinical == "active" and status("clinicalStatus") is None)
        )
        traits = [
            part["valueCode"]
            for e in r.get("extension", [])
            for part in e["extension"]
            if part["url"] == "trait"
        ]
        source = "nlp" if "meta" in r else "structured"
        sure = asked.get("verification") != "confirmed" or status("verificationStatus") in (
            "confirmed", None,
        )  # fmt: skip
        return (
            coded
            and right_status
            and sure
            and status("verificationStatus") != "refuted"
            and "NEGATED" not in traits
            and asked.get("source", "any") in ("any", source)
        )

    @staticmethod
    def _is_medication(asked: dict[str, Any], r: dict[str, Any]) -> bool:
        allowed = {"on": ["active"], "any": ["active", "completed"], "completed": ["completed"]}
        said = r["medicationCodeableConcept"]["text"].lower()
        return "metformin" in said and r["status"] in allowed[asked["status"]]

    @staticmethod
    def _is_observation(asked: dict[str, Any], r: dict[str, Any]) -> bool:
        return r["status"] == "final"

    def _valued(self, asked: dict[str, Any], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        comparable = [(self._number(asked["value"]["unit"], r), r) for r in found]
        usable = [(n, r) for n, r in comparable if n is not None]

        def latest(pair: tuple[float, dict[str, Any]]) -> tuple[float, str]:
            when = self._when(pair[1])
            return (float("-inf") if when is None else when, pair[1]["id"])

        def first(pair: tuple[float, dict[str, Any]]) -> tuple[float, str]:
            when = self._when(pair[1])
            return (float("inf") if when is None else when, pair[1]["id"])

        if usable and asked["select"] != "any":
            usable = sorted(usable, key=latest, reverse=True)  # stable: ties go to the latest
            pick: Callable[..., Any] = {
                "latest": lambda: max(usable, key=latest),
                "first": lambda: min(usable, key=first),
                "min": lambda: min(usable, key=lambda pair: pair[0]),
                "max": lambda: max(usable, key=lambda pair: pair[0]),
            }[asked["select"]]
            usable = [pick()]
        return [r for n, r in usable if self._within(asked["value"], n, r)]

    @staticmethod
    def _number(unit: str, r: dict[str, Any]) -> float | None:
        quantity = r.get("valueQuantity", {})
        if "value" not in quantity:
            return None
        number = float(quantity["value"])
        spelt = {"%": "%", "percent": "%", "mmol/mol": "mmol/mol"}.get(quantity.get("unit"))
        if spelt == unit:
            return number
        if spelt == "mmol/mol":
            return round(0.09148 * number + 2.152, 1)
        return float(round((number - 2.152) / 0.09148)) if spelt == "%" else None

    @staticmethod
    def _within(value: dict[str, Any], number: float, r: dict[str, Any]) -> bool:
        comparator = r["valueQuantity"].get("comparator")
        above = "gt" not in value or (number > value["gt"] and comparator in (None, ">="))
        below = "le" not in value or (number <= value["le"] and comparator in (None, "<"))
        return above and below


@pytest.mark.slow
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    commits=commits,
    include=st.lists(criteria, max_size=3),
    exclude=st.lists(criteria, max_size=2),
    back=st.integers(0, 2),
)
def test_cohort_is_what_a_naive_reading_says(
    make_lake: Callable[[], MemoryLake],
    commits: list[tuple[list[dict[str, Any]], bool]],
    include: list[dict[str, Any]],
    exclude: list[dict[str, Any]],
    back: int,
) -> None:
    if not include and not exclude:
        include = [{"deceased": False}]
    lake = make_lake()
    history: list[dict[str, dict[str, Any]]] = [{}]
    for batch, flush in commits:
        unique = {f"{r['resourceType']}/{r['id']}": r for r in batch}
        lake.commit(*unique.values())
        history.append(history[-1] | unique)
        if flush:
            lake.flush()
    t = max(0, lake.t - back)
    current = list(history[t].values())
    oracle = Oracle(current, (START + dt.timedelta(minutes=t)).date())
    left = [r for r in current if r["resourceType"] == "Patient"]
    attrition = [len(left)]
    for criterion in include:
        left = [who for who in left if oracle.holds(criterion, who) is True]
        attrition.append(len(left))
    for criterion in exclude:
        left = [who for who in left if oracle.holds(criterion, who) is not True]
        attrition.append(len(left))

    result = cohort.run(lake.at(t), {"name": "any", "include": include, "exclude": exclude})

    assert [m["patient_id"] for m in result.members] == sorted(who["id"] for who in left)
    assert [step["count"] for step in result.attrition] == attrition
    assert result.t == t
