"""Rewrite the golden `.json` files from the pipeline: run by hand, review the diff.

python tests/nlp/golden/regenerate.py
"""

import json
from pathlib import Path
from typing import Any

from nlp import Annotator, Mention

HERE = Path(__file__).parent
_UNCHECKED = frozenset(("SIG", "FORM"))


def facts(mention: Mention) -> dict[str, Any]:
    """The key facts of a mention."""
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


def main() -> None:
    """Write one `.json` beside each `.txt`; body sites are left out."""
    annotator = Annotator.load()
    for path in sorted(HERE.glob("*.txt")):
        text = path.read_bytes().decode("utf-8")
        found = [facts(m) for m in annotator.annotate(text) if m.category != "ANATOMY"]
        lines = ",\n ".join(json.dumps(fact, ensure_ascii=False) for fact in found)
        path.with_suffix(".json").write_text(f"[{lines}]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
