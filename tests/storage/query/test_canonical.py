"""Canonical references in chains, `_has` and includes: by URL, and by the version they say."""

from __future__ import annotations

from typing import Any

import pytest

from storage.lake import Lake, Put

URL = "http://forms.org/q"


@pytest.fixture(params=[False, True], ids=["hot", "flushed"])
def forms(lake: Lake, request: pytest.FixtureRequest) -> Lake:
    """Three Questionnaires, two of them versions of one, and answers to them."""

    def form(id: str, url: str, title: str, version: str | None = None) -> dict[str, Any]:
        made = {"resourceType": "Questionnaire", "id": id, "status": "active", "url": url}
        return {**made, "title": title, **({"version": version} if version else {})}

    def answer(id: str, canonical: str) -> dict[str, Any]:
        made = {"resourceType": "QuestionnaireResponse", "id": id, "status": "completed"}
        return {**made, "questionnaire": canonical}

    lake.transact(
        [
            Put(form("q1", URL, "Falls", "1")),
            Put(form("q2", URL, "Falls again", "2")),
            Put(form("other", URL + "x", "Sleep")),
            Put(answer("any", URL)),
            Put(answer("one", URL + "|1")),
            Put(answer("two", URL + "|2")),
            Put(answer("gone", URL + "|3")),
            Put(answer("sleep", URL + "x")),
        ]
    )
    if request.param:
        lake.flush()
    return lake


def ids(lake: Lake, kind: str, *params: tuple[str, str]) -> str:
    return " ".join(sorted(v.id for v in lake.search(kind, params, strict=True).versions))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("questionnaire.title", "falls again", "any two"),
        ("questionnaire.title", "falls", "any one two"),
        ("questionnaire:Questionnaire.title:exact", "Falls", "any one"),
        ("questionnaire.title", "sleep", "sleep"),
        ("questionnaire.version", "1", "any one"),
    ],
)
def test_chains(forms: Lake, name: str, value: str, expected: str) -> None:
    assert ids(forms, "QuestionnaireResponse", (name, value)) == expected


def test_has(forms: Lake) -> None:
    has = "_has:QuestionnaireResponse:questionnaire:_id"
    for answer, expected in (
        ("any", "q1 q2"), ("one", "q1"), ("two", "q2"), ("gone", ""), ("sleep", "other"),
        ("one,sleep", "other q1"),
    ):  # fmt: skip
        assert ids(forms, "Questionnaire", (has, answer)) == expected, answer


def test_includes(forms: Lake) -> None:
    for answer, expected in (
        ("any", ["q1", "q2"]), ("one", ["q1"]), ("two", ["q2"]), ("gone", []), ("sleep", ["other"]),
    ):  # fmt: skip
        include = ("_include", "QuestionnaireResponse:questionnaire")
        page = forms.search("QuestionnaireResponse", [("_id", answer), include])
        assert sorted(version.id for version in page.included) == expected, answer
    for form, expected in (("q1", ["any", "one"]), ("q2", ["any", "two"]), ("other", ["sleep"])):
        include = ("_revinclude", "QuestionnaireResponse:questionnaire")
        page = forms.search("Questionnaire", [("_id", form), include])
        assert sorted(version.id for version in page.included) == expected, form
