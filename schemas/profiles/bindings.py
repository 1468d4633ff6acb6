"""Codes against the value sets of a profile.

A required binding takes one code of the value set; an extensible one leaves room for another
system's code or text where nothing in the value set fits, which a program cannot tell: a warning.
https://hl7.org/fhir/R4/terminologies.html#strength
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.profiles.rules import Binding, Value


def check_binding(walk: Any, binding: Binding, value: Value) -> None:
    """Report on `walk` what of the value is not as the binding demands."""
    coded = list(_codes(value))
    url = binding.value_set
    unsure = False
    for system, code in coded:
        answer = walk.member_of(url, system, code)
        if answer:
            return
        unsure = unsure or answer is None
    if unsure:
        severity = "warning" if binding.required else "information"
        words = f"has a code of which it cannot be told here whether it is in value set {url}"
        walk.report(severity, "not-supported", words, value.place)
    elif binding.required:
        if not coded and _stands_for_absent(value):
            return
        words = f"has no code from value set {url}, which is required"
        walk.report("error", "code-invalid", words, value.place)
    elif coded:
        words = f"has no code from value set {url}, which is to be used where one of its codes fits"
        walk.report("warning", "code-invalid", words, value.place)


def _codes(value: Value) -> Iterator[tuple[str | None, str]]:
    content = value.json
    if isinstance(content, str):
        yield None, content
        return
    if not isinstance(content, dict):
        return
    listed = content.get("coding") if value.type_name == "CodeableConcept" else [content]
    for coding in listed if isinstance(listed, list) else ():
        if isinstance(coding, dict) and isinstance(code := coding.get("code"), str):
            system = coding.get("system")
            yield (system if isinstance(system, str) else None), code


def _stands_for_absent(value: Value) -> bool:
    """A primitive without a value, of which an extension says why (data-absent-reason)."""
    return value.json is None and bool(value.node.get("extension"))
