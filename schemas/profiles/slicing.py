"""Which slice a value is of: tests made of the discriminators of a slicing.

A discriminator is a path from the value, and what there tells slices apart: the `value` or
`pattern` that a slice fixes (or a required value set), whether something `exists`, its `type`, or
the `profile` it conforms to. https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from schemas.ids import parse_reference
from schemas.places import Place
from schemas.profiles.element_tree import ElementTree, ProfileError, base_type_of
from schemas.profiles.rules import Rule, SliceTest, Value
from schemas.profiles.values import equals, matches, stated

TREE_OF = Callable[[str], "ElementTree | None"]
MAKE_RULE = Callable[[ElementTree], "Rule | None"]

_STEP = re.compile(
    r"extension\(\s*'([^']+)'\s*\)|ofType\(\s*([A-Za-z.]+)\s*\)|(resolve\(\))|(\w+|\$this)"
)
_EXTENSIONS = frozenset({"extension", "modifierExtension"})


@dataclass(frozen=True)
class Discriminator:
    """`kind` is value, pattern, exists, type or profile; `steps` lead from the value to it."""

    kind: str
    steps: tuple[tuple[str, str], ...]  # (field | extension | ofType | resolve, its argument)


def discriminators(tree: ElementTree) -> list[Discriminator]:
    """Those of a sliced element; extensions are told apart by url, choices by type, in any case.

    Raises ProfileError for a path that is not supported.
    """
    described = (tree.definition.get("slicing") or {}).get("discriminator") or []
    found = [
        Discriminator(str(one.get("type")), _steps(str(one.get("path", "")), tree.label))
        for one in described
        if isinstance(one, dict)
    ]
    if found:
        return found
    if tree.name in _EXTENSIONS:
        return [Discriminator("value", (("field", "url"),))]
    if tree.element is not None and tree.element.choice:
        return [Discriminator("type", ())]
    return []


def _steps(path: str, label: str) -> tuple[tuple[str, str], ...]:
    steps: list[tuple[str, str]] = []
    position = 0
    while position < len(path):
        found = _STEP.match(path, position)
        end = found.end() if found is not None else -1
        if found is None or (end < len(path) and path[end] != "."):
            raise ProfileError(f"{label} is sliced by {path[:80]!r}, which is not supported")
        url, kind, resolve, name = found.groups()
        if url:
            steps.append(("extension", url))
        elif kind:
            steps.append(("ofType", kind.removeprefix("FHIR.")))
        elif resolve:
            steps.append(("resolve", ""))
        elif name != "$this":
            steps.append(("field", name))
        position = end + 1
    return tuple(steps)


def slice_tests(
    tree: ElementTree, found: Iterable[Discriminator], tree_of: TREE_OF, make_rule: MAKE_RULE
) -> tuple[SliceTest, ...]:
    """What has to hold of a value of the slice; empty when its definition does not say."""
    tests = []
    for one in found:
        test = _test(tree, one, tree_of, make_rule)
        if test is not None:
            tests.append(test)
    return tuple(tests)


def _test(
    tree: ElementTree, one: Discriminator, tree_of: TREE_OF, make_rule: MAKE_RULE
) -> SliceTest | None:
    if one.kind in ("value", "pattern"):
        return _value_test(tree, one, tree_of, make_rule)
    reached = _reached(tree, one.steps, tree_of)
    if one.kind == "exists":
        return _exists_test(reached, one)
    if one.kind == "type":
        return _type_test(reached, one)
    if one.kind == "profile":
        return _profile_test(reached, one)
    raise ProfileError(f"{tree.label} has a discriminator of type {one.kind[:40]}")


def _value_test(
    tree: ElementTree, one: Discriminator, tree_of: TREE_OF, make_rule: MAKE_RULE
) -> SliceTest | None:
    steps = one.steps
    for taken in range(len(steps) + 1):
        for node in _reached(tree, steps[:taken], tree_of):
            test = _content_test(node, steps[:taken], steps[taken:])
            if test is not None:
                return test
    if steps == (("field", "url"),) and tree.name in _EXTENSIONS:
        urls = {url.partition("|")[0] for t in tree.types() for url in t.get("profile", ())}
        if urls:
            return lambda _run, value: value.node.get("url") in urls
    rules = [make_rule(node) for node in _reached(tree, steps, tree_of)]
    kept = [rule for rule in rules if rule is not None]
    if not kept or (not steps and not (kept[0].children or kept[0].bindings)):
        return None
    return lambda run, value: any(
        run.conforms(rule, each) for each in values_at(run, value, steps) for rule in kept
    )


def _content_test(
    node: ElementTree, before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]
) -> SliceTest | None:
    """The test of a fixed or pattern value, stated at the path or above it."""
    for prefix, compare in (("fixed", equals), ("pattern", matches)):
        content = stated(node.definition, prefix)
        if content is None:
            continue
        wanted = [content[1]]
        for kind, name in after:
            if kind != "field":
                return None
            wanted = [
                item
                for one in wanted
                if isinstance(one, dict) and name in one
                for item in (one[name] if isinstance(one[name], list) else [one[name]])
            ]
        if not wanted:
            continue
        steps = (*before, *after)
        return _comparing(steps, compare, wanted)
    return None


def _comparing(
    steps: tuple[tuple[str, str], ...],
    compare: Callable[[Any, Any], bool],
    wanted: list[Any],
) -> SliceTest:
    def test(run: Any, value: Value) -> bool:
        there = [one.json for one in values_at(run, value, steps)]
        return all(any(compare(one, each) for one in there) for each in wanted)

    return test


def _exists_test(reached: list[ElementTree], one: Discriminator) -> SliceTest | None:
    for node in reached:
        if str(node.definition.get("max")) == "0":
            return lambda run, value: not values_at(run, value, one.steps)
        if int(node.definition.get("min", 0)) > 0:
            return lambda run, value: bool(values_at(run, value, one.steps))
    return None


def _type_test(reached: list[ElementTree], one: Discriminator) -> SliceTest | None:
    resolves = bool(one.steps) and one.steps[-1][0] == "resolve"
    kinds: set[str] = set()
    for node in reached:
        kinds |= {node.type_name} if resolves and node.type_name else set(node.type_codes())
    if not kinds or "Resource" in kinds:
        return None
    if resolves:
        steps = one.steps[:-1]
        return lambda run, value: any(
            reference_type(run, each) in kinds for each in values_at(run, value, steps)
        )
    return lambda run, value: any(
        each.type_name in kinds for each in values_at(run, value, one.steps)
    )


def _profile_test(reached: list[ElementTree], one: Discriminator) -> SliceTest | None:
    urls: list[str] = []
    for node in reached:
        urls += [str(url) for t in node.types() for url in t.get("profile", ())]
        if node.element is None and node.definition.get("profile-of"):
            urls.append(str(node.definition["profile-of"]))
    if not urls:
        return None
    return lambda run, value: any(
        run.conforms_to(url, each) for each in values_at(run, value, one.steps) for url in urls
    )


def _reached(
    tree: ElementTree, steps: tuple[tuple[str, str], ...], tree_of: TREE_OF
) -> list[ElementTree]:
    """The definitions that a path leads to from a slice, through profiles of types if need be."""
    nodes = [tree]
    for kind, name in steps:
        found: list[ElementTree] = []
        for node in nodes:
            found += _step(node, kind, name, tree_of)
        nodes = found
    return nodes


def _step(node: ElementTree, kind: str, name: str, tree_of: TREE_OF) -> list[ElementTree]:
    if kind == "resolve":
        targets = [str(u) for t in node.types() for u in t.get("targetProfile", ())]
        return [tree for url in targets if (tree := _tree(url, tree_of)) is not None]
    if kind == "ofType":
        sliced = [one for one in node.slices.values() if one.type_name == name]
        return sliced or ([node] if name in node.type_codes() else [])
    if kind == "extension":
        extensions = node.children.get("extension")
        wanted = extensions.slices.values() if extensions is not None else ()
        return [one for one in wanted if name in _extension_urls(one)]
    child = node.children.get(name)
    if child is not None:
        return [child, *child.slices.values()]
    found = []
    for one in node.types():
        for url in one.get("profile", ()):
            tree = _tree(str(url), tree_of)
            if tree is not None and name in tree.children:
                found.append(tree.children[name])
    return found


def _tree(url: str, tree_of: TREE_OF) -> ElementTree | None:
    base = base_type_of(url)
    if base is not None:
        return ElementTree(base, base, None, base)
    tree = tree_of(url)
    if tree is None:
        return None
    marked = ElementTree(tree.name, tree.label, None, tree.type_name, dict(tree.definition))
    marked.children, marked.slices = tree.children, tree.slices
    marked.definition["profile-of"] = url
    return marked


def _extension_urls(tree: ElementTree) -> set[str]:
    urls = {str(url).partition("|")[0] for t in tree.types() for url in t.get("profile", ())}
    child = tree.children.get("url")
    fixed = stated(child.definition, "fixed") if child is not None else None
    return urls | ({str(fixed[1])} if fixed is not None else set())


def values_at(run: Any, value: Value, steps: tuple[tuple[str, str], ...]) -> list[Value]:
    """The values that a discriminator's path leads to."""
    values = [value]
    for kind, name in steps:
        found: list[Value] = []
        for one in values:
            if kind == "field":
                found += fields(one, name)
            elif kind == "extension":
                found += [v for v in fields(one, "extension") if v.node.get("url") == name]
            elif kind == "ofType":
                if one.type_name == name:
                    found.append(one)
            else:
                target = run.resolve(one)
                if target is not None:
                    found.append(Value(target, None, str(target.get("resourceType")), one.place))
        values = found
    return values


def fields(value: Value, name: str) -> list[Value]:
    """The values of an element by its name without `[x]`, whatever key it has."""
    node = value.node
    found: list[Value] = []
    length = len(name)
    for key, content in node.items():
        if key == name:
            kind = _type_of(content)
        elif key.startswith(name) and key[length : length + 1].isupper():
            kind = key[length:]
            kind = kind[0].lower() + kind[1:] if kind in _LOWER else kind
        else:
            continue
        items = content if isinstance(content, list) else [content]
        for index, item in enumerate(items):
            place: Place = (value.place, key, index if isinstance(content, list) else -1)
            item_kind = kind if kind else _type_of(item)
            found.append(Value(item, None, item_kind, place))
    return found


_LOWER = frozenset(
    {
        "Base64Binary", "Boolean", "Canonical", "Code", "Date", "DateTime", "Decimal", "Id",
        "Instant", "Integer", "Markdown", "Oid", "PositiveInt", "String", "Time", "UnsignedInt",
        "Uri", "Url", "Uuid",
    }
)  # fmt: skip


def _type_of(content: Any) -> str:
    return str(content.get("resourceType", "")) if isinstance(content, dict) else ""


def reference_type(run: Any, value: Value) -> str | None:
    """The resource type that a Reference leads to, as far as it can be told."""
    node = value.node
    text = node.get("reference")
    if isinstance(text, str):
        parsed = parse_reference(text)
        if parsed.kind in ("relative", "absolute", "conditional") and parsed.resource_type:
            return parsed.resource_type
        target = run.resolve(value)
        if target is not None:
            return str(target.get("resourceType"))
    stated_type = node.get("type")
    return stated_type if isinstance(stated_type, str) else None
