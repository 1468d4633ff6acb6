"""References that lead somewhere: the policy `reference_integrity` of a datastore.

With `existing`, a literal reference to a resource of this datastore has to lead to one that is
there, or that the same transaction stores; and a resource that others refer to is not deleted.
Both still hold when it is committed: what was seen is guarded (`storage.recent_versions`).

Not looked at: absolute URLs, `urn:`s, conditional references, those to contained resources,
references by identifier, canonicals, and what is within a Bundle or Parameters stored as such.
Who refers to a resource is found by R4's search parameters, so a reference in an element without
one (an extension) does not keep its target from being deleted. What was found in notes by the NLP
follows its note, and keeps nothing.
https://hl7.org/fhir/R4/http.html#delete, https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.codes import is_nlp_derived
from schemas.ids import iter_references, parse_reference
from schemas.outcomes import Issue, error
from schemas.search_params import search_params
from schemas.structure import RESOURCE_TYPES
from storage import audit_trail
from storage.lake import Guard, Lake

Resource = dict[str, Any]
Key = tuple[str, str]

OFF, EXISTING = "off", "existing"

# What is in them refers to what else is in them, or wherever they came from.
_OWN_CONTEXT = frozenset({"Bundle", "Parameters"})
# Who refers to a resource that is to be deleted is looked through so far.
_REFERRING_LIMIT = 1_000


@dataclass
class ReferenceIntegrity:
    """Checks the references of one attempt to change a lake, as of commit `t`.

    `guards`: of what was seen; the commit needs them.
    """

    lake: Lake
    t: int
    guards: list[Guard] = field(default_factory=list)
    _known: dict[Key, bool] = field(default_factory=dict)

    def missing(
        self, resource: Resource, prefix: str, stored: Container[Key], gone: Container[Key]
    ) -> list[Issue]:
        """An issue for each reference that leads nowhere.

        `stored` and `gone`: what the same transaction stores and deletes. `prefix`: where the
        resource stands (`Bundle.entry[3].resource.`).
        """
        if resource.get("resourceType") in _OWN_CONTEXT:
            return []
        found = []
        for expression, holder in iter_references(resource):
            key = _target(holder["reference"])
            if key is None or key in stored or (key not in gone and self._is_there(key)):
                continue
            place = f"{prefix}{expression.partition('.')[2]}" if prefix else expression
            text = f"{place}.reference leads to {key[0]}/{key[1]}, which is not here"
            found.append(Issue("error", "not-found", f"{text}.", (f"{place}.reference",)))
        return found

    def check_deletion(self, key: Key, changed: Container[Key], place: str) -> None:
        """Refuse (`conflict`, 409) to delete what others refer to.

        `changed`: what the same transaction stores or deletes. `place`: of the request.
        """
        for referring, param in self._referring(key):
            if referring not in changed:
                kind, id = referring
                raise error(
                    "conflict",
                    f"{key[0]}/{key[1]} is referred to by {kind}/{id} ({param}), and perhaps by "
                    "others: delete those first, or all of them in one transaction.",
                    place,
                )

    def _is_there(self, key: Key) -> bool:
        known = self._known.get(key)
        if known is None:
            guard = self.lake.standing(*key, at=self.t)
            known = self._known[key] = guard is not None
            if guard is not None:
                self.guards.append(guard)
        return known

    def _referring(self, key: Key) -> Iterator[tuple[Key, str]]:
        """Who refers to a resource, and by which search parameter."""
        value = f"{key[0]}/{key[1]}"
        for kind in sorted(RESOURCE_TYPES - _OWN_CONTEXT):
            for code, param in search_params(kind).items():
                if param.type != "reference" or (param.targets and key[0] not in param.targets):
                    continue
                with audit_trail.unobserved():  # Nothing of it is given out but an id.
                    found = self.lake.find(kind, [(code, value)], limit=_REFERRING_LIMIT)
                self.guards.append(found.guard)
                for version in found.versions:
                    if not is_nlp_derived(version.resource()):
                        yield (kind, version.id), code
                if len(found.versions) >= _REFERRING_LIMIT:
                    raise error(
                        "conflict",
                        f"Over {_REFERRING_LIMIT:,} resources {kind} refer to {value} ({code}).",
                    )


def _target(text: str) -> Key | None:
    """The resource of this datastore that a literal reference names."""
    parsed = parse_reference(text)
    if parsed.kind != "relative" or parsed.resource_type is None or parsed.id is None:
        return None
    return parsed.resource_type, parsed.id
