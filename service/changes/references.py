"""References in what is about to be stored: those to entries rewritten, conditional ones resolved.

R4 http.html#trules. A conditional reference that matches several resources is always refused. One
that matches none is refused too, except to administrative types (`ADMINISTRATIVE`), which by policy
become a reference by identifier: nothing is lost and no patient can be mistaken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from schemas.ids import parse_reference
from schemas.outcomes import FhirError, Issue, error
from service.changes.asked import located
from service.own_references import relative_to
from storage.lake import Guard, Lake

Resource = dict[str, Any]

ADMINISTRATIVE = frozenset({"Practitioner", "PractitionerRole", "Organization", "Location"})
# Elements that may hold the text of a fullUrl without referring to the entry: Identifier.value and
# Coding.system among them. All others that equal a fullUrl are references, URIs or canonicals.
_NEVER_REFERENCES = frozenset({"id", "value", "valueString", "system", "display", "text"})

_SCHEMES = ("urn:", "http")


class References:
    """Resolves the references of one transaction's resources."""

    def __init__(
        self, lake: Lake, targets: Mapping[str, str], *, keep_administrative: bool, bundle: bool
    ) -> None:
        """`targets`: fullUrl → `Type/id`. `bundle`: a `urn:uuid:` has to be one of them."""
        self._lake = lake
        self._targets = targets
        self._keep_administrative = keep_administrative
        self._bundle = bundle
        self._known: dict[str, str | None] = {}
        self._logical: dict[str, tuple[Resource, Issue]] = {}
        self._by_identifier: dict[tuple[str, str, str], list[str]] = {}
        self._relative: Mapping[str, str] = {}
        self._base = ""
        self._notices: dict[str, Issue] = {}
        self.guards: list[Guard] = []

    def add_pending(self, resource_type: str, id: str, resource: Resource) -> None:
        """A resource of the transaction that conditional references may be meant for."""
        identifiers = resource.get("identifier", ())
        for one in identifiers if isinstance(identifiers, list) else (identifiers,):
            if isinstance(one, dict):
                key = (resource_type, str(one.get("system", "")), str(one.get("value", "")))
                self._by_identifier.setdefault(key, []).append(f"{resource_type}/{id}")

    def resolved(
        self,
        resource: Resource,
        prefix: str,
        relative: Mapping[str, str] | None = None,
        *,
        base: str = "",
    ) -> tuple[Resource, list[Issue]]:
        """The resource with its references resolved, and what is to be said of them.

        `resource` stays as it is; what does not change is shared. `relative`: targets that the
        entry's own fullUrl makes known by `Type/id`. `prefix` as in `Places`. `base`: references
        below it become relative, but not in a Bundle, where they go by the fullUrls beside them.
        Raises `precondition` (412), and `invalid` for a `urn:uuid:` that no entry of the Bundle
        answers.
        """
        self._relative = relative or {}
        self._base = "" if resource.get("resourceType") == "Bundle" else base
        self._notices = {}
        try:
            found = self._node(resource)
        except _UnresolvedError as failure:
            raise located(failure.failure, _place(resource, failure.text, prefix)) from None
        if not self._notices:
            return found, []
        return found, [
            replace(notice, expression=(_place(resource, text, prefix),))
            for text, notice in self._notices.items()
        ]

    def _node(self, node: Resource) -> Resource:
        changed: Resource | None = None
        for key, value in node.items():
            if key in _NEVER_REFERENCES and type(value) is str:
                continue
            kind = type(value)
            found: Any
            if kind is str:
                if key == "reference":
                    found = self._reference(value)
                    if type(found) is dict:
                        changed = dict(node) if changed is None else changed
                        del changed[key]
                        changed.setdefault("type", found["type"])
                        changed["identifier"] = found["identifier"]
                        continue
                elif value.startswith(_SCHEMES):
                    found = self._uri(value)
                elif key == "div":
                    found = self._narrative(value)
                else:
                    continue
            elif kind is dict:
                found = self._node(value)
            elif kind is list:
                found = self._items(value)
            else:
                continue
            if found is not value:
                changed = dict(node) if changed is None else changed
                changed[key] = found
        return node if changed is None else changed

    def _items(self, items: list[Any]) -> list[Any]:
        changed: list[Any] | None = None
        for index, item in enumerate(items):
            kind = type(item)
            found: Any
            if kind is dict:
                found = self._node(item)
            elif kind is str and item.startswith(_SCHEMES):
                found = self._uri(item)
            else:
                continue
            if found is not item:
                changed = list(items) if changed is None else changed
                changed[index] = found
        return items if changed is None else changed

    def _uri(self, text: str) -> str:
        found = self._targets.get(text)
        if found is not None:
            return found
        base, mark, fragment = text.partition("#")
        return f"{self._targets[base]}#{fragment}" if mark and base in self._targets else text

    def _narrative(self, text: str) -> str:
        if "urn:uuid:" in text:
            for old, new in self._targets.items():
                text = text.replace(f'"{old}"', f'"{new}"')
        return text

    def _reference(self, text: str) -> str | Resource:
        """What stands for a literal reference: another, or the members of one by identifier."""
        found = self._targets.get(text) or self._relative.get(text)
        if found is not None:
            return found
        if text.startswith(("urn:uuid:", "urn:oid:")):
            found = self._uri(text)
            if self._bundle and found is text:
                failure = error("invalid", "No entry of this Bundle has this fullUrl.")
                raise _UnresolvedError(failure, text)
            return found
        if text.startswith("http"):
            text = relative_to(self._base, text)
            if text.startswith("http"):
                return self._uri(text)
        if "?" not in text or parse_reference(text).kind != "conditional":
            return text
        if text not in self._known:
            self._known[text] = self._search(text)
        return self._known[text] or self._by_logical_identifier(text)

    def _search(self, text: str) -> str | None:
        resource_type, _, query = text.partition("?")
        params = parse_qsl(query, keep_blank_values=True)
        found: set[str] = set()
        if len(params) == 1 and params[0][0] == "identifier":
            system, _, value = params[0][1].rpartition("|")
            found.update(self._by_identifier.get((resource_type, system, value), ()))
        try:
            matches = self._lake.find(resource_type, params)
        except FhirError as failure:
            raise _UnresolvedError(failure, text) from None
        self.guards.append(matches.guard)
        found.update(f"{version.resource_type}/{version.id}" for version in matches.versions)
        if len(found) > 1:
            several = error(
                "precondition",
                f"The conditional reference to {resource_type} matches several resources.",
            )
            raise _UnresolvedError(several, text)
        return found.pop() if found else None

    def _by_logical_identifier(self, text: str) -> Resource:
        known = self._logical.get(text)
        if known is None:
            known = self._logical[text] = self._made_logical(text)
        found, self._notices[text] = known
        return found

    def _made_logical(self, text: str) -> tuple[Resource, Issue]:
        resource_type, _, query = text.partition("?")
        params = parse_qsl(query)
        plain = len(params) == 1 and params[0][0] == "identifier" and "," not in params[0][1]
        if not (self._keep_administrative and plain and resource_type in ADMINISTRATIVE):
            failure = error(
                "precondition",
                f"The conditional reference to {resource_type} matches nothing: store the "
                f"{resource_type} first, or put it into the same transaction.",
            )
            raise _UnresolvedError(failure, text)
        system, _, value = params[0][1].rpartition("|")
        notice = Issue(
            "warning",
            "not-found",
            f"No {resource_type} has this identifier yet: kept as a reference by identifier.",
        )
        identifier = {"system": system, "value": value} if system else {"value": value}
        return {"type": resource_type, "identifier": identifier}, notice


class _UnresolvedError(Exception):
    """A reference that cannot be resolved; its place is looked for when it is told."""

    def __init__(self, failure: FhirError, text: str) -> None:
        super().__init__()
        self.failure = failure
        self.text = text


def _place(resource: Resource, text: str, prefix: str) -> str:
    """Where a resource has a reference of this text first: `Encounter.subject`."""
    below = _below(resource, text)
    if below is None:
        return prefix.rstrip(".") or str(resource["resourceType"])
    return prefix + below[1:] if prefix else f"{resource['resourceType']}{below}"


def _below(node: Resource, text: str) -> str | None:
    """Where a reference of this text is below a node, `.participant[0].individual`; None: nowhere.

    As the first of `schemas.ids.iter_references`, without looking at what comes after it.
    """
    if node.get("reference") == text:
        return ""
    for name, value in node.items():
        kind = type(value)
        if kind is dict:
            found = _below(value, text)
            if found is not None:
                return f".{name}{found}"
        elif kind is list:
            for index, item in enumerate(value):
                if type(item) is dict:
                    found = _below(item, text)
                    if found is not None:
                        return f".{name}[{index}]{found}"
    return None
