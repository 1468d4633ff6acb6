"""What marks a resource as read from a note: its tag, its source, and the mention's extension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas import codes


@dataclass(frozen=True)
class NlpMark:
    """The note it was read from (`DocumentReference/id`), how surely (0 to 1), how meant."""

    note: str | None
    score: float | None
    traits: tuple[str, ...]


def nlp_mark(resource: dict[str, Any]) -> NlpMark | None:
    """The mark of a resource that the NLP derived, None for one that was sent to the lake.

    The note is the one that the mention's extension names, else `meta.source`.
    """
    if not codes.is_nlp_derived(resource):
        return None
    note = resource["meta"].get("source")
    scores: list[float] = []
    traits: list[list[str]] = []
    for extension in resource.get("extension") or []:
        if extension.get("url") != codes.NLP_MENTION:
            continue
        meant: list[str] = []
        for part in extension.get("extension") or []:
            match part.get("url"):
                case "source":
                    note = (part.get("valueReference") or {}).get("reference") or note
                case "score" if "valueDecimal" in part:
                    scores.append(float(part["valueDecimal"]))
                case "trait":
                    meant.append(str(part.get("valueCode")))
        traits.append(meant)
    # Said more than once, it is negated only if it is negated wherever it is said.
    common = tuple(
        trait
        for trait in dict.fromkeys(trait for meant in traits for trait in meant)
        if all(trait in meant for meant in traits)
    )
    return NlpMark(_logical(note), max(scores, default=None), common)


def _logical(reference: object) -> str | None:
    """`DocumentReference/id` of `DocumentReference/id/_history/version`."""
    return reference.split("/_history/")[0] if isinstance(reference, str) else None
