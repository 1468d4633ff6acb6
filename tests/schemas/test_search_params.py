"""R4's search parameters. https://hl7.org/fhir/R4/searchparameter-registry.html"""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.search_params import COMPOSITES, UNSUPPORTED, param_branches, search_params
from schemas.structure import RESOURCE_TYPES, load_definitions


def test_the_parameters_of_a_type() -> None:
    params = search_params("Observation")
    assert params["code"].type == "token"
    assert params["value-quantity"].type == "quantity"
    assert set(params["encounter"].targets) == {"Encounter", "EpisodeOfCare"}
    assert {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"} <= set(params)
    assert "gender" not in params
    assert search_params("Nothing") == {}
    with pytest.raises(TypeError):
        params["x"] = params["code"]  # type: ignore[index]


@pytest.mark.parametrize("resource_type", sorted(RESOURCE_TYPES))
def test_every_type_can_be_searched_by_tag_and_every_parameter_finds_something(
    resource_type: str,
) -> None:
    params = search_params(resource_type)
    assert "_tag" in params
    for code in params:
        assert param_branches(resource_type, code)


def test_what_is_unsupported_is_told_with_its_reason() -> None:
    # Of each type the same two: no parameter of one type alone is left out.
    assert Counter(one.code for one in UNSUPPORTED) == dict.fromkeys(
        ("_content", "_query"), len(RESOURCE_TYPES)
    )
    for one in UNSUPPORTED:
        assert one.reason and one.code not in search_params(one.base)


def test_composites_know_their_parts_and_whose_values_they_have() -> None:
    params = search_params("Observation")
    assert params["code-value-quantity"].kind == "token$quantity"
    assert params["code-value-quantity"].indexed_as == ()
    assert params["combo-code-value-quantity"].indexed_as == (
        "code-value-quantity",
        "component-code-value-quantity",
    )
    sequence = search_params("MolecularSequence")["chromosome-variant-coordinate"]
    assert sequence.kind == "token$number$number"
    assert {one.kind for kind in RESOURCE_TYPES for one in search_params(kind).values()} == {
        "token", "date", "string", "number", "quantity", "reference", "uri",
        "position", "words", "phonetic", "age", *COMPOSITES,
    }  # fmt: skip


def test_every_expression_is_compiled() -> None:
    described = load_definitions("search_parameters.json.gz")
    supported = {param.url for kind in RESOURCE_TYPES for param in search_params(kind).values()}
    told = {one.url for one in UNSUPPORTED} | {"http://hl7.org/fhir/SearchParameter/filter"}
    assert {one["url"] for one in described} - supported == told
    assert len(supported) > 1380
