"""Whether a resource is what R4 4.0.1 says its type is.

Elements, JSON types, cardinalities, choices, primitives (with the calendar), extensions, required
code bindings, targets of references, contained resources. Not looked at: invariants in FHIRPath,
profiles, terminologies that R4 does not enumerate, whether a reference's target exists.
https://hl7.org/fhir/R4/validation.html, https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.element_checks import ObjectType, Slot, object_type
from schemas.ids import parse_reference
from schemas.known_concepts import is_known, remember
from schemas.outcomes import FhirError, Issue
from schemas.places import Place, spelled
from schemas.primitives import CHECKS, json_kind
from schemas.structure import RESOURCE_TYPES, suggestion

MAX_ISSUES = 100


class Extension(NamedTuple):
    """An extension with an absolute url that was met on the way."""

    url: str
    node: dict[str, Any]
    place: Place


class Inspection(NamedTuple):
    """What `inspect` gives: the issues, and the extensions that may have a definition.

    `extended`: there is some extension, or a key for those of a primitive (`_birthDate`).
    """

    issues: list[Issue]
    extensions: list[Extension]
    extended: bool


def validate(resource: dict[str, Any], expected_type: str | None = None) -> list[Issue]:
    """What is wrong with the resource, in document order; empty when nothing is.

    At most `MAX_ISSUES` issues. Texts name elements, types and codes, never other content.
    """
    return inspect(resource, expected_type).issues


def inspect(resource: dict[str, Any], expected_type: str | None = None) -> Inspection:
    """As `validate`, with the extensions that a further look may be worth."""
    run = _Run()
    try:
        _resource(run, resource, None, expected_type)
    except _EnoughError:
        text = f"There are more than {MAX_ISSUES} issues; only the first are listed."
        run.issues.append(Issue("information", "informational", text))
    return Inspection(run.issues, run.extensions, run.extended)


def check(resource: dict[str, Any], expected_type: str | None = None) -> None:
    """Raises FhirError of category `structure` with what `validate` finds, if anything."""
    issues = validate(resource, expected_type)
    if issues:
        raise FhirError("structure", issues)


class _EnoughError(Exception):
    """Stops the walk."""


class _Run:
    """The issues found so far, and the references to contained resources to be checked."""

    __slots__ = ("contained", "extended", "extensions", "inner", "issues")

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.extensions: list[Extension] = []
        self.extended = False
        self.inner: list[tuple[str, Place | None]] = []
        self.contained = False

    def report(self, code: str, problem: str, place: Place | None, *more: Any) -> None:
        path = spelled(place, *more)
        self.issues.append(Issue("error", code, f"{path} {problem}.", (path,)))
        if len(self.issues) >= MAX_ISSUES:
            raise _EnoughError


def _resource(run: _Run, value: Any, place: Place | None, expected: str | None = None) -> None:
    if type(value) is not dict:
        run.report("structure", f"must be a resource (an object), not {json_kind(value)}", place)
        return
    kind = value.get("resourceType")
    if type(kind) is not str or kind not in RESOURCE_TYPES:
        near = suggestion(kind, RESOURCE_TYPES) if isinstance(kind, str) else ""
        problem = f"must name a resource type of FHIR R4{'.' + near if near else ''}"
        run.report("structure", problem.rstrip("."), place, "resourceType")
        return
    if expected is not None and kind != expected:
        problem = f"is {kind}, but {expected} belongs here"
        run.report("structure", problem, place, "resourceType")
        return
    outer, run.inner = run.inner, []
    _object(run, object_type(kind), value, place or (None, kind, -1))
    inner, run.inner = run.inner, outer
    if run.contained:  # `#id` in a contained resource is one of its container.
        run.inner += inner
    elif inner:
        _check_contained(run, value, inner)


def _check_contained(
    run: _Run, resource: dict[str, Any], inner: list[tuple[str, Place | None]]
) -> None:
    """Every `#id` must be the id of a contained resource; `#` alone is the container."""
    contained = resource.get("contained")
    known = {
        f"#{one.get('id')}"
        for one in (contained if isinstance(contained, list) else ())
        if isinstance(one, dict)
    }
    for text, place in inner:
        if text != "#" and text not in known:
            run.report("value", "names a contained resource that is not there", place, "reference")


def _object(run: _Run, kind: ObjectType, node: dict[str, Any], place: Place) -> None:
    slots = kind.slots
    chosen: dict[str, str] | None = None
    for key, value in node.items():
        slot = slots.get(key)
        if slot is None:
            if key[:1] == "_" and (base := slots.get(key[1:])) is not None and base.check:
                _primitive_extension(run, base, node, key, value, place)
                if base.choice is not None and key[1:] not in node:
                    chosen = _choose(run, chosen, base.choice, key[1:], place)
            elif key != "resourceType" or not kind.is_resource:
                near = suggestion(key, slots)
                problem = f"is not an element of {kind.name}{'.' + near if near else ''}"
                run.report("structure", problem.rstrip("."), place, key)
            continue
        if slot.choice is not None:
            chosen = _choose(run, chosen, slot.choice, key, place)
        if slot.many:
            _array(run, slot, node, key, value, place)
        elif slot.check is not None:
            check = slot.text_check if type(value) is str else None
            problem_found = check(value) if check is not None else slot.check(value)
            if problem_found is not None:
                run.report("value", problem_found, place, key)
            elif slot.codes is not None and value not in slot.codes:
                _bad_code(run, slot, place, key)
        elif type(value) is dict:
            if slot.plain:
                _plain(run, slot, value, (place, key, -1))
            else:
                _complex(run, slot, value, (place, key, -1))
        else:
            problem = f"must be one {slot.type_name} (an object), not {json_kind(value)}"
            run.report("structure", problem, place, key)
    if len(node) <= 1 and not kind.is_resource and (not node or "id" in node):
        run.report("structure", "is empty; leave it out instead", place)
        return
    for name, keys in kind.required:
        if name not in node and not any(key in node for key in keys):
            run.report("required", f"is missing; {kind.name} needs it", place, name)


def _choose(
    run: _Run, chosen: dict[str, str] | None, choice: str, key: str, place: Place
) -> dict[str, str]:
    if chosen is None:
        return {choice: key}
    other = chosen.setdefault(choice, key)
    if other != key:
        run.report("structure", f"is there besides {other}; only one of {choice}[x] may be",
                   place, key)  # fmt: skip
    return chosen


def _array(run: _Run, slot: Slot, node: dict[str, Any], key: str, value: Any, place: Place) -> None:
    if type(value) is not list:
        run.report("structure", f"must be an array, not {json_kind(value)}", place, key)
        return
    if not value:
        run.report("structure", "is an empty array; leave it out instead", place, key)
    if slot.check is None:
        look = _plain if slot.plain else _complex
        for index, item in enumerate(value):
            if type(item) is dict:
                look(run, slot, item, (place, key, index))
            else:
                problem = f"must be a {slot.type_name} (an object), not {json_kind(item)}"
                run.report("structure", problem, place, key, index)
        return
    for index, item in enumerate(value):
        if item is None:
            siblings = node.get(f"_{key}")
            if type(siblings) is list and index < len(siblings) and siblings[index] is not None:
                continue
            problem = f"is null, which only an extension in _{key} at the same index allows"
            run.report("structure", problem, place, key, index)
            continue
        found = slot.check(item)
        if found is not None:
            run.report("value", found, place, key, index)
        elif slot.codes is not None and item not in slot.codes:
            _bad_code(run, slot, place, key, index)


def _plain(run: _Run, slot: Slot, value: dict[str, Any], place: Place) -> None:
    """An object with nothing to check but its own elements."""
    key_of = slot.key_of
    if key_of is None:
        _object(run, slot.object_type or slot.of(), value, place)
        return
    key = key_of(value)
    if key is not None and is_known(key):
        return
    before = len(run.issues)
    _object(run, slot.object_type or slot.of(), value, place)
    if key is not None and len(run.issues) == before:
        remember(key)


def _complex(run: _Run, slot: Slot, value: dict[str, Any], place: Place) -> None:
    if slot.holds_resource:
        _nested_resource(run, slot, value, place)
        return
    kind = slot.object_type or slot.of()
    _object(run, kind, value, place)
    if kind.name == "Extension":
        _extension(run, value, place)
    elif kind.name == "Reference":
        _reference(run, slot, value, place)
    elif slot.codes is not None:
        _bound_concept(run, slot, value, place)


def _nested_resource(run: _Run, slot: Slot, value: dict[str, Any], place: Place) -> None:
    if slot.element.name != "contained":
        outer, run.contained = run.contained, False
        _resource(run, value, place)
        run.contained = outer
        return
    if run.contained:
        run.report("structure", "is contained in a contained resource; put it beside", place)
        return
    run.contained = True
    _resource(run, value, place)
    run.contained = False


def _primitive_extension(
    run: _Run, slot: Slot, node: dict[str, Any], key: str, value: Any, place: Place
) -> None:
    """`_birthDate`: id and extensions of a primitive, for arrays aligned with null."""
    run.extended = True
    kind = object_type("Element")
    if not slot.many:
        if type(value) is not dict:
            problem = f"must be an object with id or extension, not {json_kind(value)}"
            run.report("structure", problem, place, key)
        else:
            _element(run, kind, value, (place, key, -1), node.get(key[1:]))
        return
    if type(value) is not list:
        run.report("structure", f"must be an array, not {json_kind(value)}", place, key)
        return
    own = node.get(key[1:])
    if type(own) is list and len(own) != len(value):
        problem = f"has {len(value)} items and {key[1:]} has {len(own)}; pad the shorter with null"
        run.report("structure", problem, place, key)
    for index, item in enumerate(value):
        if type(item) is dict:
            sibling = own[index] if type(own) is list and index < len(own) else None
            _element(run, kind, item, (place, key, index), sibling)
        elif item is not None:
            problem = f"must be an object or null, not {json_kind(item)}"
            run.report("structure", problem, place, key, index)
        elif own is None:
            problem = f"is null, and {key[1:]} has no value there either"
            run.report("structure", problem, place, key, index)


def _element(run: _Run, kind: ObjectType, node: dict[str, Any], place: Place, own: Any) -> None:
    """An `_name` object; an id alone is enough of it when the primitive itself has a value."""
    if own is None or list(node) != ["id"]:
        _object(run, kind, node, place)
    elif (problem := CHECKS["string"](node["id"])) is not None:
        run.report("value", problem, place, "id")


def _extension(run: _Run, node: dict[str, Any], place: Place) -> None:
    """ext-1: a value or nested extensions, and not both."""
    run.extended = True
    url = node.get("url")
    if type(url) is str and ":" in url:
        run.extensions.append(Extension(url, node, place))
    has_value = any(key.startswith(("value", "_value")) for key in node)
    if has_value == ("extension" in node):
        problem = "must have a value or extensions, " + ("not both" if has_value else "one of them")
        run.report("structure", problem, place)


def _reference(run: _Run, slot: Slot, node: dict[str, Any], place: Place) -> None:
    text = node.get("reference")
    if type(text) is not str:
        return
    parsed = parse_reference(text)
    if parsed.kind == "contained":
        run.inner.append((text, place))
    elif parsed.kind == "malformed":
        problem = "is no reference: Type/id with a type of R4, an absolute URL, urn:uuid:… or #id"
        run.report("value", problem, place, "reference")
    elif parsed.kind in ("relative", "conditional"):
        targets = slot.targets
        if targets is not None and parsed.resource_type not in targets:
            problem = f"is to a {parsed.resource_type}; allowed here: {', '.join(sorted(targets))}"
            run.report("value", problem, place, "reference")


def _bad_code(run: _Run, slot: Slot, place: Place, *more: Any) -> None:
    known = sorted(slot.codes or ())
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    # The code itself is not repeated: what stands there by mistake may be of a patient.
    problem = f"has a code that is not one of: {listed}"
    run.report("code-invalid", problem, place, *more)


def _bound_concept(run: _Run, slot: Slot, node: dict[str, Any], place: Place) -> None:
    """A required binding of a Coding or CodeableConcept: one coding must be of the value set."""
    codes = slot.codes or {}
    listed = node.get("coding") if slot.type_name == "CodeableConcept" else [node]
    if type(listed) is not list and "text" not in node:
        return
    for coding in listed if type(listed) is list else ():
        if type(coding) is dict:
            code, system = coding.get("code"), coding.get("system")
            if type(code) is str and type(system) is str and system in codes.get(code, ()):
                return
    url = slot.element.binding
    known = ", ".join(sorted(codes)[:20])
    run.report("code-invalid", f"has no coding from the value set {url} ({known})", place)
