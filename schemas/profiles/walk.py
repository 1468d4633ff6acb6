"""One resource against the rules of profiles: the walk that gives the issues."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from schemas.fhirpath import FhirPathError
from schemas.outcomes import Issue
from schemas.places import Place, spelled
from schemas.profiles.bindings import check_binding
from schemas.profiles.compile import Compiled
from schemas.profiles.constraints import environment_of
from schemas.profiles.element_tree import ProfileError, base_type_of
from schemas.profiles.rules import Constraint, Rule, Slicing, Value
from schemas.profiles.slicing import reference_type
from schemas.structure import RESOURCE_TYPES

if TYPE_CHECKING:
    from schemas.profiles.validator import Profiles

Json = dict[str, Any]
Resolve = Callable[[str], "Json | None"]
MemberOf = Callable[[str, "str | None", str], "bool | None"]

Applied = set[tuple[int, str]]
"""(identity of an extension's object, url of the definition that was applied to it)."""

MAX_ISSUES = 100
MAX_DEPTH = 12  # profiles of values of values: extensions in extensions, contained resources


class Walk:
    """Applies profiles to one resource and collects what is not as they demand."""

    def __init__(
        self,
        profiles: Profiles,
        resource: Json,
        resolve: Resolve,
        applied: Applied | None = None,
    ) -> None:
        """`applied`: the definitions applied to extensions so far; those are not applied again."""
        self.profiles = profiles
        self.resource = resource
        self.issues: list[Issue] = []
        self._resolve = resolve
        self._applied: Applied = applied if applied is not None else set()
        self._member_of: MemberOf | None = None
        self.environment = environment_of(self)
        self._seen: set[tuple[str, str]] = set()
        self._url = ""
        self._depth = 0
        self._holder = resource  # the resource that `%resource` is
        self._trial = False  # whether only the fact counts that something is wrong

    # What rules and slice tests ask.

    def resolve(self, value: Value) -> Json | None:
        """The resource that a Reference leads to: contained, or at hand elsewhere."""
        text = value.node.get("reference")
        return self.resolve_text(text) if isinstance(text, str) else None

    def resolve_text(self, text: str) -> Json | None:
        """The resource that the text of a reference names."""
        if text.startswith("#"):
            if text == "#":
                return self.resource
            for one in self.resource.get("contained", ()):
                if isinstance(one, dict) and one.get("id") == text[1:]:
                    return one
            return None
        return self._resolve(text)

    def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is of a value set; None when that cannot be told."""
        if self._member_of is None:
            self._member_of = self.profiles.terminology()
        return self._member_of(value_set, system, code)

    def conforms(self, rule: Rule, value: Value) -> bool:
        """Whether a value is as a rule demands."""
        return self._tried(lambda: self._value(rule, value))

    def conforms_to(self, canonical: str, value: Value) -> bool:
        """Whether a value is as a profile demands; also where the profile is not known."""
        return self._tried(
            lambda: self.apply(canonical, value.node, value.type_name, value.place, value=value)
        )

    def _tried(self, work: Callable[[], None]) -> bool:
        issues, seen, trial = self.issues, self._seen, self._trial
        self.issues, self._seen, self._trial = [], set(), True
        try:
            work()
            return not any(issue.severity == "error" for issue in self.issues)
        finally:
            self.issues, self._seen, self._trial = issues, seen, trial

    # The walk.

    def apply(
        self,
        canonical: str,
        node: Json,
        type_name: str,
        place: Place,
        *,
        value: Value | None = None,
        claimed: bool = False,
    ) -> None:
        """Apply a profile to a resource (`claimed`) or to the value of an element."""
        if base_type_of(canonical) is not None and base_type_of(canonical) == type_name:
            return
        if type_name == "Extension" and not self._trial:
            if (id(node), canonical) in self._applied:
                return
            self._applied.add((id(node), canonical))
        outer = self._url
        self._url = canonical
        try:
            compiled = self._compiled(canonical, place, claimed)
            if compiled is None:
                return
            if compiled.type_name not in (type_name, "Resource", "DomainResource", "Element"):
                self.report(
                    "error", "structure", f"is {type_name}, and the profile is for "
                    f"{compiled.type_name}", place,
                )  # fmt: skip
                return
            if self._depth >= MAX_DEPTH:
                self.report("error", "too-long", "has profiles within profiles too deep", place)
                return
            for note in compiled.notes:
                self.report("information", "not-supported", f"was not checked in full: {note}",
                            place)  # fmt: skip
            self._depth += 1
            is_resource = "resourceType" in node
            holder = self._holder
            if is_resource:
                self._holder = node
            self._value(compiled.root, value or Value(node, None, type_name, place))
            self._holder = holder
            self._depth -= 1
        finally:
            self._url = outer

    def _compiled(self, canonical: str, place: Place, claimed: bool) -> Compiled | None:
        try:
            compiled = self.profiles.compiled(canonical)
        except ProfileError as failure:
            self.report("error", "not-supported", f"cannot be checked: {failure}", place)
            return None
        if compiled is None and (claimed or base_type_of(canonical) is not None):
            if (name := base_type_of(canonical)) is not None:
                self.report("error", "structure", f"is not a {name}", place)
            else:
                self.report("warning", "not-found", "was not checked against this profile, which "
                            "is not known here", place)  # fmt: skip
        return compiled

    def report(self, severity: str, code: str, problem: str, place: Place, *more: Any) -> None:
        """Note what is wrong, once, and not more than there is room for."""
        path = spelled(place, *more)
        text = f"{path} {problem} (profile {self._url[:256]})."
        if (path, text) in self._seen or len(self.issues) >= MAX_ISSUES:
            return
        self._seen.add((path, text))
        self.issues.append(Issue(severity, code, text, (path,)))

    def _value(self, rule: Rule, value: Value) -> None:
        place = value.place
        if rule.types is not None and value.type_name not in rule.types:
            allowed = ", ".join(sorted(rule.types))
            self.report("error", "structure", f"is of a type other than {allowed}", place)
            return
        if value.json is not None:
            for one in rule.values:
                if not one.test(value.json):
                    self.report("error", one.code, self._of(rule, one.problem), place)
        elif rule.values and not value.node.get("extension"):
            self.report("error", "value", self._of(rule, "has no value"), place)
        for binding in rule.bindings:
            check_binding(self, binding, value)
        for child in rule.children:
            self._element(child, value.node, value.type_name, place)
        for constraint in rule.constraints:
            self._constraint(rule, constraint, value)
        if rule.profiles is not None and value.type_name in rule.profiles:
            self._one_of(rule.profiles[value.type_name], value)
        if rule.targets:
            self._target(rule.targets, value)
        if rule.same_as is not None and (shared := rule.same_as()) is not None:
            self._value(shared, value)

    @staticmethod
    def _of(rule: Rule, problem: str) -> str:
        slice_name = rule.label.rpartition(".")[2].partition(":")[2]
        return f"{problem} for slice {slice_name}" if slice_name else problem

    def _element(self, rule: Rule, node: Json, type_name: str, place: Place) -> None:
        values = _values(rule, node, place)
        count = len(values)
        if not count and not rule.least and rule.slicing is None:
            return
        if count < rule.least:
            if rule.least == 1:
                self.report("error", "required", "is missing", place, rule.name)
            else:
                words = f"has {count} of at least {rule.least} values"
                self.report("error", "required", words, place, rule.name)
        if rule.most is not None and count > rule.most:
            words = (
                "is not allowed"
                if rule.most == 0
                else f"has {count} values; at most {rule.most} allowed"
            )
            key = values[0].place[1]
            self.report("error", "structure", words, place, key)
            if rule.most == 0:
                return
        for value in values:
            self._value(rule, value)
        if rule.slicing is not None:
            self._slices(rule, rule.slicing, values, place)

    def _slices(self, rule: Rule, slicing: Slicing, values: list[Value], place: Place) -> None:
        found: list[list[Value]] = [[] for _ in slicing.slices]
        last, open_end = -1, False
        for value in values:
            index = next(
                (i for i, one in enumerate(slicing.slices)
                 if all(test(self, value) for test in one.tests)), -1,
            )  # fmt: skip
            if index < 0:
                open_end = True
                if slicing.rules == "closed":
                    self.report("error", "structure", "is of none of the slices "
                                f"{', '.join(one.name for one in slicing.slices)}, and others are "
                                "not allowed", value.place)  # fmt: skip
                continue
            if open_end and slicing.rules == "openAtEnd":
                self.report("error", "structure", f"is of slice {slicing.slices[index].name}, "
                            "and has to stand before what is of no slice", value.place)  # fmt: skip
            if slicing.ordered and index < last:
                self.report("error", "structure", f"is of slice {slicing.slices[index].name}, "
                            f"which has to stand before slice {slicing.slices[last].name}",
                            value.place)  # fmt: skip
            last = max(last, index)
            found[index].append(value)
        for one, own in zip(slicing.slices, found, strict=True):
            least, most = one.rule.least, one.rule.most
            if len(own) < least:
                words = f"has {len(own)} of at least {least} values of slice {one.name}"
                self.report("error", "required", words, place, rule.name)
            if most is not None and len(own) > most:
                words = (f"is of slice {one.name}, which is not allowed" if most == 0
                         else f"is one of {len(own)} values of slice {one.name}; at most {most} "
                         "allowed")  # fmt: skip
                self.report("error", "structure", words, own[most].place)
            for value in own:
                self._value(one.rule, value)
            if one.rule.slicing is not None:
                self._slices(one.rule, one.rule.slicing, own, place)

    def _one_of(self, urls: tuple[str, ...], value: Value) -> None:
        """A value has to be as one of the profiles of its type demands."""
        if len(urls) == 1:
            self.apply(urls[0], value.node, value.type_name, value.place, value=value)
            return
        if not any(self.conforms_to(url, value) for url in urls):
            listed = ", ".join(urls)
            self.report("error", "structure", f"conforms to none of {listed}", value.place)

    def _target(self, urls: tuple[str, ...], value: Value) -> None:
        """What a reference leads to has to be of the type of a profile, and as it demands."""
        kind = reference_type(self, value)
        if kind is None:
            return
        known = [(url, self.profiles.type_of(url)) for url in urls]
        fitting = [url for url, own in known if own in (kind, "Resource", None)]
        if not fitting:
            allowed = ", ".join(sorted({str(own) for _, own in known}))
            self.report("error", "value", f"is to a {kind}; allowed here: {allowed}", value.place,
                        "reference")  # fmt: skip
            return
        if any(own is None for _, own in known) or any(base_type_of(u) for u in fitting):
            return
        target = self.resolve(value)
        if target is None:
            return
        inner = Value(target, None, kind, value.place)
        if not any(self._met_by_target(url, inner) for url in fitting):
            listed = ", ".join(fitting)
            self.report("error", "structure", f"leads to a {kind} that does not conform to "
                        f"{listed}", value.place, "reference")  # fmt: skip

    def _met_by_target(self, url: str, target: Value) -> bool:
        if self._depth >= 2:  # The target's own targets are another resource's business.
            return True
        return self.conforms_to(url, target)

    def _constraint(self, rule: Rule, constraint: Constraint, value: Value) -> None:
        try:
            if constraint.test(value, self._holder, self):
                return
        except FhirPathError as failure:
            words = f"could not be checked for {constraint.key}: {failure}".rstrip(". ")
            self.report("warning", "not-supported", words, value.place)
        else:
            words = f"violates {constraint.key}: {constraint.human}".rstrip(". ")
            self.report(constraint.severity, "invariant", words, value.place)


def _values(rule: Rule, node: Json, place: Place) -> list[Value]:
    """The values that an object has of an element, with the `_name` object of primitives."""
    found: list[Value] = []
    for key, beside, type_name in rule.keys:
        content = node.get(key)
        sibling = node.get(beside) if beside is not None else None
        if content is None and sibling is None:
            continue
        if not rule.many:
            found.append(Value(content, sibling, _kind(content, type_name), (place, key, -1)))
            continue
        items = content if type(content) is list else []
        if sibling is None:
            for index, item in enumerate(items):
                if item is not None:
                    found.append(Value(item, None, _kind(item, type_name), (place, key, index)))
            continue
        siblings = sibling if type(sibling) is list else []
        for index in range(max(len(items), len(siblings))):
            item = items[index] if index < len(items) else None
            own = siblings[index] if index < len(siblings) else None
            if item is not None or own is not None:
                found.append(Value(item, own, _kind(item, type_name), (place, key, index)))
    return found


def _kind(content: Any, type_name: str) -> str:
    if type_name == "Resource" and isinstance(content, dict):
        kind = content.get("resourceType")
        return kind if isinstance(kind, str) and kind in RESOURCE_TYPES else type_name
    return type_name
