"""R4's own invariants on a resource, and on all that is in it.

https://hl7.org/fhir/R4/validation.html, https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.fhirpath import FhirPathError, Node
from schemas.fhirpath.nodes import resource_node
from schemas.invariant_rules import BEST_PRACTICE, Plan, Rule, bare_plan_of, plan_of
from schemas.outcomes import Issue
from schemas.places import Place, spelled
from schemas.structure import RESOURCE_TYPES
from schemas.validate import MAX_ISSUES

_SEVERITIES = {"error": "error", "warning": "warning", BEST_PRACTICE: "warning"}


def issues(
    resource: dict[str, Any], *, best_practice: bool = False, extended: bool = True
) -> list[Issue]:
    """The invariants of R4 that a resource breaks: errors, and warnings for rules that are no more
    than that; at most `MAX_ISSUES`.

    The resource is one in which `schemas.validate` finds no error: what that checks (`ele-1`,
    `ext-1`, `ref-1`) is not looked at again. With `best_practice` also what is merely advised
    (`dom-6`: a narrative). Resources inside (contained, in a Bundle, in Parameters) are looked at
    as well. `extended`: False for one that is known to have no extension anywhere, nor any key of a
    primitive's own (`_birthDate`). Texts name rules and places, never values.
    """
    walk = _Walk(best_practice, plan_of if extended or best_practice else bare_plan_of)
    kind = resource.get("resourceType")
    if isinstance(kind, str) and kind in RESOURCE_TYPES:
        walk.resource(resource, kind, (None, kind, -1), None)
    found = walk.found
    if len(found) > MAX_ISSUES:
        text = f"There are more than {MAX_ISSUES} issues; only the first are listed."
        return [*found[:MAX_ISSUES], Issue("information", "informational", text)]
    return found


class _Walk:
    """`current` is `%resource`, `root` the resource that contains it; nodes are made when first
    asked for."""

    __slots__ = ("best_practice", "current", "found", "plan_of", "root", "said")

    def __init__(self, best_practice: bool, plan_of: Callable[[str], Plan]) -> None:
        self.best_practice = best_practice
        self.plan_of = plan_of
        self.found: list[Issue] = []
        self.said: set[tuple[str, str]] = set()
        self.current: dict[str, Any] = {}
        self.root: dict[str, Any] = {}

    def resource(
        self, value: dict[str, Any], kind: str, place: Place, root: dict[str, Any] | None
    ) -> None:
        outer = self.current, self.root
        self.current, self.root = value, value if root is None else root
        self.element(self.plan_of(kind), value, place)
        self.current, self.root = outer

    def element(self, plan: Plan, node: dict[str, Any], place: Place) -> None:
        for rule in plan.always:
            self.check(rule, node, plan.type_name, place)
        slots = plan.slots
        for key, value in node.items():
            slot = slots.get(key)
            if slot is None:
                continue
            for rule in slot.triggered:
                self.check(rule, node, plan.type_name, place)
            if slot.on_elements:
                self.on_elements(slot.on_elements, slot.type_name, value, (place, key, -1))
            if not slot.leads:
                continue
            if slot.holds_resource:
                self.held(key, value, place)
                continue
            below = slot.plan
            if below is None:
                below = slot.plan = self.plan_of(slot.type_name)
            # Most of what is below (a Coding, a Reference) has nothing that any rule is about.
            always, untouched = below.always, below.slots.keys().isdisjoint
            if type(value) is dict:
                if always or not untouched(value):
                    self.element(below, value, (place, key, -1))
            elif type(value) is list:
                for index, one in enumerate(value):
                    if type(one) is dict and (always or not untouched(one)):
                        self.element(below, one, (place, key, index))
            if len(self.found) > MAX_ISSUES:
                return

    def held(self, key: str, value: Any, place: Place) -> None:
        """Resources inside: what is contained has its container as `%rootResource`."""
        root = self.root if key == "contained" else None
        for index, one in enumerate(value if type(value) is list else [value]):
            kind = one.get("resourceType") if type(one) is dict else None
            if type(kind) is str and kind in RESOURCE_TYPES:
                at = (place, key, index if type(value) is list else -1)
                self.resource(one, kind, at, root)

    def on_elements(self, rules: list[Rule], type_name: str, value: Any, place: Place) -> None:
        above, key, _ = place
        for index, one in enumerate(value if type(value) is list else [value]):
            at = (above, key, index if type(value) is list else -1)
            for rule in rules:
                self.judge(rule, one, type_name or "string", at)

    def check(self, rule: Rule, node: dict[str, Any], type_name: str, place: Place) -> None:
        mask = 0
        for bit, keys in rule.presence:
            for key in keys:
                if key in node:
                    mask |= bit
                    break
        verdict = rule.verdicts[mask]
        if verdict is None:
            self.judge(rule, node, type_name, place)
        elif not verdict:
            self.report(rule, place)

    def judge(self, rule: Rule, value: Any, type_name: str, place: Place) -> None:
        if rule.severity == BEST_PRACTICE and not self.best_practice:
            return
        if rule.native is not None:
            verdict = rule.native(value)
            if verdict is not None:
                if not verdict:
                    self.report(rule, place)
                return
        try:
            holds = rule.expression.holds(
                Node(value, type_name),
                resource=resource_node(self.current),
                root=resource_node(self.root),
            )
        except FhirPathError as failure:
            where = spelled(place)
            text = f"{where}: the rule {rule.key} cannot be evaluated here. {failure}"
            self.found.append(Issue("warning", "incomplete", text, (where,)))
            return
        if not holds:
            self.report(rule, place)

    def report(self, rule: Rule, place: Place) -> None:
        if rule.severity == BEST_PRACTICE and not self.best_practice:
            return
        where = spelled(place)
        if (rule.key, where) not in self.said:
            self.said.add((rule.key, where))
            human = rule.human.rstrip(".")
            self.found.append(
                Issue(
                    _SEVERITIES[rule.severity],
                    "invariant",
                    f"{where} breaks the rule {rule.key}: {human}.",
                    (where,),
                )
            )
