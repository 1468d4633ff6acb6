"""What a document is made of: a Composition, and everything that it refers to, directly or not.

https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.ids import iter_references, parse_reference
from schemas.outcomes import FhirError, Issue, error
from storage.reading import present
from storage.versions import Version

if TYPE_CHECKING:
    from storage.lake_at import LakeAt

Key = tuple[str, str]

MAX_RESOURCES = 10_000


@dataclass
class Document:
    """`versions`: the Composition, then what it refers to, in the order of the references.

    `beyond`: how many references of the other resources lead to other servers, nowhere, or to
    another patient.
    """

    versions: list[Version] = field(default_factory=list)
    beyond: int = 0


def document(view: LakeAt, id: str) -> Document:
    """The document of a Composition.

    What the Composition itself refers to has to be in it (R4 documents.html#content). Raises
    FhirError: `not-found`, `deleted`; `unprocessable`, naming each place, when some of that is on
    another server, deleted, of another patient, or was never there; `too-large`.
    """
    first = view.read("Composition", id)
    made = Document([first])
    own = {key for _, key in _local(first) if key is not None and key[0] == "Patient"}
    seen = {("Composition", id)}
    missing = []
    for version in made.versions:  # Grows as it goes.
        for place, key in _local(version):
            if key in seen:
                continue
            target = None if key is None or _is_other(key, own) else present(view.read, *key)
            if target is not None and key is not None:
                seen.add(key)
                made.versions.append(target)
                if len(made.versions) > MAX_RESOURCES:
                    text = f"The document would have more than {MAX_RESOURCES:,} resources."
                    raise error("too-large", text, "Composition")
            elif version is first:
                missing.append(place)
            else:
                made.beyond += 1
    if missing:
        raise FhirError("unprocessable", [_incomplete(place) for place in missing])
    return made


def _local(version: Version) -> Iterator[tuple[str, Key | None]]:
    """The references of a resource but those to contained ones; None for one that leads away."""
    for place, holder in iter_references(version.resource()):
        parsed = parse_reference(holder["reference"])
        if parsed.kind == "contained":
            continue
        if parsed.kind == "relative" and parsed.resource_type and parsed.id:
            yield place, (parsed.resource_type, parsed.id)
        else:
            yield place, None


def _is_other(key: Key, own: set[Key]) -> bool:
    """Another patient than those whom the Composition itself names."""
    return key[0] == "Patient" and key not in own


def _incomplete(place: str) -> Issue:
    text = (
        f"{place} refers to what is not here (on another server, deleted, or never stored); a "
        "document has everything that its Composition refers to."
    )
    return Issue("error", "not-found", text, (place,))
