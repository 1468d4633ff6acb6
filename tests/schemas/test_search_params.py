"""R4's search parameters. https://hl7.org/fhir/R4/searchparameter-registry.html"""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.search_params import UNSUPPORTED, param_branches, search_params
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
    by_kind = Counter(one.type for one in UNSUPPORTED)
    assert by_kind["composite"] > 40 and by_kind["special"] > 1
    assert ("Patient", "phonetic") in {(one.base, one.code) for one in UNSUPPORTED}
    for one in UNSUPPORTED:
        assert one.reason and one.code not in search_params(one.base)


def test_nearly_every_expression_is_compiled() -> None:
    described = load_definitions("search_parameters.json.gz")
    evaluable = {
        one["url"]
        for one in described
        if one["expression"] and one["type"] not in ("composite", "special")
    }
    supported = {param.url for kind in RESOURCE_TYPES for param in search_params(kind).values()}
    failed = {one.url for one in UNSUPPORTED} & evaluable
    # Names are not matched by their sound: Patient-, Practitioner-, Person-, RelatedPerson-…
    assert all("phonetic" in url for url in failed)
    assert len(evaluable) > 1200
    assert len(evaluable & supported) / len(evaluable) >= 0.99
