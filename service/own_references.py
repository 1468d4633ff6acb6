"""References that name this server by its address mean what is here.

R4 references.html#literal, search.html#reference: `[base]/Patient/1` is `Patient/1`.
`base` is the FHIR base URL at which the client reached the service (`Context.base`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from schemas.ids import parse_reference
from schemas.structure import RESOURCE_TYPES
from storage.lake import Lake

Params = Sequence[tuple[str, str]]

_ALTERNATIVES = re.compile(r"(?<!\\),")


def relative_to(base: str, text: str) -> str:
    """`Patient/1` for `[base]/Patient/1`, with its version; any other text as it is."""
    if not base or not text.startswith(f"{base}/"):
        return text
    rest = text[len(base) + 1 :]
    return rest if parse_reference(rest).kind == "relative" else text


def with_relative(params: Params, base: str, lake: Lake) -> list[tuple[str, str]]:
    """The parameters of a search; references that name this server also ask for `Type/id`.

    The URL stays an alternative: a canonical may be written like it.
    """
    return [
        (name, _with_relative(value, base))
        if base and f"{base}/" in value and _is_reference(name, lake)
        else (name, value)
        for name, value in params
    ]


def _with_relative(value: str, base: str) -> str:
    alternatives: list[str] = []
    for one in _ALTERNATIVES.split(value):
        local = relative_to(base, one)
        alternatives += [one] if local is one else [local, one]
    return ",".join(alternatives)


def _is_reference(name: str, lake: Lake) -> bool:
    """Whether the parameter, at the end of any chain, can be one of references."""
    *before, code = re.split("[.:]", name)
    if code in RESOURCE_TYPES and before:  # `subject:Patient`
        code = before[-1]
    known = (lake.search_params(kind).get(code) for kind in RESOURCE_TYPES)
    return any(param is not None and param.type == "reference" for param in known)
