"""Applying profiles to a resource: `Profiles.validate`.

A profile is compiled when it is first met, and again when it or what it was made of has changed.
What a profile does not say stays free; what it says and cannot be checked is said in an issue.
https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from schemas.outcomes import Issue
from schemas.places import Place
from schemas.profiles.compile import Compiled, compile_rules
from schemas.profiles.definitions import r4_definition
from schemas.profiles.element_tree import ElementTree, ProfileError, base_type_of, build_tree
from schemas.profiles.walk import Applied, MemberOf, Resolve, Walk
from schemas.validate import Extension

Json = dict[str, Any]
# Compiled profiles (and urls that are none) that are kept; past it, all are compiled anew.
MAX_KEPT = 5_000

FindDefinition = Callable[[str], "Json | None"]


class Profiles:
    """The profiles of one lake, R4's own behind them."""

    def __init__(
        self,
        find: FindDefinition,
        terminology: Callable[[], MemberOf],
        state: Callable[[], Hashable] = int,
    ) -> None:
        """`find(canonical)` gives a StructureDefinition of the lake, or None.

        What `terminology()` gives for one resource says, for a value set, system and code, whether
        the code is of the value set; None when that cannot be told. While `state()` is the same, so
        is everything that `find` gives.
        """
        self._find = find
        self._state = state
        self.terminology = terminology
        self._known: tuple[Hashable, dict[str, Compiled | ProfileError | None]] = (None, {})

    def definition(self, canonical: str) -> Json | None:
        """The StructureDefinition of a profile: the lake's, else R4's own."""
        found = self._find(canonical)
        return found if found is not None else r4_definition(canonical)

    def validate(
        self,
        resource: Json,
        canonical: str,
        resolve: Resolve = lambda _reference: None,
        *,
        place: Place | None = None,
        container: Json | None = None,
        applied: Applied | None = None,
    ) -> list[Issue]:
        """What of the resource is not as the profile demands; errors, warnings, information.

        The resource has to be valid R4. A profile that is not known gives a warning, one that
        cannot be applied an error. `resolve` gives the resource that a reference leads to, where
        it is at hand (contained resources are found without it). `place`: where the resource
        stands; `container`: the one it is contained in. `applied`: what was done to extensions
        already, and need not be done again.
        """
        self._notice_changes()
        kind = str(resource.get("resourceType"))
        walk = Walk(self, container if container is not None else resource, resolve, applied)
        walk.apply(canonical, resource, kind, place or (None, kind, -1), claimed=True)
        return walk.issues

    def validate_extension(
        self,
        resource: Json,
        extension: Extension,
        resolve: Resolve = lambda _reference: None,
        *,
        applied: Applied | None = None,
    ) -> list[Issue]:
        """What of an extension is not as its definition demands; nothing for one without."""
        self._notice_changes()
        walk = Walk(self, resource, resolve, applied)
        walk.apply(extension.url, extension.node, "Extension", extension.place)
        return walk.issues

    def compiled(self, canonical: str) -> Compiled | None:
        """The rules of a profile; None when it is not known. Raises ProfileError."""
        _, kept = self._known
        try:
            found = kept[canonical]
        except KeyError:
            found = self._compile(canonical)
            if len(kept) >= MAX_KEPT:
                kept.clear()
            kept[canonical] = found
        if isinstance(found, ProfileError):
            raise found
        return found

    def _notice_changes(self) -> None:
        """Begin anew when a definition may have changed. What another thread is compiling then
        goes into the old dict, so nothing that is outdated comes into the new one."""
        state = self._state()
        if state != self._known[0]:
            self._known = (state, {})

    def type_of(self, canonical: str) -> str | None:
        """The type that a profile is for; None when it is not known."""
        base = base_type_of(canonical)
        if base is not None:
            return base
        definition = self.definition(canonical)
        return str(definition.get("type")) if definition is not None else None

    def _compile(self, canonical: str) -> Compiled | ProfileError | None:
        definition = self.definition(canonical)
        if definition is None:
            return None
        try:
            tree = build_tree(definition, self.definition)
            return compile_rules(tree, str(definition.get("url", canonical)), self._tree)
        except ProfileError as failure:
            return failure
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            # A StructureDefinition that was stored without being validated.
            return ProfileError("its elements are not those of a StructureDefinition")

    def _tree(self, canonical: str) -> ElementTree | None:
        definition = self.definition(canonical)
        return build_tree(definition, self.definition) if definition is not None else None
