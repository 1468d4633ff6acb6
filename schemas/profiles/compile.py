"""From the tree of a profile to the rules that are applied: `compile_rules`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.profiles.constraints import constraint_test
from schemas.profiles.definitions import is_r4_constraint
from schemas.profiles.element_tree import CORE, ElementTree, ProfileError
from schemas.profiles.rules import Binding, Constraint, Rule, Slice, Slicing, ValueRule
from schemas.profiles.slicing import discriminators, slice_tests
from schemas.profiles.values import bound_test, equals, matches, stated
from schemas.structure import PRIMITIVE_TYPES, RESOURCE_TYPES, Element

_BOUND = frozenset({"code", "Coding", "CodeableConcept", "Quantity", "string", "uri"})
_MAX_VALUE_SET = CORE + "elementdefinition-maxValueSet"

TREE_OF = Callable[[str], "ElementTree | None"]


@dataclass
class Compiled:
    """The rules of one profile. `notes` say what of it cannot be checked."""

    url: str
    type_name: str
    root: Rule
    notes: list[str] = field(default_factory=list)


def compile_rules(root: ElementTree, url: str, tree_of: TREE_OF) -> Compiled:
    """The rules of a tree. `tree_of` gives the tree of another profile, None when it is not known.

    Raises ProfileError for what cannot be applied.
    """
    work = _Compilation(root, tree_of)
    rule = work.rule(root, None)
    return Compiled(url, root.name, rule or _nothing(root), work.notes)


def _nothing(tree: ElementTree) -> Rule:
    return Rule(tree.label, tree.name, (), False)


class _Compilation:
    def __init__(self, root: ElementTree, tree_of: TREE_OF) -> None:
        self.root = root
        self.tree_of = tree_of
        self.notes: list[str] = []
        self._shared: dict[str, Rule | None] = {}
        self._by_label: dict[str, ElementTree] = {}
        self._index(root)

    def _index(self, tree: ElementTree) -> None:
        self._by_label[tree.label] = tree
        for one in (*tree.children.values(), *tree.slices.values()):
            self._index(one)

    def rule(self, tree: ElementTree, beside: ElementTree | None) -> Rule | None:
        """The rule of an element, None when R4 says as much. `beside`: the element whose slice it
        is; what that one demands is not repeated."""
        element = tree.element
        definition = tree.definition
        rule = Rule(
            label=tree.label,
            name=tree.name,
            keys=_keys(element) if element else (),
            many=element.many if element else False,
            constraints=self._constraints(tree, beside),
            values=_value_rules(tree, beside),
            bindings=_bindings(tree, beside),
            children=self._children(tree),
        )
        if element is not None:
            rule.least, rule.most = _cardinality(tree, is_slice=beside is not None)
            rule.types = _narrowed_types(tree, beside)
            rule.profiles = _type_profiles(tree, beside)
            rule.targets = _targets(tree, beside)
        rule.slicing = self._slicing(tree)
        if reference := definition.get("contentReference"):
            rule.same_as = self._same_as(str(reference).partition("#")[2], tree)
        return rule if beside is not None or _demands(rule) else None

    def _children(self, tree: ElementTree) -> tuple[Rule, ...]:
        rules = (self.rule(child, None) for child in tree.children.values())
        return tuple(rule for rule in rules if rule is not None)

    def _slicing(self, tree: ElementTree) -> Slicing | None:
        if not tree.slices:
            return None
        found = discriminators(tree)
        described = tree.definition.get("slicing") or {}
        slices = []
        for name, one in tree.slices.items():
            rule = self.rule(one, tree)
            if rule is None:
                continue
            tests = slice_tests(one, found, self.tree_of, lambda t: self.rule(t, tree))
            if not tests:
                self.notes.append(
                    f"slice {one.label} cannot be told from others by its discriminators, so it "
                    "was not checked"
                )
                continue
            slices.append(Slice(name, tests, rule))
        if not slices:
            return None
        rules = str(described.get("rules", "open"))
        return Slicing(rules, bool(described.get("ordered")), tuple(slices))

    def _same_as(self, label: str, tree: ElementTree) -> Callable[[], Rule | None] | None:
        target = self._by_label.get(label)
        if target is None or not _says_something(target, set()):
            return None

        def rule() -> Rule | None:
            if label not in self._shared:
                self._shared[label] = self.rule(target, None)
            return self._shared[label]

        return rule

    def _constraints(self, tree: ElementTree, beside: ElementTree | None) -> tuple[Constraint, ...]:
        path = str(tree.definition.get("path", ""))
        known = {str(c.get("key")) for c in (beside.definition.get("constraint", ()) if beside
                                             else ())}  # fmt: skip
        found = []
        for one in tree.definition.get("constraint", ()):
            key = str(one.get("key"))
            if key in known or is_r4_constraint(path, key, one.get("source")):
                continue
            text = one.get("expression")
            if not isinstance(text, str):
                self.notes.append(f"its constraint {key} has no FHIRPath expression to check")
                continue
            test = constraint_test(key, text)
            severity = "error" if one.get("severity") == "error" else "warning"
            found.append(Constraint(key, severity, str(one.get("human", "")), test))
        return tuple(found)


def _keys(element: Element) -> tuple[tuple[str, str | None, str], ...]:
    return tuple(
        (key, f"_{key}" if kind in PRIMITIVE_TYPES else None, kind)
        for key, kind in element.json_names.items()
    )


def _says_something(tree: ElementTree, seen: set[str]) -> bool:
    """Whether the tree demands more than R4, elements it shares with itself apart."""
    if tree.label in seen:
        return False
    seen.add(tree.label)
    bare = Rule(tree.label, tree.name, (), False)
    bare.values, bare.bindings = _value_rules(tree, None), _bindings(tree, None)
    if tree.element is not None:
        bare.least, bare.most = _cardinality(tree, is_slice=False)
        bare.types, bare.profiles = _narrowed_types(tree, None), _type_profiles(tree, None)
        bare.targets = _targets(tree, None)
    path = str(tree.definition.get("path", ""))
    own = any(
        not is_r4_constraint(path, str(c.get("key")), c.get("source"))
        for c in tree.definition.get("constraint", ())
    )
    if own or tree.slices or _demands(bare):
        return True
    return any(_says_something(child, seen) for child in tree.children.values())


def _demands(rule: Rule) -> bool:
    return bool(
        rule.least
        or rule.most is not None
        or rule.types is not None
        or rule.profiles
        or rule.targets
        or rule.values
        or rule.bindings
        or rule.constraints
        or rule.children
        or rule.slicing
        or rule.same_as
    )


def _cardinality(tree: ElementTree, *, is_slice: bool) -> tuple[int, int | None]:
    """How many values the profile demands; 0 and None where R4 demands as much."""
    element, definition = tree.element, tree.definition
    least = int(definition.get("min", 0))
    stated_max = str(definition.get("max", "*"))
    if stated_max != "*" and not stated_max.isdigit():
        raise ProfileError(f"{tree.label} has a max that is no number")
    most = None if stated_max == "*" else int(stated_max)
    if is_slice or element is None:
        return least, most
    if least <= (1 if element.required else 0):
        least = 0
    if most == 1 and not element.many:
        most = None
    return least, most


def _narrowed_types(tree: ElementTree, beside: ElementTree | None) -> frozenset[str] | None:
    """The types allowed where the profile leaves fewer than R4 does."""
    element = tree.element
    codes = {str(t.get("code", "")) for t in tree.types()}
    if element is None or not codes or "Resource" in codes or "DomainResource" in codes:
        return None
    if not element.choice and element.types != ("Resource",):
        return None
    if codes >= set(element.types):
        return None
    if beside is not None and codes == {str(t.get("code", "")) for t in beside.types()}:
        return None
    return frozenset(codes)


def _type_profiles(
    tree: ElementTree, beside: ElementTree | None
) -> Mapping[str, tuple[str, ...]] | None:
    found = _stated_profiles(tree)
    if beside is not None:
        inherited = _stated_profiles(beside)
        found = {code: urls for code, urls in found.items() if inherited.get(code) != urls}
    return found or None


def _stated_profiles(tree: ElementTree) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in tree.types():
        urls = tuple(str(url) for url in one.get("profile", ()))
        code = str(one.get("code", ""))
        # A type without a profile beside one with a profile leaves it open.
        found[code] = () if not urls or found.get(code) == () else (*found.get(code, ()), *urls)
    return {code: urls for code, urls in found.items() if urls}


def _targets(tree: ElementTree, beside: ElementTree | None) -> tuple[str, ...]:
    """Canonicals that what is referred to has to meet; empty where R4 says as much."""
    urls = _stated_targets(tree)
    element = tree.element
    if not urls or element is None or CORE + "Resource" in urls:
        return ()
    if beside is not None and urls == _stated_targets(beside):
        return ()
    names = {url.removeprefix(CORE) for url in urls}
    everything = element.targets if element.targets is not None else RESOURCE_TYPES
    return () if names == everything else urls


def _stated_targets(tree: ElementTree) -> tuple[str, ...]:
    urls: list[str] = []
    for one in tree.types():
        if one.get("code") == "Reference":
            if not one.get("targetProfile"):
                return ()
            urls += [str(url) for url in one["targetProfile"]]
    return tuple(urls)


def _value_rules(tree: ElementTree, beside: ElementTree | None) -> tuple[ValueRule, ...]:
    definition = tree.definition
    known = beside.definition if beside is not None else {}
    found: list[ValueRule] = []
    for prefix, compare, words in (
        ("fixed", equals, "is not the value that is fixed"),
        ("pattern", matches, "does not match the pattern that is set"),
    ):
        fixed = stated(definition, prefix)
        if fixed is not None and fixed != stated(known, prefix):
            found.append(ValueRule(_comparing(compare, fixed[1]), "value", words))
    for prefix, lowest, words in (
        ("minValue", True, "is less than the lowest value allowed"),
        ("maxValue", False, "is more than the highest value allowed"),
    ):
        bound = stated(definition, prefix)
        if bound is not None:
            test = bound_test(bound, lowest=lowest)
            if test is None:
                raise ProfileError(f"{tree.label} has a {prefix}{bound[0]}, which is not supported")
            found.append(ValueRule(test, "value", words))
    longest = definition.get("maxLength")
    if isinstance(longest, int) and not isinstance(longest, bool):
        words = f"is longer than the {longest:,} characters allowed"
        found.append(ValueRule(_at_most(longest), "too-long", words))
    return tuple(found)


def _comparing(compare: Callable[[Any, Any], bool], wanted: Any) -> Callable[[Any], bool]:
    return lambda value: compare(value, wanted)


def _at_most(longest: int) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, str) or len(value) <= longest


def _bindings(tree: ElementTree, beside: ElementTree | None) -> tuple[Binding, ...]:
    found = _stated_bindings(tree)
    if beside is not None:
        known = _stated_bindings(beside)
        found = [one for one in found if one not in known]
    return tuple(found)


def _stated_bindings(tree: ElementTree) -> list[Binding]:
    described = tree.definition.get("binding")
    if not isinstance(described, dict) or not _BOUND & set(tree.type_codes()):
        return []
    found = []
    strength, url = described.get("strength"), described.get("valueSet")
    if strength in ("required", "extensible") and isinstance(url, str):
        base = tree.element.binding if tree.element is not None else None
        if not (strength == "required" and base == url.partition("|")[0]):
            found.append(Binding(strength == "required", url))
    if strength != "required":
        for extension in described.get("extension", ()):
            if extension.get("url") == _MAX_VALUE_SET and extension.get("valueCanonical"):
                found.append(Binding(True, str(extension["valueCanonical"])))
    return found
