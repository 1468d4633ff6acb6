"""Canonical references in a search: by URL, and by version where they say one.

https://hl7.org/fhir/R4/references.html#canonical. The index has a reference `URL|2.0` under both
`URL|2.0` and `URL`; one that names a version leads to that version alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from storage.index.condition import Compare, Prefix
from storage.index.probe import Probe
from storage.query.alternatives import Alternatives
from storage.query.conditions import Every, Holds, Not


class Canonical(NamedTuple):
    """What a resource is named by: its URL, and the version that it says (empty: none)."""

    url: str
    version: str


def canonical_of(resource: dict[str, Any]) -> Canonical | None:
    """How canonical references name a resource; None when it has no URL."""
    url, version = resource.get("url"), resource.get("version")
    if not isinstance(url, str):
        return None
    return Canonical(url, version if isinstance(version, str) else "")


def names(p: int, canonical: Canonical) -> list[Holds]:
    """Conditions, one of which holds of what names the resource by the reference parameter `p`."""
    url, version = canonical
    plain = Alternatives([Probe("reference", p, Compare("target", "=", url))])
    versioned = Probe("reference", p, Prefix("target", url + "|"), by_version=False)
    found: list[Holds] = [Every((plain, Not(Alternatives([versioned]))))]
    if version:
        found.append(
            Alternatives([Probe("reference", p, Compare("target", "=", f"{url}|{version}"))])
        )
    return found


def as_written(values: Collection[str]) -> set[str]:
    """The references of one parameter of one resource, without what they are indexed as besides."""
    besides = {value.partition("|")[0] for value in values if "|" in value}
    return set(values) - besides


def leads_to(references: Collection[str], canonical: Canonical) -> bool:
    """Whether one of the references, as written, names the resource."""
    return canonical.url in references or f"{canonical.url}|{canonical.version}" in references


def bare(references: Iterable[str]) -> set[str]:
    """The URLs of references."""
    return {reference.partition("|")[0] for reference in references}
