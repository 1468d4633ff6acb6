"""References inside a transaction: `urn:uuid:` rewritten, conditional references resolved.

R4 http.html#trules. A conditional reference that matches several resources is always refused. One
that matches none is refused too, except to administrative types (`ADMINISTRATIVE`), which by policy
become a reference by identifier: nothing is lost and no patient can be mistaken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from schemas.ids import iter_references, parse_reference
from schemas.outcomes import FhirError, Issue, error
from service.bundle_entries import located
from storage.lake import Lake

Resource = dict[str, Any]

ADMINISTRATIVE = frozenset({"Practitioner", "PractitionerRole", "Organization", "Location"})
# Elements that may hold the text of a fullUrl without referring to the entry: Identifier.value and
# Coding.system among them. All others that equal a fullUrl are references, URIs or canonicals.
_NEVER_REFERENCES = frozenset({"id", "value", "valueString", "system", "display", "text"})


def rewrite(node: Any, targets: Mapping[str, str]) -> None:
    """Replace, in place, each reference or URI within `node` that is a key of `targets`.

    Narrative links (`div`) are rewritten as well; identifiers and other strings are left alone.
    """
    for key, value in node.items():
        if type(value) is str:
            if key == "div":
                if "urn:uuid:" in value:
                    for old, new in targets.items():
                        value = value.replace(f'"{old}"', f'"{new}"')
                    node[key] = value
            elif key not in _NEVER_REFERENCES and value.startswith(("urn:", "http")):
                node[key] = _rewrite_uri(value, targets)
        elif type(value) is dict:
            rewrite(value, targets)
        elif type(value) is list:
            for index, item in enumerate(value):
                if type(item) is dict:
                    rewrite(item, targets)
                elif type(item) is str:
                    value[index] = _rewrite_uri(item, targets)


def _rewrite_uri(value: str, targets: Mapping[str, str]) -> str:
    found = targets.get(value)
    if found is not None:
        return found
    base, mark, fragment = value.partition("#")
    return f"{targets[base]}#{fragment}" if mark and base in targets else value


class ConditionalReferences:
    """Resolves `Type?query` references against one transaction's entries and the lake."""

    def __init__(
        self,
        lake: Lake,
        pending: Mapping[tuple[str, str], Resource],
        *,
        keep_administrative: bool,
    ) -> None:
        """`pending`: the transaction's resources by (type, id)."""
        self._lake = lake
        self._keep_administrative = keep_administrative
        self._known: dict[str, str | None] = {}
        self._by_identifier: dict[tuple[str, str, str], list[str]] = {}
        for (resource_type, id), resource in pending.items():
            for identifier in _identifiers(resource):
                key = (resource_type, identifier.get("system", ""), identifier.get("value", ""))
                self._by_identifier.setdefault(key, []).append(f"{resource_type}/{id}")
        self.notices: list[Issue] = []

    def resolve(self, resource: Resource, prefix: str) -> None:
        """Replace every conditional reference of `resource`, in place.

        `prefix` (`Bundle.entry[3].resource`) places the issues. Raises `precondition` (412), and
        `invalid` for a `urn:` that no entry of the Bundle answers: it would dangle for ever.
        """
        for expression, holder in iter_references(resource):
            text: str = holder["reference"]
            if text.startswith(("urn:uuid:", "urn:oid:")):
                raise error(
                    "invalid",
                    "No entry of this Bundle has this fullUrl.",
                    f"{prefix}.{expression.partition('.')[2]}.reference",
                )
            if "?" not in text:
                continue
            if parse_reference(text).kind != "conditional":
                continue
            place = f"{prefix}.{expression.partition('.')[2]}"
            target = self._find(text, place)
            if target is not None:
                holder["reference"] = target
            else:
                self._keep_as_identifier(text, holder, place)

    def _find(self, text: str, place: str) -> str | None:
        if text not in self._known:
            self._known[text] = self._search(text, place)
        return self._known[text]

    def _search(self, text: str, place: str) -> str | None:
        resource_type, _, query = text.partition("?")
        params = parse_qsl(query, keep_blank_values=True)
        found: set[str] = set()
        if len(params) == 1 and params[0][0] == "identifier":
            system, _, value = params[0][1].rpartition("|")
            found.update(self._by_identifier.get((resource_type, system, value), ()))
        try:
            page = self._lake.search(resource_type, [*params, ("_count", "2")], strict=True)
        except FhirError as failure:
            raise located(failure, place) from None
        found.update(f"{version.resource_type}/{version.id}" for version in page.versions)
        if len(found) > 1:
            raise error(
                "precondition",
                f"The conditional reference to {resource_type} matches several resources.",
                place,
            )
        return found.pop() if found else None

    def _keep_as_identifier(self, text: str, holder: Resource, place: str) -> None:
        resource_type, _, query = text.partition("?")
        params = parse_qsl(query)
        plain = len(params) == 1 and params[0][0] == "identifier" and "," not in params[0][1]
        if not (self._keep_administrative and plain and resource_type in ADMINISTRATIVE):
            raise error(
                "precondition",
                f"The conditional reference to {resource_type} matches nothing: store the "
                f"{resource_type} first, or put it into this transaction.",
                place,
            )
        system, _, value = params[0][1].rpartition("|")
        del holder["reference"]
        holder.setdefault("type", resource_type)
        holder["identifier"] = {"system": system, "value": value} if system else {"value": value}
        self.notices.append(
            Issue(
                "warning",
                "not-found",
                f"No {resource_type} has this identifier yet: kept as a reference by identifier.",
                (place,),
            )
        )


def _identifiers(resource: Resource) -> list[dict[str, Any]]:
    found = resource.get("identifier", [])
    return found if isinstance(found, list) else [found]
