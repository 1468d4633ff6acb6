"""Codings and concepts in which nothing is wrong: the same ones recur in resource after resource.

Only plain ones are known, by their keys and values: a coding of texts, or one such coding in a
concept, with or without a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Key = tuple[Any, ...]
KeyOf = Callable[[dict[str, Any]], "Key | None"]

_MAX_KNOWN = 65_536
_MAX_CHARACTERS = 1_000

_known: set[Key] = set()


def _of_coding(node: dict[str, Any]) -> Key | None:
    return (*node, *node.values()) if len(node) < 4 else None


def _of_concept(node: dict[str, Any]) -> Key | None:
    codings = node.get("coding")
    if type(codings) is not list or len(codings) != 1 or len(node) > 2:
        return None
    coding = codings[0]
    if type(coding) is not dict or len(coding) > 3:
        return None
    # As of the coding by itself, where there is no text.
    key = (*coding, *coding.values())
    return key if len(node) == 1 else (*key, node.get("text"))


KEYS: Mapping[str, KeyOf] = MappingProxyType({"Coding": _of_coding, "CodeableConcept": _of_concept})
"""Type → what tells one of its objects from others; None for an object of another form."""


def is_known(key: Key) -> bool:
    """Whether the object with the key was remembered. What was sent may be of any JSON type."""
    try:
        return key in _known
    except TypeError:  # A list or an object, which is no text.
        return False


def remember(key: Key) -> None:
    """Keep what was found to be valid, if it is of the plain form: all its parts are texts."""
    if all(type(part) is str and len(part) <= _MAX_CHARACTERS for part in key):
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known.add(key)
