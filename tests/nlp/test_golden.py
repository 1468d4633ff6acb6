"""Notes with what must be found in them. `golden/regenerate.py` rewrites the expected facts."""

import json
from pathlib import Path
from typing import Any

import pytest

from nlp import Annotator, Mention

GOLDEN = Path(__file__).parent / "golden"
_UNCHECKED = frozenset(("SIG", "FORM"))


def facts(mention: Mention) -> dict[str, Any]:
    attributes: dict[str, list[str]] = {}
    for attribute in mention.attributes:
        if attribute.type not in _UNCHECKED:
            value = attribute.text
            if attribute.type == "STATUS":
                value = attribute.value["status"]
            if attribute.type == "RELATION":
                value = attribute.value["code"]
            attributes.setdefault(attribute.type, []).append(value)
    return {
        "text": mention.text,
        "category": mention.category,
        "traits": list(mention.traits),
        "codes": [concept.code for concept in mention.concepts],
        "attributes": attributes,
    }


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_golden_note(annotator: Annotator, path: Path) -> None:
    text = path.read_bytes().decode("utf-8")
    found = [facts(m) for m in annotator.annotate(text) if m.category != "ANATOMY"]
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert found == expected


def test_there_are_at_least_fifteen_golden_notes() -> None:
    assert len(list(GOLDEN.glob("*.txt"))) >= 15
