"""The JSON of a mention."""

from decimal import Decimal

from nlp import Attribute, Concept, Mention
from nlp.mention import plain_json


def test_plain_json_turns_decimals_into_numbers() -> None:
    assert plain_json({"a": Decimal("1.5"), "b": [Decimal(2)]}) == {"a": 1.5, "b": [2]}


def test_to_dict_has_the_keys_of_the_api() -> None:
    mention = Mention(
        text="HbA1c",
        begin=0,
        end=5,
        category="TEST",
        type="LAB",
        traits=("HISTORICAL",),
        attributes=(Attribute("TEST_VALUE", "8.4", 6, 9, 1.0, {"value": Decimal("8.4")}),),
        concepts=(Concept("http://loinc.org", "4548-4", "hemoglobin A1c", 1.0, "r"),),
        section="laboratory",
    )
    assert mention.to_dict() == {
        "text": "HbA1c",
        "span": [0, 5],
        "category": "TEST",
        "type": "LAB",
        "score": 1.0,
        "traits": ["HISTORICAL"],
        "attributes": [
            {
                "type": "TEST_VALUE",
                "text": "8.4",
                "span": [6, 9],
                "score": 1.0,
                "value": {"value": 8.4},
            }
        ],
        "concepts": [
            {
                "system": "http://loinc.org",
                "code": "4548-4",
                "display": "hemoglobin A1c",
                "score": 1.0,
                "release": "r",
            }
        ],
        "section": "laboratory",
    }
