"""How strictly a datastore looks at what it stores: its validation level and profiles.

`strict` refuses what breaks R4's structure, required bindings or invariants, a profile that the
resource claims in `meta.profile` (or the default for its type), or the definition of an extension.
`structure-only` refuses what breaks R4's structure or required bindings. `minimal` looks as closely
as `strict`, and stores what it finds invalid with a mark (`schemas.validation_mark`).
https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

from schemas.ids import is_id
from schemas.invariants import issues as broken_invariants
from schemas.outcomes import FhirError, Issue, error
from schemas.places import Place
from schemas.profiles.element_tree import base_type_of
from schemas.profiles.validator import Profiles
from schemas.profiles.walk import Applied
from schemas.validate import MAX_ISSUES, inspect
from schemas.validation_mark import mark, unmark
from service.settings import Settings
from storage.lake import Lake

Resource = dict[str, Any]
Resolve = Callable[[str], "Resource | None"]

STRICT, STRUCTURE_ONLY, MINIMAL = "strict", "structure-only", "minimal"
LEVELS = (STRICT, STRUCTURE_ONLY, MINIMAL)

_DEFINITION = "StructureDefinition"

_SEVERITIES = ("fatal", "error", "warning", "information")
_NOT_LOOKED_AT = Issue(
    "information",
    "informational",
    "Invariants and profiles were not looked at: first the errors above are to be mended.",
)
_STORED_INVALID = Issue(
    "warning",
    "informational",
    "This resource is not valid, and was stored with a tag that says so: the validation level of "
    "this datastore is `minimal`.",
)


class Validation:
    """Validates what is to be stored in one lake, against what the lake itself defines."""

    def __init__(
        self, of: Lake | Profiles, *, level: str = STRICT, default_profiles: str = ""
    ) -> None:
        """`of`: the lake, or its profiles where the lake itself is in another process.

        `default_profiles`: canonicals, apart by white space or commas.
        """
        self.level = level
        self.default_profiles = tuple(default_profiles.replace(",", " ").split())
        self.profiles = of if isinstance(of, Profiles) else _profiles_of(of)

    @classmethod
    def of(cls, lake: Lake, settings: Settings) -> Self:
        """As the settings of a datastore have it."""
        return cls(lake, level=settings.validation, default_profiles=settings.default_profiles)

    def check(self, resource: Resource, expected_type: str) -> list[Issue]:
        """Refuse (`unprocessable`, 422) what is not valid at this datastore's level.

        Returns what is to be said of the accepted resource. At the level `minimal` an invalid
        resource is marked, and its issues are given as warnings.
        """
        issues = self.issues(resource, expected_type)
        if not has_errors(issues):
            unmark(resource)
        elif self.level == MINIMAL:
            _check_minimum(resource, expected_type)
            mark(resource)
            issues = [_STORED_INVALID, *map(_as_warning, issues)]
        else:
            raise FhirError("unprocessable", issues)
        return issues

    def issues(
        self,
        resource: Resource,
        expected_type: str | None = None,
        *,
        profiles: Sequence[str] = (),
        level: str = "",
        resolve: Resolve | None = None,
    ) -> list[Issue]:
        """All that is to be said of a resource, in order; nothing for one without a fault.

        `profiles` are applied besides those it claims. `level`: by default this datastore's, where
        `minimal` looks as closely as `strict`. `resolve` gives the resource that a reference leads
        to, beyond those contained and those of the same Bundle.
        """
        issues, extensions, extended = inspect(resource, expected_type)
        strict = (level or self.level) != STRUCTURE_ONLY
        if issues:
            return [*issues, _NOT_LOOKED_AT] if strict or profiles else issues
        near = _near(resource, resolve)
        if strict:
            issues += broken_invariants(resource, extended=extended)
            applied: Applied = set()
            issues += self._claimed(resource, near, applied)
            for extension in extensions:
                issues += self.profiles.validate_extension(
                    resource, extension, near, applied=applied
                )
        for canonical in profiles:
            issues += self.profiles.validate(resource, canonical, near)
        return in_order(issues)[:MAX_ISSUES] if issues else issues

    def _claimed(self, resource: Resource, near: Resolve, applied: Applied) -> Iterator[Issue]:
        """By the profiles that it and the resources in it claim, or by the default for its type."""
        known = False
        for one in _held(resource):
            for canonical in _claims(one.resource):
                yield from self.profiles.validate(
                    one.resource,
                    canonical,
                    near,
                    place=one.place,
                    container=one.container,
                    applied=applied,
                )
                if one.resource is resource and base_type_of(canonical) is None:
                    known = known or self.profiles.type_of(canonical) is not None
        if not known and self.default_profiles:
            yield from self._by_default(resource, near)

    def _by_default(self, resource: Resource, near: Resolve) -> list[Issue]:
        """Of several default profiles for its type it has to meet one."""
        kind = resource["resourceType"]
        of_type = [c for c in self.default_profiles if self.profiles.type_of(c) in (kind, None)]
        found: list[list[Issue]] = []
        for canonical in of_type:
            issues = self.profiles.validate(resource, canonical, near)
            if not has_errors(issues) and self.profiles.type_of(canonical) is not None:
                return issues
            found.append(issues)
        return [issue for issues in found for issue in issues]


def _profiles_of(lake: Lake) -> Profiles:
    canonicals = lake.canonicals
    return Profiles(
        lambda canonical: canonicals.find(_DEFINITION, canonical),
        lambda: canonicals.terminology().contains,
        lambda: canonicals.stamp(_DEFINITION, lake.t),
    )


class _Held(NamedTuple):
    """A resource, the place where it stands in another, the one that it is contained in."""

    resource: Resource
    place: Place
    container: Resource | None


def _held(resource: Resource) -> Iterator[_Held]:
    """The resource itself, and those in it: contained, of a Bundle's entries, of Parameters."""
    yield from _held_at(resource, (None, str(resource["resourceType"]), -1), None)


def _held_at(resource: Resource, place: Place, container: Resource | None) -> Iterator[_Held]:
    yield _Held(resource, place, container)
    for index, one in enumerate(resource.get("contained", ())):
        yield from _held_at(one, (place, "contained", index), resource)
    kind = resource["resourceType"]
    if kind == "Bundle":
        for index, entry in enumerate(resource.get("entry", ())):
            if "resource" in entry:
                at = ((place, "entry", index), "resource", -1)
                yield from _held_at(entry["resource"], at, None)
    elif kind == "Parameters":
        yield from _held_in_parts(resource.get("parameter", ()), place, "parameter")


def _held_in_parts(parts: Iterable[Resource], place: Place, key: str) -> Iterator[_Held]:
    for index, part in enumerate(parts):
        here = (place, key, index)
        if "resource" in part:
            yield from _held_at(part["resource"], (here, "resource", -1), None)
        yield from _held_in_parts(part.get("part", ()), here, "part")


def _claims(resource: Resource) -> list[str]:
    """The profiles that it says it conforms to; those that are null with an extension are none."""
    claimed = resource.get("meta", {}).get("profile", ())
    return [canonical for canonical in claimed if isinstance(canonical, str)]


def _near(resource: Resource, resolve: Resolve | None) -> Resolve:
    """Finds what a reference leads to: an entry of the same Bundle, or what `resolve` gives."""
    if resource["resourceType"] != "Bundle":
        return resolve or _nothing
    entries: dict[str, Resource] = {}
    for entry in resource.get("entry", ()):
        if (one := entry.get("resource")) is None:
            continue
        if "id" in one:
            entries[f"{one['resourceType']}/{one['id']}"] = one
        if "fullUrl" in entry:
            entries[entry["fullUrl"]] = one
    return lambda text: entries.get(text) or (resolve(text) if resolve is not None else None)


def _check_minimum(resource: Resource, expected_type: str) -> None:
    """What even the level `minimal` needs: the type, and an id that can be one."""
    if resource.get("resourceType") != expected_type:
        place = f"{expected_type}.resourceType"
        raise error("unprocessable", f"The resource is no {expected_type}.", place)
    if "id" in resource and not (isinstance(resource["id"], str) and is_id(resource["id"])):
        text = "An id has 1 to 64 letters, digits, dots and dashes."
        raise error("unprocessable", text, f"{expected_type}.id")


def _nothing(_reference: str) -> None:
    return None


def _as_warning(issue: Issue) -> Issue:
    """What did not keep the resource from being stored is no error (R4 issue-severity)."""
    return replace(issue, severity="warning") if issue.severity in ("error", "fatal") else issue


def has_errors(issues: Iterable[Issue]) -> bool:
    """Whether one of the issues makes a resource invalid."""
    return any(issue.severity in ("error", "fatal") for issue in issues)


def in_order(issues: Iterable[Issue]) -> list[Issue]:
    """Each issue once; errors, warnings, information, otherwise in their order."""
    return sorted(dict.fromkeys(issues), key=lambda issue: _SEVERITIES.index(issue.severity))
