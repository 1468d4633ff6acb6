"""R4's invariants, arranged for a walk over a resource: which rule is looked at for which JSON key.

A rule that holds whenever some element is absent is tied to that element's keys; only the others
are looked at for every element of their type. https://hl7.org/fhir/R4/conformance-rules.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from schemas.fhirpath import Expression, compile_expression
from schemas.fhirpath.types import supertypes
from schemas.invariant_natives import (
    COVERED,
    IDENTIFIER_NAME,
    NATIVES,
    REWRITTEN,
    SOFTENED,
    WHOLE_NAME,
    Native,
)
from schemas.invariant_presence import names, needed, verdict
from schemas.structure import PRIMITIVE_TYPES, TYPES, load_definitions

BEST_PRACTICE = "best-practice"

# More combinations of present and absent elements than these are not told apart.
_MAX_NAMES = 6


@dataclass(slots=True)
class Rule:
    """One invariant. `presence` has the keys of the elements that decide it, one element a bit;
    `verdicts` what each combination of them says: it holds, is broken, or None, to be evaluated.
    """

    key: str
    severity: str
    human: str
    expression: Expression
    native: Native | None
    presence: tuple[tuple[int, tuple[str, ...]], ...] = ()
    verdicts: tuple[bool | None, ...] = (None,)


@dataclass(slots=True)
class Slot:
    """What to do at a JSON key: rules that its presence makes worth looking at, rules on each
    element there, its type (empty for a primitive), and whether that `leads` on to other rules."""

    triggered: list[Rule] = field(default_factory=list)
    on_elements: list[Rule] = field(default_factory=list)
    type_name: str = ""
    leads: bool = False
    holds_resource: bool = False
    plan: Plan | None = None


@dataclass(slots=True)
class Plan:
    """A type: rules for every element of it, and its keys."""

    type_name: str
    always: tuple[Rule, ...]
    slots: dict[str, Slot]


def _load() -> dict[tuple[str, str | None], list[Rule]]:
    found: dict[tuple[str, str | None], list[Rule]] = {}
    for type_name, element, key, severity, human, expression in load_definitions(
        "invariants.json.gz"
    ):
        if key in COVERED:
            continue
        text = WHOLE_NAME if expression == IDENTIFIER_NAME else REWRITTEN.get(key, expression)
        if key in SOFTENED:
            severity = "warning"
        rule = Rule(key, severity, human, compile_expression(text), NATIVES.get(key))
        found.setdefault((type_name, element), []).append(rule)
    return found


@cache
def _rules() -> dict[tuple[str, str | None], list[Rule]]:
    return _load()


@cache
def plan_of(type_name: str) -> Plan:
    """The plan of a type. Raises KeyError for one that R4 does not have."""
    table, rules = TYPES[type_name], _rules()
    slots: dict[str, Slot] = {}
    for element in table.elements.values():
        on_elements = rules.get((type_name, element.name), [])
        for key, kind in element.json_names.items():
            if kind in PRIMITIVE_TYPES:
                slots[f"_{key}"] = Slot(type_name="Element", leads=True)
                if on_elements:
                    slots[key] = Slot(on_elements=on_elements)
            else:
                slots[key] = Slot(
                    on_elements=on_elements,
                    type_name=kind,
                    leads=True,
                    holds_resource=kind == "Resource",
                )
    always: list[Rule] = []
    for rule in (one for kind in supertypes(type_name) for one in rules.get((kind, None), ())):
        own, trigger = _decided(rule, type_name)
        if trigger is None:
            always.append(own)
        for key in trigger or ():
            slots.setdefault(key, Slot()).triggered.append(own)
    always.sort(key=lambda rule: rule.key)
    return Plan(type_name, tuple(always), slots)


@cache
def bare_plan_of(type_name: str) -> Plan:
    """The plan of a type for resources that have no extension anywhere, advice left out.

    It leads only to where a rule is: nothing is to be looked at in most of a resource.
    """
    plan = plan_of(type_name)
    slots: dict[str, Slot] = {}
    for key, slot in plan.slots.items():
        triggered = _binding(slot.triggered)
        leads = slot.leads and (slot.holds_resource or _has_rules_within(slot.type_name))
        if key[0] != "_" and (triggered or slot.on_elements or leads):
            slots[key] = Slot(
                triggered, slot.on_elements, slot.type_name, leads, slot.holds_resource
            )
    return Plan(type_name, tuple(_binding(plan.always)), slots)


def _binding(rules: Iterable[Rule]) -> list[Rule]:
    return [rule for rule in rules if rule.severity != BEST_PRACTICE]


@cache
def _has_rules_within(type_name: str) -> bool:
    """Whether a rule is about a type, or about anything that it may hold but for extensions."""
    met, waiting = {type_name, "Extension"}, [type_name]
    while waiting:
        plan = plan_of(waiting.pop())
        if _binding(plan.always):
            return True
        for key, slot in plan.slots.items():
            if key[0] == "_":
                continue
            if slot.holds_resource or slot.on_elements or _binding(slot.triggered):
                return True
            if slot.leads and slot.type_name not in met:
                met.add(slot.type_name)
                waiting.append(slot.type_name)
    return False


def _decided(rule: Rule, type_name: str) -> tuple[Rule, tuple[str, ...] | None]:
    """The rule with its verdicts for a type, and the keys that trigger it (None: always)."""
    tree = rule.expression.tree
    elements = TYPES[type_name].elements
    known = sorted(name for name in names(tree, type_name) if name in elements)[:_MAX_NAMES]
    needs = [name for name in known if name in needed(tree, type_name)]
    presence = tuple((1 << at, _keys(type_name, name)) for at, name in enumerate(known))
    verdicts = tuple(
        verdict(tree, {name: bool(mask >> at & 1) for at, name in enumerate(known)}, type_name)
        for mask in range(1 << len(known))
    )
    own = Rule(
        rule.key, rule.severity, rule.human, rule.expression, rule.native, presence, verdicts
    )
    if not needs:
        return own, None
    # The rarer the better: optional before required, a backbone element before a plain one.
    rarest = min(
        needs,
        key=lambda name: (elements[name].required, "." not in elements[name].types[0], name),
    )
    return own, _keys(type_name, rarest)


def _keys(type_name: str, name: str) -> tuple[str, ...]:
    """The JSON keys by which an element is there."""
    found: list[str] = []
    for key, kind in TYPES[type_name].elements[name].json_names.items():
        found.append(key)
        if kind in PRIMITIVE_TYPES:
            found.append(f"_{key}")
    return tuple(found)
