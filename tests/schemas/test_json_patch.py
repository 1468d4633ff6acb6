"""JSON Patch: RFC 6902 with its test suite, and against a naive implementation."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import json_patch
from schemas.json_patch import apply_json_patch, read_json_patch, same_json
from schemas.outcomes import FhirError
from schemas.parse import canonical_bytes, parse_json

SUITE = Path(__file__).parent / "json_patch"
CASES = [
    case
    for name in ("spec_tests.json", "tests.json")
    for case in json.loads((SUITE / name).read_text("utf-8"))
    if not case.get("disabled") and "doc" in case
]


def patched(document: Any, patch: Any) -> Any:
    return apply_json_patch(copy.deepcopy(document), read_json_patch(patch))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("comment", "")[:60])
def test_official_suite(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(FhirError):
            patched(case["doc"], case["patch"])
    else:
        expected = case.get("expected", case["doc"])
        assert same_json(patched(case["doc"], case["patch"]), expected)


def test_the_suite_is_there() -> None:
    assert len(CASES) > 85


@pytest.mark.parametrize(
    ("patch", "category", "place"),
    [
        ({}, "invalid", "patch"),
        (["x"], "invalid", "patch[0]"),
        ([{"op": "spam", "path": "/a"}], "invalid", "patch[0].op"),
        ([{"op": "add", "path": "/a"}], "invalid", "patch[0].value"),
        ([{"op": "add", "value": 1}], "invalid", "patch[0].path"),
        ([{"op": "add", "path": "a", "value": 1}], "invalid", "patch[0].path"),
        ([{"op": "add", "path": "/a~2", "value": 1}], "invalid", "patch[0].path"),
        ([{"op": "move", "from": "/a", "path": "/a/b"}], "invalid", "patch[0].path"),
        ([{"op": "copy", "path": "/b"}], "invalid", "patch[0].from"),
        ([{"op": "remove", "path": "/nothing"}], "unprocessable", "patch[0].path"),
        ([{"op": "replace", "path": "/nothing", "value": 1}], "unprocessable", "patch[0].path"),
        ([{"op": "move", "from": "/nothing", "path": "/b"}], "unprocessable", "patch[0].from"),
        ([{"op": "test", "path": "/a", "value": 2}], "unprocessable", "patch[0].path"),
        ([{"op": "add", "path": "/list/01", "value": 1}], "unprocessable", "patch[0].path"),
        ([{"op": "remove", "path": "/list/-"}], "unprocessable", "patch[0].path"),
        ([{"op": "remove", "path": ""}], "unprocessable", "patch[0].path"),
    ],
)
def test_what_is_refused_names_its_place(patch: Any, category: str, place: str) -> None:
    with pytest.raises(FhirError) as refused:
        patched({"a": 1, "list": [1]}, patch)
    assert refused.value.category == category
    assert refused.value.issues[0].expression == (place,)


def test_decimals_keep_their_digits() -> None:
    document = parse_json(b'{"value":1.50}')
    patch = parse_json(
        b'[{"op":"test","path":"/value","value":1.5},{"op":"copy","from":"/value","path":"/other"},'
        b'{"op":"add","path":"/third","value":2.00}]'
    )
    assert canonical_bytes(patched(document, patch)) == b'{"value":1.50,"other":1.50,"third":2.00}'


def test_true_is_not_one() -> None:
    assert not same_json(True, 1)
    assert same_json(1, Decimal("1.0"))
    assert not same_json({"a": 1}, {"a": True})


def test_values_put_in_are_of_their_own() -> None:
    patch = read_json_patch(
        [
            {"op": "add", "path": "/a", "value": {"x": []}},
            {"op": "copy", "from": "/a", "path": "/b"},
            {"op": "add", "path": "/a/x/-", "value": 1},
        ]
    )
    assert apply_json_patch({}, patch) == {"a": {"x": [1]}, "b": {"x": []}}
    # The patch itself is as it was: it may be applied again.
    assert apply_json_patch({}, patch) == {"a": {"x": [1]}, "b": {"x": []}}


def test_copies_that_double_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_patch, "MAX_COPIED_BYTES", 100_000)
    doubling = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40
    with pytest.raises(FhirError) as refused:
        patched({"a": [1, "x" * 100]}, doubling)
    assert refused.value.category == "too-large"


# A naive implementation, written from the RFC's text with none of the code under test.

_KEYS = st.sampled_from(["a", "b", "a/b", "m~n", "", "0"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_POINTERS = st.lists(
    st.sampled_from(["a", "b", "a~1b", "m~0n", "", "0", "1", "2", "-"]), max_size=3
).map(lambda tokens: "".join(f"/{token}" for token in tokens))
_OPERATIONS = st.one_of(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace", "test"]), "path": _POINTERS, "value": _VALUES}
    ),
    st.fixed_dictionaries({"op": st.just("remove"), "path": _POINTERS}),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["move", "copy"]), "path": _POINTERS, "from": _POINTERS}
    ),
)


class NaiveError(Exception):
    pass


def naive(document: Any, patch: list[dict[str, Any]]) -> Any:
    document = [copy.deepcopy(document)]  # The whole document is item 0 of a list.
    for one in patch:
        path = _naive_tokens(one["path"])
        if one["op"] in ("add", "replace", "test"):
            value = copy.deepcopy(one["value"])
        elif one["op"] in ("move", "copy"):
            source = _naive_tokens(one["from"])
            if one["op"] == "move" and source == path[: len(source)] and source != path:
                raise NaiveError
            value = copy.deepcopy(_naive_get(document, source))
        if one["op"] == "move":
            if source == path:
                continue
            _naive_remove(document, source)
        if one["op"] == "remove":
            _naive_remove(document, path)
        elif one["op"] == "test":
            if json.dumps(_naive_get(document, path), sort_keys=True) != json.dumps(
                value, sort_keys=True
            ):
                raise NaiveError
        elif one["op"] == "replace":
            _naive_get(document, path)
            holder, last = _naive_get(document, path[:-1]) if len(path) > 1 else document, path[-1]
            holder[int(last) if isinstance(holder, list) else last] = value
        else:
            if path == ["0"]:
                document[0] = value
                continue
            holder, last = _naive_get(document, path[:-1]), path[-1]
            if isinstance(holder, dict):
                holder[last] = value
            elif isinstance(holder, list):
                if last == "-":
                    holder.append(value)
                elif last.isdigit() and int(last) <= len(holder):
                    holder.insert(int(last), value)
                else:
                    raise NaiveError
            else:
                raise NaiveError
    return document[0]


def _naive_tokens(pointer: str) -> list[str]:
    return ["0", *(t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:])]


def _naive_get(document: Any, path: list[str]) -> Any:
    for token in path:
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list) and token.isdigit() and int(token) < len(document):
            document = document[int(token)]
        else:
            raise NaiveError
    return document


def _naive_remove(document: Any, path: list[str]) -> None:
    if path == ["0"]:
        raise NaiveError  # No resource would be left.
    _naive_get(document, path)
    holder = _naive_get(document, path[:-1])
    del holder[int(path[-1]) if isinstance(holder, list) else path[-1]]


@given(_VALUES, st.lists(_OPERATIONS, max_size=4))
def test_against_a_naive_implementation(document: Any, patch: list[dict[str, Any]]) -> None:
    try:
        expected = naive(document, patch)
    except NaiveError:
        with pytest.raises(FhirError):
            patched(document, patch)
        return
    assert json.dumps(patched(document, patch)) == json.dumps(expected)
